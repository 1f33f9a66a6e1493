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
	"path/filepath"
	"regexp"
	"strings"
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

// options are the flags.
type options struct {
	only   *regexp.Regexp
	rounds int
	scale  float64
	out    string // the page; empty prints it
	json   string // the samples
	list   bool
	keep   bool
}

// parse reads the flags.
func parse(args []string, stderr io.Writer) (options, error) {
	o := options{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	only := fs.String("only", "", "run the rows whose name matches this `regexp`")
	fs.IntVar(&o.rounds, "rounds", 0, "measure each side this often (default: what each row asks for)")
	fs.Float64Var(&o.scale, "scale", 1, "use this part of the data, for a quick look")
	fs.StringVar(&o.out, "out", "", "write the page to this `file` (default: print it)")
	fs.StringVar(&o.json, "json", "", "keep the samples in this `file` (default: beside -out, with .json)")
	fs.BoolVar(&o.list, "list", false, "list the rows and their bounds, and run nothing")
	fs.BoolVar(&o.keep, "keep", false, "keep the programs and the data")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	var err error
	o.only, err = regexp.Compile(*only)
	switch {
	case err != nil:
		return o, fmt.Errorf("-only: %w", err)
	case fs.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", fs.Arg(0))
	case o.scale <= 0 || o.scale > 1:
		return o, fmt.Errorf("-scale %g is not above 0 and at most 1", o.scale)
	case o.rounds < 0:
		return o, fmt.Errorf("-rounds %d is negative", o.rounds)
	}
	if o.json == "" && o.out != "" {
		o.json = strings.TrimSuffix(o.out, filepath.Ext(o.out)) + ".json"
	}
	return o, nil
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

// runRows runs one row after the other and writes the results of each as soon as it is done. A row that fails does not
// keep the others from running.
func runRows(ctx context.Context, l *lab, o options, rows []experiment, results *archive, stdout io.Writer) error {
	where, err := inspect(l.dir)
	if err != nil {
		return err
	}
	versions, err := l.bin.versions(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for i := range rows {
		r, err := runRow(ctx, l, &rows[i], o.rounds)
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		if err != nil {
			fmt.Fprintln(l.log, "FAILED", err)
			failed = append(failed, err)
			continue
		}
		r.Machine, r.Programs = where, versions
		results.put(*r)
		if err := save(o, results); err != nil {
			return err
		}
	}
	if o.out == "" {
		fmt.Fprint(stdout, render(rows, results))
	}
	return errors.Join(failed...)
}

// save writes the samples and the page, each where it was asked for.
func save(o options, results *archive) error {
	if o.json != "" {
		text, err := results.encode()
		if err == nil {
			err = replaceFile(o.json, text)
		}
		if err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	return replaceFile(o.out, []byte(render(table(), results)))
}

// chosen returns the rows whose name matches.
func chosen(rows []experiment, only *regexp.Regexp) []experiment {
	var out []experiment
	for _, e := range rows {
		if only.MatchString(e.name) {
			out = append(out, e)
		}
	}
	return out
}

// list writes a row's name and bounds a line.
func list(w io.Writer, rows []experiment) {
	for _, e := range rows {
		fmt.Fprintf(w, "%-16s %s\n", e.name, e.title)
		for _, b := range e.bounds {
			fmt.Fprintf(w, "%16s %s of %s %s\n", "", b.metric, b.side, b.text(e.unit(b.metric)))
		}
	}
}
