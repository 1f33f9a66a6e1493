package config

import (
	"strings"
)

// settings lists the merged settings for people, secrets masked.
func (l *layers) settings() []Setting {
	specs := keySpecs()
	out := make([]Setting, 0, len(specs))
	for _, spec := range specs {
		out = append(out, l.setting(spec))
	}
	return out
}

func (l *layers) setting(spec keySpec) Setting {
	s := Setting{Name: spec.name, Value: l.text(spec.name), Origin: l.origin(spec.name)}
	switch {
	case spec.name == keyEndpoints:
		s.Value = strings.Join(l.endpoints(), ",")
		if l.srv != nil {
			s.Origin = l.srv.from
		}
	case spec.name == keyServerName && l.srv != nil && l.srv.serverName != "":
		s.Value, s.Origin = l.srv.serverName, l.srv.from
	case spec.name == keyContext && s.Value == "" && l.origins.context != "":
		s.Value, s.Origin = l.origins.context, Origin{Kind: OriginContext, Name: "current"}
	case spec.name == keyUser:
		if user, _, ok := strings.Cut(s.Value, ":"); ok { // what follows may be a password
			s.Value = user + ":" + masked
		}
	case spec.secret && s.Value != "":
		s.Value = masked
	}
	return s
}
