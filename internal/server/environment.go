package server

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"go.etcd.io/etcd/pkg/v3/flags"

	"github.com/etcdops/etcdops/internal/suggest"
)

// environment is a copy of the process's variables.
type environment map[string]string

// newEnvironment reads what os.Environ returns; of a name that stands twice the first counts, as with os.Getenv.
func newEnvironment(environ []string) environment {
	env := make(environment, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, twice := env[name]; !twice {
			env[name] = value
		}
	}
	return env
}

// variable is the name of a flag's ETCD_ variable.
func variable(flagName string) string { return flags.FlagToEnv("ETCD", flagName) }

// settingsFile is the path of the settings file, from its flag or its variable.
func (set *flagSet) settingsFile(env environment) string {
	if set.configFile != "" {
		return set.configFile
	}
	return env[variable("config-file")]
}

// readVariables sets each upstream flag that was not typed from its variable. The notes tell of variables that a flag
// overrules and of those that belong to no flag; values are not repeated, they may be secrets.
func (set *flagSet) readVariables(env environment) (notes []string, err error) {
	typed := set.given()
	known := map[string]bool{variable("version"): true, "ETCD_UNSUPPORTED_ARCH": true}
	set.VisitAll(func(f *flag.Flag) {
		if set.own.Lookup(f.Name) != nil || f.Name == "version" {
			return
		}
		name := variable(f.Name)
		known[name] = true
		value := env[name]
		switch {
		case value == "" || err != nil:
		case typed[f.Name]:
			notes = append(notes, fmt.Sprintf("--%s overrules the variable %s", f.Name, name))
		default:
			if setErr := set.Set(f.Name, value); setErr != nil {
				err = usageError("ETO-3002", "read variable", name, setErr, helpCommand)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return append(notes, unknownVariables(env, known)...), nil
}

// unknownVariables tells of ETCD_ variables that are no setting.
func unknownVariables(env environment, known map[string]bool) []string {
	var names, settings []string
	for name := range env {
		if strings.HasPrefix(name, "ETCD_") && !known[name] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	for name := range known {
		settings = append(settings, name)
	}
	for i, name := range names {
		if near := suggest.Nearest(name, settings); near != "" {
			names[i] = fmt.Sprintf("%s (did you mean %s?)", name, near)
		}
	}
	return []string{"no setting of etcd, ignored: " + strings.Join(names, ", ")}
}

// overruled lists the flags and variables that a settings file switches off.
func (set *flagSet) overruled(env environment) []string {
	var names []string
	typed := set.given()
	set.VisitAll(func(f *flag.Flag) {
		switch {
		case set.own.Lookup(f.Name) != nil || f.Name == "config-file" || f.Name == "version":
		case typed[f.Name]:
			names = append(names, "--"+f.Name)
		case env[variable(f.Name)] != "":
			names = append(names, variable(f.Name))
		}
	})
	return names
}

// checkArchitecture refuses the processors that upstream refuses, with upstream's way out.
func checkArchitecture(env environment) error {
	supported := []string{"amd64", "arm64", "ppc64le", "s390x"}
	if slices.Contains(supported, runtime.GOARCH) || env["ETCD_UNSUPPORTED_ARCH"] == runtime.GOARCH {
		return nil
	}
	return usageError("ETO-3005", "start", "", errors.New("etcd does not support the processor "+runtime.GOARCH),
		"ETCD_UNSUPPORTED_ARCH="+runtime.GOARCH+" etcdops serve, at your own risk")
}
