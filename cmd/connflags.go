package cmd

import (
	"time"

	"github.com/spf13/pflag"
)

// connFlags are the settings of the connection, under etcdctl's names where it has them. They hold what was typed;
// internal/config resolves them with the environment, contexts and discovery.
type connFlags struct {
	endpoints          []string
	caCert, cert, key  string
	serverName         string
	insecureSkipVerify bool
	insecureTransport  bool
	insecureDiscovery  bool
	discoverySRV       string
	discoverySRVName   string
	user, password     string
	passwordFile       string
	token              string
	dialTimeout        time.Duration
	commandTimeout     time.Duration
	keepAliveTime      time.Duration
	keepAliveTimeout   time.Duration
	maxSend, maxRecv   int
	hex, debug         bool
	context            string
	noDiscover         bool
	showOrigin         bool
}

func (c *connFlags) addTo(fs *pflag.FlagSet) {
	fs.StringSliceVar(&c.endpoints, "endpoints", []string{"127.0.0.1:2379"}, "client URLs of the members, separated by commas")
	fs.StringVar(&c.caCert, "cacert", "", "CA bundle that the servers' certificates are verified with")
	fs.StringVar(&c.cert, "cert", "", "client certificate")
	fs.StringVar(&c.key, "key", "", "private key of the client certificate")
	fs.StringVar(&c.serverName, "tls-server-name", "", "name to verify in the servers' certificates instead of the endpoint's host")
	fs.BoolVar(&c.insecureSkipVerify, "insecure-skip-tls-verify", false, "do not verify the servers' certificates (for tests only)")
	fs.BoolVar(&c.insecureTransport, "insecure-transport", true, "allow connections without TLS to endpoints that are not https")
	fs.BoolVar(&c.insecureDiscovery, "insecure-discovery", true, "accept SRV records of endpoints without TLS")
	fs.StringVarP(&c.discoverySRV, "discovery-srv", "d", "", "domain whose SRV records list the endpoints")
	fs.StringVar(&c.discoverySRVName, "discovery-srv-name", "", "service name to ask for in SRV discovery")
	fs.StringVar(&c.user, "user", "", "etcd user; the password comes from --password-file or a prompt")
	fs.StringVar(&c.password, "password", "", "etcd password (visible to other users of this machine: prefer --password-file)")
	fs.StringVar(&c.passwordFile, "password-file", "", "file that holds the password and nothing else; - for standard input")
	fs.StringVar(&c.token, "auth-jwt-token", "", "JWT to authenticate with, instead of --user")
	fs.DurationVar(&c.dialTimeout, "dial-timeout", 2*time.Second, "limit of each stage of connecting")
	fs.DurationVar(&c.commandTimeout, "command-timeout", 5*time.Second, "limit of one request")
	fs.DurationVar(&c.keepAliveTime, "keepalive-time", 2*time.Second, "time between keepalive probes")
	fs.DurationVar(&c.keepAliveTimeout, "keepalive-timeout", 6*time.Second, "silence after which a connection is closed")
	fs.IntVar(&c.maxSend, "max-request-bytes", 0, "largest request in bytes (0: 2 MiB)")
	fs.IntVar(&c.maxRecv, "max-recv-bytes", 0, "largest answer in bytes (0: 2 GiB)")
	fs.BoolVar(&c.hex, "hex", false, "print byte strings in hexadecimal")
	fs.BoolVar(&c.debug, "debug", false, "log what the client does")
	fs.StringVar(&c.context, "context", "", "named context to use (etcdops context list)")
	fs.BoolVar(&c.noDiscover, "no-discover", false, "do not look for a cluster's certificates and endpoints on this machine")
	fs.BoolVar(&c.showOrigin, "show-origin", false, "say where each setting of the connection came from")
}
