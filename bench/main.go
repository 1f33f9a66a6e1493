// Bench measures etcdops beside upstream's etcd, etcdctl and etcdutl and writes docs/benchmarks.md:
//
//	go run ./bench -out docs/benchmarks.md              everything, on a quiet machine
//	go run ./bench -only writes -scale 0.02 -rounds 1   a quick look, printed
//
// It builds all programs from the versions in go.mod, measures the sides of each row in turn on the same data, and
// states for every bound whether it is met. Rows that are not run keep their last results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the program at once; the kernel ends its children
	var err error
	if len(os.Args) > 2 && os.Args[1] == launchArg {
		err = launch(ctx, os.Args[2:], os.Stdout, os.Stderr, os.NewFile(3, "report"))
	} else {
		err = bench(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "interrupted")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// bench is the program: it runs the chosen rows and reports on all.
func bench(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	rows := chosen(table(), o.only)
	if len(rows) == 0 {
		return fmt.Errorf("-only %s matches no row", o.only)
	}
	if o.list {
		list(stdout, rows)
		return nil
	}
	results, err := loadArchive(o.json)
	if err != nil {
		return err
	}
	l, err := newLab(ctx, o.scale, stderr)
	if l != nil {
		defer func() { err = errors.Join(err, l.close(o.keep)) }()
	}
	if err != nil {
		return err
	}
	return runRows(ctx, l, o, rows, results, stdout)
}
