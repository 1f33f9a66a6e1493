package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/internal/v2keys/v2import"
)

const importV2Help = `Copies the tree of the old keys API (/v2/keys) into this cluster, where members with serve --enable-v2-keys serve it. The
source is a running etcd (2.x, or 3.x up to 3.5 with --enable-v2), or a dump of its tree.

Values, directories and the time that is left to live are kept; indexes become those of this cluster. Nothing is written
over: keys that are there already with something else are listed and the import is refused. An import that was stopped is
finished by the same command. What was written is read back and compared.

The old API lists no hidden keys (names with a leading _): name them with --path. A server's snapshot (member/snap/*.snap in its
data directory) holds them, but not what was written after it was taken: prefer a dump of a server that runs. TTLs below two seconds last two seconds.

Stop writers to the old cluster first: what they write after the read is not copied.`

// importOptions are the settings of `import v2`.
type importOptions struct {
	url, dump    string
	cacert       string
	cert, key    string
	paths        []string
	yes, dryRun  bool
	fetchTimeout time.Duration
}

// importJSON is schema etcdops.import/v1: what an import would write, or has written.
type importJSON struct {
	Schema    string   `json:"schema"`
	Source    string   `json:"source"`
	Index     uint64   `json:"source_index"` // of raft, that a server's snapshot stands at: later writes are not in it; 0: no such
	Files     int      `json:"files"`
	Dirs      int      `json:"directories"`
	Write     int      `json:"write"`
	WithTTL   int      `json:"with_ttl"`
	Present   int      `json:"present"`
	Expired   int      `json:"expired"`
	Conflicts []string `json:"conflicts"` // the first of them
	Differ    int      `json:"conflict_count"`
	Done      bool     `json:"done"`     // false: a dry run
	Verified  int      `json:"verified"` // nodes that were read back
}

func newImportCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Bring keys in from elsewhere"}
	cmd.AddCommand(newImportV2Cmd(a))
	return cmd
}

