package config

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// OriginKind says which layer a setting came from; the stronger ones come first.
type OriginKind string

// The layers.
const (
	OriginFlag      OriginKind = "flag"
	OriginVariable  OriginKind = "variable"
	OriginContext   OriginKind = "context"
	OriginDiscovery OriginKind = "discovery"
	OriginDefault   OriginKind = "default"
)

// Origin says where a setting came from: the layer, and the flag, variable, context or file by name.
type Origin struct {
	Kind OriginKind `json:"kind"`
	Name string     `json:"name,omitempty"`
}

// String renders the origin for people: "variable ETCDCTL_CACERT".
func (o Origin) String() string {
	if o.Name == "" {
		return string(o.Kind)
	}
	return string(o.Kind) + " " + o.Name
}

// layers holds the settings of all layers; viper finds the strongest value, and each value's origin is found beside it.
type layers struct {
	v       *viper.Viper
	flags   *pflag.FlagSet
	specs   map[string]keySpec
	context map[string]any // settings of the context
	typed   bool           // the context was named by a flag, which its settings then count as
	origins struct{ context, discovery string }
	found   map[string]any // settings that discovery found
	srv     *srvResult     // nil unless SRV records name the endpoints
}

// srvResult is what the SRV records of a domain say.
type srvResult struct {
	endpoints  []string
	serverName string // to verify instead of the endpoints' hosts
	from       Origin // of the domain's name
}

// newLayers binds flags and environment. Flags that a command does not have are read from the environment alone.
func newLayers(flags *pflag.FlagSet) (*layers, error) {
	l := &layers{v: viper.New(), flags: flags, specs: map[string]keySpec{}}
	for _, spec := range keySpecs() {
		l.specs[spec.name] = spec
		l.v.SetDefault(spec.name, spec.initial)
		if err := l.v.BindEnv(append([]string{spec.name}, spec.variables()...)...); err != nil {
			return nil, err
		}
		if f := l.flag(spec.name); f != nil {
			if err := l.v.BindPFlag(spec.name, f); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// flag returns the flag of a setting if it was typed.
func (l *layers) flag(name string) *pflag.Flag {
	if l.flags == nil {
		return nil
	}
	if f := l.flags.Lookup(name); f != nil && f.Changed {
		return f
	}
	return nil
}

// setContext adds the context's layer. One that was named by a flag is stronger than the environment: whoever types
// --context prod means prod, whatever variables a shell still carries.
func (l *layers) setContext(name string, typed bool, settings map[string]any) error {
	l.context, l.typed, l.origins.context = settings, typed, name
	if !typed {
		return l.v.MergeConfigMap(settings)
	}
	for key, value := range settings {
		if l.flag(key) == nil {
			l.v.Set(key, value)
		}
	}
	return nil
}

// setFound adds the layer of discovery.
func (l *layers) setFound(source string, settings map[string]any) {
	l.found, l.origins.discovery = settings, source
	for key, value := range settings {
		l.v.SetDefault(key, value)
	}
}

// origin says which layer the strongest value of a setting is in.
func (l *layers) origin(name string) Origin {
	_, inContext := l.context[name]
	switch {
	case l.flag(name) != nil:
		return Origin{OriginFlag, "--" + name}
	case inContext && l.typed:
		return Origin{OriginContext, l.origins.context}
	}
	for _, variable := range l.specs[name].variables() {
		if os.Getenv(variable) != "" { // viper too takes an empty variable for none
			return Origin{OriginVariable, variable}
		}
	}
	if inContext {
		return Origin{OriginContext, l.origins.context}
	}
	if _, ok := l.found[name]; ok {
		return Origin{OriginDiscovery, l.origins.discovery}
	}
	return Origin{Kind: OriginDefault}
}

// Ranks of the layers that somebody names settings in; discovery and the defaults have none.
const (
	rankContext = iota + 1
	rankVariable
	rankFlag
)

// rank orders the layers that settings came from: the higher wins, 0 means that nobody named it.
func (l *layers) rank(name string) int {
	switch l.origin(name).Kind {
	case OriginFlag:
		return rankFlag
	case OriginVariable:
		return rankVariable
	case OriginContext:
		if l.typed {
			return rankFlag
		}
		return rankContext
	case OriginDiscovery, OriginDefault:
	}
	return 0
}

// given reports whether somebody named a setting: by flag, variable or context.
func (l *layers) given(name string) bool { return l.rank(name) > 0 }

func (l *layers) text(name string) string {
	return strings.TrimSpace(l.v.GetString(name))
}

// list splits at commas wherever the value came from; viper by itself splits variables at blanks.
func (l *layers) list(name string) []string {
	var parts []string
	switch value := l.v.Get(name).(type) {
	case []string:
		parts = value
	case []any:
		for _, part := range value {
			parts = append(parts, fmt.Sprint(part))
		}
	default:
		parts = strings.Split(fmt.Sprint(value), ",")
	}
	out := make([]string, 0, len(parts))
	for _, part := range parts {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// parse reads a value that is no text, and says whose fault it is when it cannot be read; viper would say nothing.
func parse[T any](l *layers, name, want string, read func(string) (T, error)) (T, error) {
	raw := fmt.Sprint(l.v.Get(name))
	value, err := read(strings.TrimSpace(raw))
	if err != nil {
		return value, badValue(l.origin(name), raw, want)
	}
	return value, nil
}

func (l *layers) flagged(name string) (bool, error) {
	return parse(l, name, "true or false", strconv.ParseBool)
}

func (l *layers) duration(name string) (time.Duration, error) {
	return parse(l, name, "a duration such as 5s or 1m30s", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err == nil && d < 0 {
			return 0, strconv.ErrRange
		}
		return d, err
	})
}

// limit reads a duration that bounds something, which none at all would not.
func (l *layers) limit(name string) (time.Duration, error) {
	return parse(l, name, "a duration above zero, such as 5s or 1m30s", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err == nil && d <= 0 {
			return 0, strconv.ErrRange
		}
		return d, err
	})
}

func (l *layers) number(name string) (int, error) {
	return parse(l, name, "a number of bytes, 0 for the default", func(s string) (int, error) {
		n, err := strconv.ParseUint(s, 10, 31)
		return int(n), err
	})
}
