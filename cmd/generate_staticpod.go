package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// staticPodOptions are the settings of a static pod of `serve`.
type staticPodOptions struct {
	name           string
	address        string
	image          string
	initialCluster string
	initialState   string
	dataDir        string
	pkiDir         string
	user           int64
}

func (o *staticPodOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.name, "name", "", "the member's name; kubeadm takes the node's")
	fs.StringVar(&o.address, "address", "", "the machine's IP address, that members and clients connect to")
	fs.StringVar(&o.image, "image", "", "the image, with its tag or digest")
	fs.StringVar(&o.initialCluster, "initial-cluster", "", "all members as NAME=PEER-URL, separated by commas (default: this one alone)")
	fs.StringVar(&o.initialState, "initial-cluster-state", "new", "new, or existing for a member that was added to a cluster")
	fs.StringVar(&o.dataDir, "data-dir", "/var/lib/etcd", "the data directory on the machine")
	fs.StringVar(&o.pkiDir, "pki-dir", "/etc/kubernetes/pki/etcd", "directory of ca.crt, server.crt, server.key, peer.crt and peer.key on the machine")
	fs.Int64Var(&o.user, "run-as-user", 0, "user ID of the process; data and keys must be its own (kubeadm's are root's)")
}

func (o *staticPodOptions) validate(cmd *cobra.Command) error {
	switch {
	case o.name == "" || o.address == "" || o.image == "":
		return usageError(cmd, errors.New("--name, --address and --image are needed"))
	case o.initialState != "new" && o.initialState != "existing":
		return usageError(cmd, fmt.Errorf("--initial-cluster-state is new or existing, not %q", o.initialState))
	case o.initialState == "existing" && o.initialCluster == "":
		return usageError(cmd, errors.New("a member that joins needs --initial-cluster: etcdops member add prints it"))
	case !filepath.IsAbs(o.dataDir) || !filepath.IsAbs(o.pkiDir):
		return usageError(cmd, errors.New("--data-dir and --pki-dir are absolute paths"))
	case o.user < 0:
		return usageError(cmd, fmt.Errorf("--run-as-user is a user ID, not %d", o.user))
	}
	if _, err := netip.ParseAddr(o.address); err != nil {
		return usageError(cmd, fmt.Errorf("--address is an IP address: %w", err))
	}
	return nil
}

