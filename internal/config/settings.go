package config

import "strings"

// Names of the settings. They are the flags' names, and with ETCDOPS_ or ETCDCTL_ in front (upper case, _ for -) the
// variables'.
const (
	keyEndpoints          = "endpoints"
	keyCACert             = "cacert"
	keyCert               = "cert"
	keyKey                = "key"
	keyServerName         = "tls-server-name"
	keyInsecureSkipVerify = "insecure-skip-tls-verify"
	keyInsecureTransport  = "insecure-transport"
	keyInsecureDiscovery  = "insecure-discovery"
	keyDiscoverySRV       = "discovery-srv"
	keyDiscoverySRVName   = "discovery-srv-name"
	keyUser               = "user"
	keyPassword           = "password"
	keyPasswordFile       = "password-file"
	keyToken              = "auth-jwt-token"
	keyDialTimeout        = "dial-timeout"
	keyCommandTimeout     = "command-timeout"
	keyKeepAliveTime      = "keepalive-time"
	keyKeepAliveTimeout   = "keepalive-timeout"
	keyMaxSend            = "max-request-bytes"
	keyMaxRecv            = "max-recv-bytes"
	keyContext            = "context"
	keyNoDiscover         = "no-discover"
)

// keySpec is what is known of a setting before its value is.
type keySpec struct {
	name    string
	etcdctl bool // etcdctl reads a variable for it too
	secret  bool // never shown
	initial any  // the value when nobody says anything
}

// keySpecs lists the settings in the order in which they are shown.
func keySpecs() []keySpec {
	return []keySpec{
		{name: keyEndpoints, etcdctl: true, initial: "127.0.0.1:2379"},
		{name: keyCACert, etcdctl: true, initial: ""},
		{name: keyCert, etcdctl: true, initial: ""},
		{name: keyKey, etcdctl: true, initial: ""},
		{name: keyServerName, initial: ""},
		{name: keyInsecureSkipVerify, etcdctl: true, initial: false},
		{name: keyInsecureTransport, etcdctl: true, initial: true},
		{name: keyInsecureDiscovery, etcdctl: true, initial: true},
		{name: keyDiscoverySRV, etcdctl: true, initial: ""},
		{name: keyDiscoverySRVName, etcdctl: true, initial: ""},
		{name: keyUser, etcdctl: true, initial: ""},
		{name: keyPassword, etcdctl: true, secret: true, initial: ""},
		{name: keyPasswordFile, initial: ""},
		{name: keyToken, etcdctl: true, secret: true, initial: ""},
		{name: keyDialTimeout, etcdctl: true, initial: "2s"},
		{name: keyCommandTimeout, etcdctl: true, initial: "5s"},
		{name: keyKeepAliveTime, etcdctl: true, initial: "2s"},
		{name: keyKeepAliveTimeout, etcdctl: true, initial: "6s"},
		{name: keyMaxSend, etcdctl: true, initial: 0},
		{name: keyMaxRecv, etcdctl: true, initial: 0},
		{name: keyContext, initial: ""},
		{name: keyNoDiscover, initial: false},
	}
}

// variables returns the environment variables of a setting, the stronger one first.
func (k keySpec) variables() []string {
	suffix := strings.ToUpper(strings.ReplaceAll(k.name, "-", "_"))
	if k.etcdctl {
		return []string{"ETCDOPS_" + suffix, "ETCDCTL_" + suffix}
	}
	return []string{"ETCDOPS_" + suffix}
}
