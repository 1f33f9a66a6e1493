package deploy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"text/template"
	"time"

	"github.com/etcdops/etcdops/backup/schedule"
)

// CronJob are the settings of a Kubernetes CronJob that takes backups on a control-plane node of kubeadm's. The zero value of a
// field means the default beside it.
type CronJob struct {
	Name, Namespace string   // default etcdops-backup in kube-system
	Image           string   // required
	Repo            string   // required: a URL, or a directory of the node
	Endpoints       []string // default https://127.0.0.1:2379, the node's own member
	Certificates             // files of the node; default those of kubeadm
	Recipients      string   // what a file of age recipients holds; empty: not encrypted
	Secret          string   // whose keys are the variables of the store's credentials
	Rate            string   // bytes a second; default 50MB
	Keep            []string // flags of backup prune that name rules; none: nothing is removed
	Cron, Zone      string   // when; default every six hours, UTC
	SpoolSize       string   // room for a database on its way; default 20Gi
}

// KubeadmCertificates are the files that kubeadm makes for health checks of etcd: they let a client in and are no server's.
func KubeadmCertificates() Certificates {
	const dir = "/etc/kubernetes/pki/etcd/"
	return Certificates{dir + "ca.crt", dir + "healthcheck-client.crt", dir + "healthcheck-client.key"}
}

func (c *CronJob) defaults() {
	kubeadm := KubeadmCertificates()
	for field, value := range map[*string]string{
		&c.Name: "etcdops-backup", &c.Namespace: "kube-system", &c.Cron: DefaultCron, &c.Zone: "UTC", &c.SpoolSize: "20Gi", &c.Rate: "50MB",
		&c.CA: kubeadm.CA, &c.Cert: kubeadm.Cert, &c.Key: kubeadm.Key,
	} {
		if *field == "" {
			*field = value
		}
	}
	if len(c.Endpoints) == 0 {
		c.Endpoints = []string{"https://127.0.0.1:2379"}
	}
}

// Directory is the repository where it is a directory of the node.
func (c *CronJob) Directory() string { return (&Units{Repo: c.Repo}).directory() }

func (c *CronJob) check() error {
	if c.Repo == "" {
		return errors.New("a repository is needed: the pod's own disk ends with the pod")
	}
	if c.Image == "" {
		return errors.New("an image is needed: this build is no release, and there is none of it (--image)")
	}
	for _, file := range []string{c.CA, c.Cert, c.Key, c.Directory()} {
		if file != "" && !path.IsAbs(file) {
			return fmt.Errorf("%q: the node needs absolute paths", file)
		}
	}
	label := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$`) // a CronJob's name has 11 characters less than a Job's
	if !label.MatchString(c.Name) || !label.MatchString(c.Namespace) {
		return fmt.Errorf("%q in %q: names are of small letters, digits and dashes, and at most 52 long", c.Name, c.Namespace)
	}
	if _, err := schedule.Parse(c.Cron, c.Zone, 0, ""); err != nil {
		return err
	}
	if strings.HasPrefix(c.Cron, "@every") {
		return fmt.Errorf("cron expression %q: %w", c.Cron, errNotFiveFields)
	}
	if fields := strings.Fields(c.Cron); len(fields) == 5 && fields[2] != "*" && fields[4] != "*" {
		return fmt.Errorf("cron expression %q: Kubernetes takes days that fit the month or the week, and the schedulers here those that fit both: name one", c.Cron)
	}
	return nil
}

//go:embed cronjob.yaml.tmpl
var cronJobText string

// Manifest writes the CronJob, and a ConfigMap before it where backups are encrypted. The program says in it what the cluster's
// owner must know.
func (c CronJob) Manifest() ([]byte, error) {
	c.defaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	t, err := template.New("cronjob").Funcs(template.FuncMap{"text": yamlText, "indent": indent}).Parse(cronJobText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, struct {
		CronJob
		RepoArg, Dir string
		Limit        time.Duration
	}{c, c.repoArg(), c.Directory(), 6 * time.Hour})
	return b.Bytes(), err
}

// RepoMount is where a directory of the node is seen by the pod.
const repoMount = "/backups"

func (c *CronJob) repoArg() string {
	if c.Directory() != "" {
		return repoMount
	}
	return c.Repo
}

// yamlText quotes a text: JSON's quoting is YAML's too.
func yamlText(text string) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(text)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// indent moves the lines of a text to the right.
func indent(by int, text string) string {
	space := strings.Repeat(" ", by)
	return space + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+space)
}
