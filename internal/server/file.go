package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/pkg/v3/flags"
	"go.etcd.io/etcd/server/v3/embed"
	"sigs.k8s.io/yaml"
)

// fileSettings is upstream's YAML settings file: most keys are upstream's own fields, the rest are translated here.
// Upstream's reader ends the process on a malformed URL, panics on a malformed origin and opens log files; the tests
// hold this one to it, key by key.
type fileSettings struct {
	embed.Config
	translated
}

// translated are the keys whose text is not the text of a field.
//
//nolint:tagliatelle // upstream's names
type translated struct {
	ListenPeerURLs       string   `json:"listen-peer-urls"`
	ListenClientURLs     string   `json:"listen-client-urls"`
	ListenClientHTTPURLs string   `json:"listen-client-http-urls"`
	AdvertisePeerURLs    string   `json:"initial-advertise-peer-urls"`
	AdvertiseClientURLs  string   `json:"advertise-client-urls"`
	Origins              string   `json:"cors"`
	Hosts                string   `json:"host-whitelist"`
	ClientSecurity       security `json:"client-transport-security"`
	PeerSecurity         security `json:"peer-transport-security"`
	FeatureGates         string   `json:"feature-gates"`
}

// security is one of the two sections about TLS.
//
//nolint:tagliatelle // upstream's names
type security struct {
	CertFile            string   `json:"cert-file"`
	KeyFile             string   `json:"key-file"`
	ClientCertFile      string   `json:"client-cert-file"`
	ClientKeyFile       string   `json:"client-key-file"`
	CertAuth            bool     `json:"client-cert-auth"`
	TrustedCAFile       string   `json:"trusted-ca-file"`
	AutoTLS             bool     `json:"auto-tls"`
	AllowedCNs          []string `json:"allowed-cn"`
	AllowedHostnames    []string `json:"allowed-hostname"`
	SkipClientSANVerify bool     `json:"skip-client-san-verification"`
}

// fileContent is what a settings file says.
type fileContent struct {
	config  *embed.Config
	section map[string]any // our additions
	notes   []string
}

// readFile reads and validates a settings file.
func readFile(path string) (*fileContent, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fileError(path, err, "check the path and its permissions")
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fileError(path, errors.New("it is empty: was it written completely?"), "write it again, or leave --config-file out")
	}
	content := &fileContent{notes: incompleteNotes(path, text)}
	file := &fileSettings{Config: *embed.NewConfig()}
	defaultCluster := file.InitialCluster
	if err := yaml.Unmarshal(text, file); err != nil {
		return nil, explainYAML(path, err)
	}
	var keys map[string]any
	if err := yaml.Unmarshal(text, &keys); err != nil {
		return nil, explainYAML(path, err)
	}
	if err := file.translate(path, keys, defaultCluster); err != nil {
		return nil, err
	}
	if content.section, err = ownSection(path, keys); err != nil {
		return nil, err
	}
	content.notes = append(content.notes, unknownKeys(path, keys)...)
	content.config = &file.Config
	if err := validate(content.config, path); err != nil {
		return nil, err
	}
	enforce(content.config)
	return content, nil
}

// translate fills the fields that no key fills by itself.
func (f *fileSettings) translate(path string, keys map[string]any, defaultCluster string) error {
	if gates, ok := f.ServerFeatureGate.(interface{ Set(value string) error }); ok && f.FeatureGates != "" {
		if err := gates.Set(f.FeatureGates); err != nil {
			return fileError(path, fmt.Errorf("feature-gates: %w", err), helpCommand)
		}
	}
	f.markGiven(keys)
	if err := f.translateURLs(path); err != nil {
		return err
	}
	if f.Hosts != "" {
		f.HostWhitelist = flags.NewUniqueStringsValue(f.Hosts).Values
	}
	if (f.DNSCluster != "" || len(f.DiscoveryCfg.Endpoints) > 0) && f.InitialCluster == defaultCluster {
		f.InitialCluster = ""
	}
	if f.ClusterState == "" {
		f.ClusterState = embed.ClusterStateFlagNew
	}
	f.ClientSecurity.copyTo(&f.ClientTLSInfo)
	f.PeerSecurity.copyTo(&f.PeerTLSInfo)
	f.ClientAutoTLS = f.ClientSecurity.AutoTLS
	f.PeerAutoTLS = f.PeerSecurity.AutoTLS
	if f.SelfSignedCertValidity == 0 {
		f.SelfSignedCertValidity = 1
	}
	return nil
}

