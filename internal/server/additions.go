package server

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/dustin/go-humanize"
	"go.etcd.io/etcd/pkg/v3/flags"

	"github.com/etcdops/etcdops/internal/suggest"
)

// additionsPrefix starts the names of the additions' variables: ETCDOPS_SERVE_GC_PERCENT.
const additionsPrefix = "ETCDOPS_SERVE"

// additionsSection is the additions' key in a settings file; upstream's parser ignores it.
const additionsSection = "etcdops"

// Special values of Additions.GCPercent and Additions.MemoryLimit.
const (
	Auto = 0  // chosen from the memory of this machine
	Off  = -1 // not limited
)

// Additions are the settings that upstream does not have.
type Additions struct {
	GCPercent   int64 // growth of the heap between collections in percent; Auto or Off
	MemoryLimit int64 // bytes that the Go runtime tries to stay below; Auto or Off
	Banner      bool  // say on a terminal where to connect once the member is ready
}

// addAdditions declares our flags, in the whole set and in one of their own.
func (set *flagSet) addAdditions(extra []func(*flag.FlagSet)) {
	set.additions = &Additions{Banner: true}
	set.own = flag.NewFlagSet("etcdops", flag.ContinueOnError)
	set.own.Var(&autoValue{target: &set.additions.GCPercent, parse: parsePercent}, "gc-percent",
		"Growth of the heap, in percent, after which garbage is collected: auto (up to 400 within an eighth of the memory), "+
			"off, or a number. GOGC has the same meaning; this flag wins.")
	set.own.Var(&autoValue{target: &set.additions.MemoryLimit, parse: parseBytes}, "memory-limit",
		"Size that the process tries to stay below by collecting more often: auto (three quarters of the memory of the cgroup "+
			"or machine), off, or a size such as 2GiB. GOMEMLIMIT has the same meaning; this flag wins.")
	set.own.BoolVar(&set.additions.Banner, "banner", true,
		"Say on a terminal where to connect and what to type next.")
	for _, add := range extra {
		add(set.own)
	}
	set.own.VisitAll(func(f *flag.Flag) { set.Var(f.Value, f.Name, f.Usage) })
}

// fillAdditions sets the additions that were not typed from variables and from the settings file's section.
func (set *flagSet) fillAdditions(env environment, section map[string]any) error {
	typed := set.given()
	for key, value := range section {
		if set.own.Lookup(key) == nil {
			return usageError("ETO-3003", "read settings file", additionsSection+": "+key, errors.New("no such setting"),
				suggestAmong(set.own, key))
		}
		if typed[key] || env[flags.FlagToEnv(additionsPrefix, key)] != "" {
			continue
		}
		if err := set.own.Set(key, fmt.Sprint(value)); err != nil {
			return usageError("ETO-3003", "read settings file", additionsSection+": "+key, err, helpCommand)
		}
	}
	var err error
	set.own.VisitAll(func(f *flag.Flag) {
		name := flags.FlagToEnv(additionsPrefix, f.Name)
		if value := env[name]; value != "" && !typed[f.Name] && err == nil {
			if setErr := set.own.Set(f.Name, value); setErr != nil {
				err = usageError("ETO-3002", "read variable", name, setErr, helpCommand)
			}
		}
	})
	return err
}

// suggestAmong names the key of fs that was meant, or all of them.
func suggestAmong(fs *flag.FlagSet, key string) string {
	var names []string
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	if near := suggest.Nearest(key, names); near != "" {
		return "did you mean " + near + "?"
	}
	slices.Sort(names)
	return "there are " + quoteList(names)
}

// autoValue is a flag that holds a number, auto or off.
type autoValue struct {
	target *int64
	parse  func(string) (int64, error)
}

// String renders the value; the zero autoValue must have one for the flag package.
func (v *autoValue) String() string {
	switch {
	case v.target == nil || *v.target == Auto:
		return "auto"
	case *v.target == Off:
		return "off"
	}
	return strconv.FormatInt(*v.target, 10)
}

// Set implements flag.Value.
func (v *autoValue) Set(text string) error {
	switch text {
	case "auto":
		*v.target = Auto
		return nil
	case "off":
		*v.target = Off
		return nil
	}
	n, err := v.parse(text)
	if err != nil {
		return err
	}
	*v.target = n
	return nil
}

func parsePercent(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, errors.New("want auto, off or a positive number")
	}
	return n, nil
}

func parseBytes(text string) (int64, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n < 1 || n > math.MaxInt64 {
		return 0, errors.New("want auto, off or a size such as 2GiB")
	}
	return int64(n), nil
}
