package script_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/etcdops/etcdops/internal/clustertest/script"
)

func TestMain(m *testing.M) {
	script.Main(m, map[string]func(){
		"probe": func() { os.Exit(probe(20*time.Second, os.Args[1:])) },
		"try":   func() { os.Exit(probe(2*time.Second, os.Args[1:])) },
	})
}

func TestScript(t *testing.T) {
	t.Parallel()
	script.Run(t, testscript.Params{Dir: "testdata"})
}

// probe is a small client for the scripts: `probe put KEY VALUE` and `probe get KEY`, with the connection from the
// variables that etcdops reads. `try` is the same for what must fail: it gives up soon.
func probe(limit time.Duration, args []string) int {
	client, err := dial()
	if err == nil {
		defer func() { _ = client.Close() }()
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		switch args[0] {
		case "put":
			_, err = client.Put(ctx, args[1], args[2])
		case "get":
			var got *clientv3.GetResponse
			if got, err = client.Get(ctx, args[1]); err == nil {
				for _, kv := range got.Kvs {
					_, _ = fmt.Fprintf(os.Stdout, "%s\n", kv.Value)
				}
			}
		}
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func dial() (*clientv3.Client, error) {
	config := clientv3.Config{
		Endpoints: strings.Split(os.Getenv("ETCDOPS_ENDPOINTS"), ","),
		Username:  os.Getenv("ETCDOPS_USER"),
		Logger:    zap.NewNop(),
	}
	if file := os.Getenv("ETCDOPS_PASSWORD_FILE"); file != "" {
		password, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		config.Password = strings.TrimSpace(string(password))
	}
	if ca := os.Getenv("ETCDOPS_CACERT"); ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		pair, err := tls.LoadX509KeyPair(os.Getenv("ETCDOPS_CERT"), os.Getenv("ETCDOPS_KEY"))
		if err != nil {
			return nil, err
		}
		config.TLS = &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{pair}}
		config.TLS.RootCAs.AppendCertsFromPEM(pem)
	}
	return clientv3.New(config)
}