func newImportV2Cmd(a *app) *cobra.Command {
	var opts importOptions
	cmd := &cobra.Command{
		Use:   "v2 (--from-url URL | --from-dump FILE)",
		Short: "Copy the keys of an old etcd's /v2/keys into this cluster",
		Long:  importV2Help,
		Example: `  etcdops import v2 --from-url http://old:2379 --dry-run
  etcdops import v2 --from-url http://old:2379 --path / --path /_hidden
  curl 'http://old:2379/v2/keys/?recursive=true&quorum=true' > tree.json && etcdops import v2 --from-dump tree.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runImportV2(cmd, opts) },
	}
	fs := cmd.Flags()
	fs.StringVar(&opts.url, "from-url", "", "client URL of a running member of the old cluster")
	fs.StringVar(&opts.dump, "from-dump", "", "file with the answer to GET /v2/keys/?recursive=true, or member/snap/*.snap of a server")
	fs.StringVar(&opts.cacert, "from-cacert", "", "CA certificate to verify the old cluster with")
	fs.StringVar(&opts.cert, "from-cert", "", "client certificate for the old cluster")
	fs.StringVar(&opts.key, "from-key", "", "key of --from-cert")
	fs.StringArrayVar(&opts.paths, "path", []string{"/"}, "path to copy, with all below it; may be repeated")
	fs.DurationVar(&opts.fetchTimeout, "from-timeout", 5*time.Minute, "how long the old cluster may take to answer")
	fs.BoolVar(&opts.yes, "yes", false, "do not ask")
	fs.BoolVar(&opts.dryRun, "dry-run", false, "show the plan, and write nothing")
	return cmd
}

func (a *app) runImportV2(cmd *cobra.Command, opts importOptions) error {
	if (opts.url == "") == (opts.dump == "") {
		return usageError(cmd, errors.New("give --from-url or --from-dump"))
	}
	if opts.dump != "" && cmd.Flags().Changed("path") {
		return usageError(cmd, errors.New("--path is for --from-url; a dump is imported whole"))
	}
	shown := ui.NewProgress(a.io, a.structured())
	defer shown.Done()
	source, err := readSource(cmd, opts, shown.Show)
	if err != nil {
		return err
	}
	cluster, err := a.dialQuorum(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }() // what was written has been read back
	plan, err := v2import.MakePlan(cmd.Context(), cluster, source.Nodes, shown.Show)
	if err != nil {
		return err
	}
	shown.Done()
	doc := importDocument(opts, source, plan)
	if !a.structured() {
		if err := a.printImport(doc); err != nil {
			return err
		}
	}
	if err := plan.Refusal(); err != nil {
		return err
	}
	if opts.dryRun || len(plan.Write) == 0 {
		return a.finishImport(cmd, doc, opts.dryRun)
	}
	if !opts.yes {
		err := ui.Confirm(cmd.Context(), a.io, ui.Confirmation{
			Op: cmd.CommandPath(), Word: strconv.Itoa(len(plan.Write)), To: "write " + count(len(plan.Write), "node"),
		})
		if err != nil {
			return err
		}
	}
	if err := plan.Execute(cmd.Context(), cluster, shown.Show); err != nil {
		return err
	}
	doc.Done = true
	if doc.Verified, err = v2import.Verify(cmd.Context(), cluster, source.Nodes, shown.Show); err != nil {
		return err
	}
	shown.Done()
	return a.finishImport(cmd, doc, false)
}

// finishImport says what came of it.
func (a *app) finishImport(cmd *cobra.Command, doc importJSON, dry bool) error {
	return a.print(cmd, doc, func() error {
		switch {
		case doc.Done:
			return a.say(fmt.Sprintf("written; %s read back as in the source", count(doc.Verified, "node")))
		case dry:
			return a.say("dry run: nothing was changed")
		case doc.Files+doc.Dirs == 0:
			return a.say("nothing to do: the source holds no keys")
		}
		return a.say("nothing to do: all of it is there")
	})
}

func importDocument(opts importOptions, read *v2import.Source, plan *v2import.Plan) importJSON {
	source := opts.dump
	if opts.url != "" {
		source = opts.url
	}
	return importJSON{
		Schema: "etcdops.import/v1", Source: source, Index: read.Index, Files: plan.Files, Dirs: plan.Dirs, Write: len(plan.Write), WithTTL: plan.WithTTL,
		Present: plan.Present, Expired: plan.Expired, Conflicts: append([]string{}, plan.Conflicts...), Differ: plan.Differ,
	}
}

// printImport shows the plan.
func (a *app) printImport(doc importJSON) error {
	out := a.io.Out
	fmt.Fprintf(out, "%s: %s in %s\n", ui.Safe(doc.Source), count(doc.Files, "key"), count(doc.Dirs, "directory", "directories"))
	if doc.Index > 0 {
		fmt.Fprintf(out, "  a server's snapshot at index %d: what was written after it is not in it\n", doc.Index)
	}
	fmt.Fprintf(out, "  to write   %d, %d of them with a TTL\n", doc.Write, doc.WithTTL)
	fmt.Fprintf(out, "  there      %d\n", doc.Present)
	fmt.Fprintf(out, "  expired    %d\n", doc.Expired)
	_, err := fmt.Fprintf(out, "  conflicts  %d\n", doc.Differ)
	for _, p := range doc.Conflicts {
		if err == nil {
			_, err = fmt.Fprintf(out, "    %s\n", ui.Safe(p))
		}
	}
	return err
}

// count writes a number with its noun.
func count(n int, noun ...string) string {
	many := noun[0] + "s"
	if len(noun) > 1 {
		many = noun[1]
	}
	if n == 1 {
		return "1 " + noun[0]
	}
	return strconv.Itoa(n) + " " + many
}

// readSource reads the old tree.
func readSource(cmd *cobra.Command, opts importOptions, progress v2import.Progress) (*v2import.Source, error) {
	if opts.dump != "" {
		return v2import.FromFile(opts.dump)
	}
	u, err := url.Parse(opts.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usageError(cmd, fmt.Errorf("--from-url: %q is not of the form http://HOST:2379", opts.url))
	}
	settings, err := sourceTLS(opts)
	if err != nil {
		return nil, usageError(cmd, err)
	}
	client := &http.Client{Timeout: opts.fetchTimeout, Transport: &http.Transport{TLSClientConfig: settings, Proxy: nil}}
	return v2import.FromURL(cmd.Context(), client, opts.url, opts.paths, progress)
}

// sourceTLS is how the old cluster is verified, and what it is shown.
func sourceTLS(opts importOptions) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if opts.cacert != "" {
		pem, err := os.ReadFile(opts.cacert)
		if err != nil {
			return nil, fmt.Errorf("--from-cacert: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--from-cacert: %s holds no certificate", opts.cacert)
		}
	}
	if opts.cert != "" || opts.key != "" {
		pair, err := tls.LoadX509KeyPair(opts.cert, opts.key)
		if err != nil {
			return nil, fmt.Errorf("--from-cert: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}