// markGiven records the keys as upstream does.
func (f *fileSettings) markGiven(keys map[string]any) {
	for key := range keys {
		f.FlagsExplicitlySet[key] = true
	}
	if section, ok := keys["peer-transport-security"].(map[string]any); ok {
		for key := range section {
			f.FlagsExplicitlySet["peer-"+key] = true
		}
	}
}

// translateURLs parses the lists of URLs; an empty one leaves the default.
func (f *fileSettings) translateURLs(path string) error {
	for _, list := range []struct {
		key, text string
		field     *[]url.URL
	}{
		{"listen-peer-urls", f.ListenPeerURLs, &f.ListenPeerUrls},
		{"listen-client-urls", f.ListenClientURLs, &f.ListenClientUrls},
		{"listen-client-http-urls", f.ListenClientHTTPURLs, &f.ListenClientHttpUrls},
		{"initial-advertise-peer-urls", f.AdvertisePeerURLs, &f.AdvertisePeerUrls},
		{"advertise-client-urls", f.AdvertiseClientURLs, &f.AdvertiseClientUrls},
		{"listen-metrics-urls", f.ListenMetricsUrlsJSON, &f.ListenMetricsUrls},
	} {
		if list.text == "" {
			continue
		}
		urls, err := types.NewURLs(strings.Split(list.text, ","))
		if err != nil {
			return fileError(path, fmt.Errorf("%s: %w", list.key, err), "a URL is http://ADDRESS:PORT or https://ADDRESS:PORT")
		}
		*list.field = urls
	}
	if f.Origins == "" {
		return nil
	}
	origins := flags.NewUniqueURLsWithExceptions("", "*")
	if err := origins.Set(f.Origins); err != nil {
		return fileError(path, fmt.Errorf("cors: %w", err), "an origin is http://HOST:PORT, or * for all")
	}
	f.CORS = origins.Values
	return nil
}

// copyTo sets what the section says and clears the rest, as upstream does.
func (s *security) copyTo(info *transport.TLSInfo) {
	info.CertFile, info.KeyFile = s.CertFile, s.KeyFile
	info.ClientCertFile, info.ClientKeyFile = s.ClientCertFile, s.ClientKeyFile
	info.ClientCertAuth, info.TrustedCAFile = s.CertAuth, s.TrustedCAFile
	info.AllowedCNs, info.AllowedHostnames = s.AllowedCNs, s.AllowedHostnames
	info.SkipClientSANVerify = s.SkipClientSANVerify
}

// ownSection returns our additions in the file.
func ownSection(path string, keys map[string]any) (map[string]any, error) {
	value, given := keys[additionsSection]
	if !given || value == nil {
		return nil, nil //nolint:nilnil // no section is no additions
	}
	section, ok := value.(map[string]any)
	if !ok {
		return nil, fileError(path, errors.New(additionsSection+": want a section with one key a line"), helpCommand)
	}
	return section, nil
}

// incompleteNotes tells of a file whose last line has no end, as half-written files have.
func incompleteNotes(path string, text []byte) []string {
	if text[len(text)-1] == '\n' {
		return nil
	}
	return []string{path + " does not end with a newline: was it written completely?"}
}

// explainYAML words the parser's message for people: which key, what was expected.
func explainYAML(path string, err error) error {
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return fileError(path, err, "is the file complete, and indented with spaces?")
	}
	key := mismatch.Field
	for _, embedded := range []string{"Config.", "translated."} {
		key = strings.TrimPrefix(key, embedded)
	}
	if mismatch.Type.String() == "time.Duration" {
		return fileError(path, fmt.Errorf("%s: in a file a duration is a number of nanoseconds", key),
			fmt.Sprintf("%s: %d is ten seconds", key, 10*time.Second))
	}
	hint := helpCommand
	if mismatch.Type.Kind() == reflect.String {
		hint = "put the value in quotes"
	}
	return fileError(path, fmt.Errorf("%s: a %s does not fit, want %s", key, mismatch.Value, mismatch.Type), hint)
}

func fileError(path string, err error, hint string) error {
	return usageError("ETO-3003", "read settings file", path, err, hint)
}
