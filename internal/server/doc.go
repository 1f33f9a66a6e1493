// Package server runs an etcd member inside this process: settings, checks before anything is touched, start, readiness
// and an orderly stop.
//
//	settings, err := server.Parse(os.Args[1:], os.Environ())   // as etcd parses; no file or port is touched
//	member, err := server.Start(ctx, settings, server.Options{})
//	<-member.Ready()
//	err = member.Wait()                                        // or member.Stop(ctx)
//
// Settings are upstream's own type, filled the way upstream's program fills it; our additions stand apart from them.
// Every failure is an *ops.HintError with a code of the ETO-3xxx range; Explanations tells about each.
package server
