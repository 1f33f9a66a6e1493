package cmd

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/ops"
)

// prepareClient readies a command of etcdctl's: the settings of the connection are resolved as for every command of
// ours and handed over through the flags that its code reads, and one endpoint at least answers.
func (a *app) prepareClient(cmd *cobra.Command) error {
	format, err := a.upstreamFormat(cmd)
	if err != nil {
		return err
	}
	resolved, err := a.resolve(cmd)
	if err != nil {
		return err
	}
	if resolved.Config, err = a.reach(cmd, resolved.Config); err != nil {
		return err
	}
	return handOver(cmd, resolved, format)
}

// handOver sets the flags that etcdctl's code reads to the resolved settings. Secrets stay in this process. The
// variables stay for the commands that watch and lock run, but ETCDCTL_API, which etcdctl only grumbles about.
func handOver(cmd *cobra.Command, r config.Resolved, format string) error {
	settings := map[string]string{}
	for _, s := range r.Settings {
		settings[s.Name] = s.Value
	}
	cfg := r.Config
	if cfg.TLS.ServerName != upstreamServerName(r.Domain, settings["insecure-discovery"]) {
		return &ops.HintError{
			Code: codeNoServerName, Class: ops.ClassUsage, Op: cmd.CommandPath(),
			Err:  errors.New("this command cannot verify a certificate against another name (--tls-server-name " + cfg.TLS.ServerName + ")"),
			Hint: "name the endpoints as the certificate does: --endpoints https://" + cfg.TLS.ServerName + ":2379",
		}
	}
	endpoints, err := csvLine(cfg.Endpoints)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(cfg.Endpoints, func(e string) bool { return !strings.HasPrefix(e, "http://") }) {
		cfg.TLS = ops.TLS{} // nothing would use its files; etcdctl's code would fail when they are missing
	}
	secure := cfg.TLS.Enabled() || slices.ContainsFunc(cfg.Endpoints, func(e string) bool { return strings.HasPrefix(e, "https://") })
	flags := cmd.Root().PersistentFlags()
	for name, value := range map[string]string{
		"endpoints":                "[" + endpoints + "]",
		"cacert":                   cfg.TLS.CACert,
		"cert":                     cfg.TLS.Cert,
		"key":                      cfg.TLS.Key,
		"insecure-skip-tls-verify": strconv.FormatBool(cfg.TLS.InsecureSkipVerify),
		"insecure-transport":       strconv.FormatBool(!secure && settings["insecure-transport"] != "false"),
		"insecure-discovery":       settings["insecure-discovery"],
		"discovery-srv":            r.Domain, // etcdctl's code looks the endpoints up itself, and prefers them to any named
		"discovery-srv-name":       settings["discovery-srv-name"],
		"user":                     cfg.Auth.User,
		"password":                 cfg.Auth.Password,
		"auth-jwt-token":           cfg.Auth.Token,
		"dial-timeout":             cfg.DialTimeout.String(),
		"command-timeout":          cfg.CommandTimeout.String(),
		"keepalive-time":           cfg.KeepAliveTime.String(),
		"keepalive-timeout":        cfg.KeepAliveTimeout.String(),
		"max-request-bytes":        strconv.Itoa(cfg.MaxSendBytes),
		"max-recv-bytes":           strconv.Itoa(cfg.MaxRecvBytes),
		"hex":                      boolSetting(cmd, "hex"),
		"debug":                    boolSetting(cmd, "debug"),
		"write-out":                format,
	} {
		fix(flags, name, value)
	}
	if err := os.Unsetenv("ETCDCTL_API"); err != nil {
		return err
	}
	// Some code asks whether there is a limit at all. A variable of etcdctl's marks the flag by itself.
	flags.Lookup("command-timeout").Changed = origin(r, "command-timeout") != config.OriginDefault && os.Getenv("ETCDCTL_COMMAND_TIMEOUT") == ""
	return nil
}

// upstreamServerName is the name that etcdctl's code verifies instead of the endpoints' hosts: the domain whose SRV records
// name them, where all of them must speak TLS.
func upstreamServerName(domain, insecureDiscovery string) string {
	if insecure, err := strconv.ParseBool(insecureDiscovery); err != nil || insecure {
		return ""
	}
	return domain
}

func origin(r config.Resolved, name string) config.OriginKind {
	for _, s := range r.Settings {
		if s.Name == name {
			return s.Origin.Kind
		}
	}
	return config.OriginDefault
}

// errFixed keeps a flag from being marked as set; upstream's code passes over it.
var errFixed = errors.New("the value has been resolved")

// fixedValue is a flag's value that nothing changes any more. Upstream's code reads ETCDCTL_ variables once more, over what
// was resolved, and ends the process where a flag is set as well; both find a flag that is unset and cannot be.
type fixedValue struct {
	kind, text string
	secret     bool
}

// String implements pflag.Value.
func (v fixedValue) String() string { return v.text }

// Format implements fmt.Formatter: with --debug upstream's code prints all flags, and a secret must not be among them.
func (v fixedValue) Format(f fmt.State, _ rune) {
	if v.secret && v.text != "" {
		_, _ = io.WriteString(f, "********")
		return
	}
	_, _ = io.WriteString(f, v.text)
}

// Type implements pflag.Value.
func (v fixedValue) Type() string { return v.kind }

// Set implements pflag.Value. A value that is empty stays unset, which upstream's code asks of the files of TLS: a variable
// that a flag has emptied is no mistake.
func (v fixedValue) Set(string) error {
	if v.text == "" {
		return errFixed
	}
	return nil
}

func fix(flags *pflag.FlagSet, name, value string) {
	f := flags.Lookup(name)
	secret := name == "password" || name == "auth-jwt-token"
	f.Value, f.Changed = fixedValue{f.Value.Type(), value, secret}, false
}

func csvLine(fields []string) (string, error) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.Write(fields); err != nil {
		return "", fmt.Errorf("pass endpoints on: %w", err)
	}
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n"), w.Error()
}

// boolSetting reads a flag of the client's output, or its variable.
func boolSetting(cmd *cobra.Command, name string) string {
	f := cmd.Flags().Lookup(name)
	if !f.Changed {
		if value, err := strconv.ParseBool(outputVariable(name)); err == nil {
			return strconv.FormatBool(value)
		}
	}
	return f.Value.String()
}

// outputVariable reads a variable of the client's output: our name before etcdctl's.
func outputVariable(flag string) string {
	suffix := strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	if value := os.Getenv("ETCDOPS_" + suffix); value != "" {
		return value
	}
	return os.Getenv("ETCDCTL_" + suffix)
}
