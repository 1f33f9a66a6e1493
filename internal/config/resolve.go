package config

import (
	"context"
	"strings"

	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/ops"
)

// Request is what a command knows before anything is resolved. The environment is read as well.
type Request struct {
	Flags *pflag.FlagSet // of the command, parsed; may be nil
}

// Setting is one resolved setting for people: secrets are masked.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin Origin `json:"origin"`
}

// Resolved is the answer: the settings of the connection, and where each came from.
type Resolved struct {
	Config   ops.Config
	Settings []Setting
	Notices  []string // one line each, for the error stream: what was found on this machine, what is unwise
}

const masked = "********"

// Resolve merges the layers: flag over ETCDOPS_ variable over ETCDCTL_ variable over context over discovery over
// default. It reads no secret: see ReadSecrets. Errors are *ops.HintError.
func Resolve(ctx context.Context, req Request) (Resolved, error) {
	l, err := newLayers(req.Flags)
	if err != nil {
		return Resolved{}, err
	}
	r := Resolved{}
	if r.Config, err = l.config(); err != nil {
		return Resolved{}, err
	}
	r.Settings = l.settings()
	return r, nil
}

// config reads the merged settings into their types.
func (l *layers) config() (ops.Config, error) {
	cfg := ops.Config{
		Endpoints: l.list(keyEndpoints),
		TLS: ops.TLS{
			CACert: l.text(keyCACert), Cert: l.text(keyCert), Key: l.text(keyKey), ServerName: l.text(keyServerName),
		},
		Auth: ops.Auth{User: l.text(keyUser), Token: l.text(keyToken), Password: l.v.GetString(keyPassword)},
	}
	for _, endpoint := range cfg.Endpoints {
		if err := ops.CheckEndpoint(endpoint); err != nil {
			return cfg, err
		}
	}
	if user, password, ok := strings.Cut(cfg.Auth.User, ":"); ok && cfg.Auth.Password == "" {
		cfg.Auth.User, cfg.Auth.Password = user, password
	}
	return cfg, l.typedSettings(&cfg)
}

func (l *layers) typedSettings(cfg *ops.Config) (err error) {
	if cfg.TLS.InsecureSkipVerify, err = l.flagged(keyInsecureSkipVerify); err != nil {
		return err
	}
	if cfg.DialTimeout, err = l.duration(keyDialTimeout); err != nil {
		return err
	}
	if cfg.CommandTimeout, err = l.duration(keyCommandTimeout); err != nil {
		return err
	}
	if cfg.KeepAliveTime, err = l.duration(keyKeepAliveTime); err != nil {
		return err
	}
	if cfg.KeepAliveTimeout, err = l.duration(keyKeepAliveTimeout); err != nil {
		return err
	}
	if cfg.MaxSendBytes, err = l.number(keyMaxSend); err != nil {
		return err
	}
	cfg.MaxRecvBytes, err = l.number(keyMaxRecv)
	return err
}

// settings lists the merged settings for people.
func (l *layers) settings() []Setting {
	specs := keySpecs()
	out := make([]Setting, 0, len(specs))
	for _, spec := range specs {
		value := l.text(spec.name)
		if spec.name == keyEndpoints {
			value = strings.Join(l.list(spec.name), ",")
		}
		if user, _, ok := strings.Cut(value, ":"); ok && spec.name == keyUser {
			value = user + ":" + masked
		}
		if spec.secret && value != "" {
			value = masked
		}
		out = append(out, Setting{Name: spec.name, Value: value, Origin: l.origin(spec.name)})
	}
	return out
}
