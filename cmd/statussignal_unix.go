//go:build !windows

package cmd

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onStatusSignal calls tell for each SIGUSR1 until ctx ends. It closes listening when the signal does not end the process any more;
// nil is allowed.
func onStatusSignal(ctx context.Context, listening chan<- struct{}, tell func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	defer signal.Stop(signals)
	if listening != nil {
		close(listening)
	}
	for {
		select {
		case <-signals:
			tell()
		case <-ctx.Done():
			return
		}
	}
}
