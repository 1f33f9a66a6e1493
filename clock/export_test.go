package clock

// OnSample makes do called after each reading but the first of a member: how many there were.
func (o *Options) OnSample(do func(target string, taken int)) { o.onSample = do }
