package ops

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// endpoint is a client URL taken apart.
type endpoint struct {
	text    string // as given, without blanks around it; the name that people and clientv3 know it by
	network string // "tcp" or "unix"
	address string // host:port, or the socket's path
	name    string // what a certificate has to be valid for, unless TLS.ServerName says otherwise
	secure  bool   // speak TLS
}

// CheckEndpoint reports why text is no client URL: scheme://host:port with the scheme http, https, unix or unixs, or
// host:port alone. The error is a *HintError.
func CheckEndpoint(text string) error {
	_, err := parseEndpoint(text, false)
	return err
}

// parseEndpoint takes text apart. An endpoint without a scheme, or a unix socket, speaks TLS when secure is set: the
// rule that etcd's own clients follow.
func parseEndpoint(text string, secure bool) (endpoint, error) {
	text = strings.TrimSpace(text)
	ep, err := splitEndpoint(text, secure)
	if err != nil {
		return endpoint{}, &HintError{
			Code: CodeBadEndpoint, Class: ClassUsage, Op: "read endpoint", Member: strconv.Quote(withoutUser(text)), Err: err,
			Hint: "write it as https://HOST:2379 (http:// without TLS), several separated by commas",
		}
	}
	ep.text = text
	return ep, nil
}

// withoutUser hides what stands before the @ of a URL: it may be a password.
func withoutUser(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if _, host, ok := strings.Cut(rest, "@"); found && ok {
		return scheme + "://***@" + host
	}
	return text
}

func splitEndpoint(text string, secure bool) (endpoint, error) {
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case text == "":
		return endpoint{}, errors.New("it is empty")
	case !found && (strings.HasPrefix(text, "unix:") || strings.HasPrefix(text, "unixs:")):
		scheme, rest, _ = strings.Cut(text, ":")
		return socketEndpoint(rest, scheme == "unixs" || secure)
	case !found:
		return hostEndpoint(text, secure)
	}
	switch scheme {
	case "unix", "unixs":
		return socketEndpoint(rest, scheme == "unixs" || secure)
	case "http", "https":
		host, err := hostOfURL(text)
		if err != nil {
			return endpoint{}, err
		}
		return hostEndpoint(host, scheme == "https")
	}
	return endpoint{}, fmt.Errorf("scheme %q is none of http, https, unix, unixs", scheme)
}

func hostOfURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err
		}
		return "", err
	case u.User != nil:
		return "", errors.New("a URL must not carry a user or password: use --user and --password-file")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return "", errors.New("nothing may follow the port")
	}
	return u.Host, nil
}

func hostEndpoint(hostPort string, secure bool) (endpoint, error) {
	if hostPort == "" {
		return endpoint{}, errors.New("the host is missing")
	}
	host, port, err := net.SplitHostPort(hostPort)
	var addr *net.AddrError
	switch {
	case errors.As(err, &addr):
		return endpoint{}, errors.New(addr.Err)
	case err != nil:
		return endpoint{}, err
	case host == "":
		return endpoint{}, errors.New("the host is missing")
	case strings.ContainsAny(host, " \t\n,/@"):
		return endpoint{}, fmt.Errorf("%q is no host name", host)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return endpoint{}, fmt.Errorf("port %q is no number from 1 to 65535", port)
	}
	return endpoint{network: "tcp", address: net.JoinHostPort(host, port), name: host, secure: secure}, nil
}

func socketEndpoint(file string, secure bool) (endpoint, error) {
	if file == "" {
		return endpoint{}, errors.New("the socket's path is missing")
	}
	return endpoint{network: "unix", address: file, name: path.Base(file), secure: secure}, nil
}
