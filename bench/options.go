package main

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
)

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
