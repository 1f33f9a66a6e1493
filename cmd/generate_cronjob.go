package cmd

import (
	"os"
	"strings"

	"github.com/coreos/go-semver/semver"
	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/internal/deploy"
)

// publishedImage is the image of releases, without its tag.
const publishedImage = "ghcr.io/etcdops/etcdops"

func newGenerateCronJobCmd(a *app) *cobra.Command {
	var job deploy.CronJob
	var policy backup.Policy
	var recipients string
	cmd := &cobra.Command{
		Use:   "cronjob --repo URL",
		Short: "Print a Kubernetes CronJob that takes backups on a control-plane node",
		Long: `Prints a CronJob for clusters made by kubeadm, Kubernetes 1.31 and later: it runs on a control-plane node, in the node's
network, with the client certificate that kubeadm makes for etcd's health checks. It has no capability, no service account, a
root file system that it cannot write to, and of the node's files those that it is told of. Because the certificate's key is
root's, it runs as user 0, which namespaces of the level "restricted" or "baseline" refuse, as they refuse every access to the
node: the default is kube-system.

The repository is best one that survives the nodes. A directory is one of the node that the job happens to run on: name a
mounted file system that all control-plane nodes have. Credentials of a store come from a Secret whose keys are the
variables that etcdops backup knows (AWS_ACCESS_KEY_ID, ...).`,
		Example: `  etcdops generate cronjob --repo s3://etcd-backups/prod --credentials-secret etcd-backup-s3 --recipients-file backup.pub | kubectl apply -f -
  etcdops generate cronjob --repo /mnt/nfs/etcd-backups --cron '30 3 * * *' --time-zone Europe/Berlin --keep-daily 14`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if job.Recipients, err = readRecipients(recipients); err != nil {
				return err
			}
			job.Keep = typedPolicy(cmd.Flags())
			job.Endpoints, job.Certificates = a.typedConnection(cmd)
			text, err := job.Manifest()
			if err != nil {
				return usageError(cmd, err)
			}
			_, err = a.io.Out.Write(text)
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&job.Name, "name", "etcdops-backup", "name of the CronJob")
	fs.StringVar(&job.Namespace, "namespace", "kube-system", "namespace of the CronJob")
	fs.StringVar(&job.Image, "image", releasedImage(version), "image of etcdops; a release names its own")
	fs.StringVar(&job.Repo, "repo", "", "repository: s3://BUCKET/PREFIX, azblob://CONTAINER/PREFIX, or a directory of the node")
	fs.StringVar(&recipients, "recipients-file", "", "file of age recipients (public keys) to encrypt for; it becomes a ConfigMap")
	fs.StringVar(&job.Secret, "credentials-secret", "", "Secret whose keys are the variables of the store's credentials")
	fs.StringVar(&job.Rate, "rate", "50MB", "read at most so many bytes a second, so that the cluster's writes do not wait")
	fs.StringVar(&job.SpoolSize, "spool-size", "20Gi", "room for a database on its way: twice the quota and more")
	fs.StringVar(&job.Cron, "cron", deploy.DefaultCron, "when to take backups: five fields, or @hourly, @daily, @weekly, @monthly")
	fs.StringVar(&job.Zone, "time-zone", "UTC", "time zone of --cron, as in Europe/Berlin")
	addPolicyFlags(fs, &policy)
	return cmd
}

// releasedImage is the image of a release; empty for a build that is none: there is no image of it.
func releasedImage(version string) string {
	v, err := semver.NewVersion(strings.TrimPrefix(version, "v"))
	if err != nil || v.Metadata != "" || v.PreRelease != "" {
		return ""
	}
	return publishedImage + ":" + v.String()
}

// readRecipients reads a file of public keys and makes sure that it holds nothing else.
func readRecipients(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	if _, err := backup.ReadRecipients(file); err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	return string(text), err
}
