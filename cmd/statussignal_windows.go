package cmd

import "context"

// onStatusSignal waits for the end of ctx: Windows has no such signal.
func onStatusSignal(ctx context.Context, listening chan<- struct{}, _ func()) {
	if listening != nil {
		close(listening)
	}
	<-ctx.Done()
}