func newGenerateStaticPodCmd(a *app) *cobra.Command {
	var o staticPodOptions
	cmd := &cobra.Command{
		Use:   "static-pod",
		Short: "Print the manifest of a static pod that runs etcdops serve",
		Long: `Prints the manifest of a static pod for the kubelet, set up as kubeadm does for etcd: its certificates, the host's network,
metrics and probes on 127.0.0.1:2381, the priority of a part of the node. The container has no capabilities, a root file
system that cannot be written, and no way to more rights.

In the place of kubeadm's manifest it runs the same data: name, directories and certificates are the same.`,
		Example: `  etcdops generate static-pod --name cp-3 --address 10.0.0.3 --image registry.example.com/etcdops:1.0 > etcd.yaml
  etcdops generate static-pod --name cp-3 --address 10.0.0.3 --image registry.example.com/etcdops:1.0 \
    --initial-cluster cp-1=https://10.0.0.1:2380,cp-3=https://10.0.0.3:2380 --initial-cluster-state existing`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			text, err := o.manifest()
			if err != nil {
				return err
			}
			_, err = a.io.Out.Write(text)
			return err
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// staticPodHead explains the file to who finds it.
const staticPodHead = `# A static pod of etcdops serve, by "etcdops generate static-pod". The kubelet runs every file of its directory whose name
# does not begin with a dot: keep no copy there. Put it there by a rename, from a directory of the same file system.
`

func (o *staticPodOptions) url(host, port string) string {
	return "https://" + net.JoinHostPort(host, port)
}

// command is that of the container. Its paths are those of the machine.
func (o *staticPodOptions) command() []string {
	peer, client := o.url(o.address, "2380"), o.url(o.address, "2379")
	cluster := o.initialCluster
	if cluster == "" {
		cluster = o.name + "=" + peer
	}
	file := func(name string) string { return path.Join(o.pkiDir, name) }
	return []string{
		"etcdops", "serve",
		"--advertise-client-urls=" + client,
		"--cert-file=" + file("server.crt"),
		"--client-cert-auth=true",
		"--data-dir=" + o.dataDir,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=" + cluster,
		"--initial-cluster-state=" + o.initialState,
		"--key-file=" + file("server.key"),
		"--listen-client-urls=https://127.0.0.1:2379," + client,
		"--listen-metrics-urls=http://127.0.0.1:2381",
		"--listen-peer-urls=" + peer,
		"--name=" + o.name,
		"--peer-cert-file=" + file("peer.crt"),
		"--peer-client-cert-auth=true",
		"--peer-key-file=" + file("peer.key"),
		"--peer-trusted-ca-file=" + file("ca.crt"),
		"--trusted-ca-file=" + file("ca.crt"),
	}
}

// podKeys is a mapping of the manifest; they are written in the order of the alphabet, as kubeadm does.
type podKeys map[string]any

// podProbe asks the member's own metrics listener.
func podProbe(where string, period, failures int) podKeys {
	return podKeys{
		"httpGet":          podKeys{"host": "127.0.0.1", "path": where, "port": "probe-port", "scheme": "HTTP"},
		"periodSeconds":    period,
		"failureThreshold": failures,
		"timeoutSeconds":   15,
	}
}

func (o *staticPodOptions) manifest() ([]byte, error) {
	mount := func(name, dir string, readOnly bool) podKeys {
		return podKeys{"name": name, "mountPath": dir, "readOnly": readOnly}
	}
	volume := func(name, dir, kind string) podKeys {
		return podKeys{"name": name, "hostPath": podKeys{"path": dir, "type": kind}}
	}
	container := podKeys{
		"name": "etcd", "image": o.image, "imagePullPolicy": "IfNotPresent", "command": o.command(),
		"livenessProbe":  podProbe("/livez", 10, 8),
		"readinessProbe": podProbe("/readyz", 1, 3),
		// A day: a member that joins with much data is not ended while it receives them.
		"startupProbe": podProbe("/livez", 10, 8640),
		"ports":        []podKeys{{"containerPort": 2381, "name": "probe-port", "protocol": "TCP"}},
		"resources":    podKeys{"requests": podKeys{"cpu": "100m", "memory": "100Mi"}},
		"securityContext": podKeys{
			"allowPrivilegeEscalation": false, "capabilities": podKeys{"drop": []string{"ALL"}}, "readOnlyRootFilesystem": true,
			"runAsUser": o.user, "runAsGroup": o.user, "runAsNonRoot": o.user != 0,
		},
		"volumeMounts": []podKeys{mount("etcd-data", o.dataDir, false), mount("etcd-certs", o.pkiDir, true)},
	}
	pod := podKeys{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": podKeys{
			"name": "etcd", "namespace": "kube-system", "labels": podKeys{"component": "etcd", "tier": "control-plane"},
			"annotations": podKeys{"kubeadm.kubernetes.io/etcd.advertise-client-urls": o.url(o.address, "2379")},
		},
		"spec": podKeys{
			"containers": []podKeys{container}, "hostNetwork": true,
			"priority": 2000001000, "priorityClassName": "system-node-critical",
			"securityContext": podKeys{"seccompProfile": podKeys{"type": "RuntimeDefault"}},
			// A member hands its leadership over and closes its streams before it ends.
			"terminationGracePeriodSeconds": 60,
			"volumes":                       []podKeys{volume("etcd-data", o.dataDir, "DirectoryOrCreate"), volume("etcd-certs", o.pkiDir, "Directory")},
		},
	}
	out := bytes.NewBufferString(staticPodHead)
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	err := errors.Join(enc.Encode(pod), enc.Close())
	return out.Bytes(), err
}
