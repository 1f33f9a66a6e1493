package ops

import "time"

// Config says how to reach a cluster. It is plain data: flags, files, contexts and discovery are resolved into it by
// others. The zero value of a duration or size means the default beside it.
type Config struct {
	Endpoints []string // client URLs ("https://10.0.0.1:2379") or host:port, at least one
	TLS       TLS
	Auth      Auth

	DialTimeout      time.Duration // of each stage of connecting to one endpoint; default 2 s
	CommandTimeout   time.Duration // of one request, dialling apart; default 5 s
	KeepAliveTime    time.Duration // between keepalive probes; default 2 s
	KeepAliveTimeout time.Duration // until a silent connection is closed; default 6 s
	MaxSendBytes     int           // of one request; default 2 MiB
	MaxRecvBytes     int           // of one answer; default math.MaxInt32
}

// TLS names the files of a client's TLS set-up. Empty CACert means the system's roots.
type TLS struct {
	CACert             string // PEM bundle that the servers' certificates are verified with
	Cert               string // PEM client certificate
	Key                string // PEM private key of Cert
	ServerName         string // verified instead of the endpoint's host
	InsecureSkipVerify bool   // do not verify the servers' certificates
}

// Enabled reports whether any setting asks for TLS; an https endpoint does by itself.
func (t TLS) Enabled() bool {
	return t.CACert != "" || t.Cert != "" || t.Key != "" || t.InsecureSkipVerify
}

// Auth holds the credentials of an etcd user: a name with a password, or a JWT. Empty means none.
type Auth struct {
	User     string
	Password string
	Token    string
}
