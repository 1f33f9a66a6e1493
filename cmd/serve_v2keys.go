package cmd

import (
	"flag"
	"maps"
	"net/http"

	"github.com/etcdops/etcdops/internal/server"
	"github.com/etcdops/etcdops/internal/v2keys"
)

// serveV2Keys is the part of serve that speaks the old keys API.
type serveV2Keys struct {
	enabled bool
}

func (k *serveV2Keys) addFlags(fs *flag.FlagSet) {
	fs.BoolVar(&k.enabled, "enable-v2-keys", false,
		"Serve the old keys API (/v2/keys, /v2/members, /v2/machines, /v2/stats) from the v3 store, on every client URL. "+
			"All members should have it.")
}

// attach adds the API to the member, if it was asked for.
func (k *serveV2Keys) attach(options *server.Options) {
	if !k.enabled {
		return
	}
	keys := new(v2keys.Service)
	if options.Handlers == nil {
		options.Handlers = map[string]http.Handler{}
	}
	maps.Copy(options.Handlers, keys.Handlers())
	options.Attach = keys.Attach
}
