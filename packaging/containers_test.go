package packaging_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// containerPage is docs/containers.md, whose blocks are run with other names, addresses and directories.
type containerPage struct {
	t      *testing.T
	blocks []string
	dir    string // for /srv/etcd
	prefix string // of the names of members and containers, for m
	subnet string // for 10.89.0.
	env    []string
}

func newContainerPage(t *testing.T) *containerPage {
	t.Helper()
	image := needImage(t)
	text, err := os.ReadFile("../docs/containers.md")
	if err != nil {
		t.Fatal(err)
	}
	octet, err := rand.Int(rand.Reader, big.NewInt(1<<16))
	if err != nil {
		t.Fatal(err)
	}
	p := &containerPage{t: t, dir: t.TempDir(), prefix: "m" + strings.ToLower(rand.Text()[:6]) + "-"}
	p.subnet = fmt.Sprintf("198.%d.%d.", 18+octet.Int64()>>15, octet.Int64()&0xff) // the block for tests of networks
	network := "etcdops-" + p.prefix
	named := strings.NewReplacer("/srv/etcd", p.dir, "10.89.0.", p.subnet, "ghcr.io/etcdops/etcdops", image,
		"--network etcd", "--network "+network, "/24 etcd", "/24 "+network, "packaging/containers/hook", "containers/hook")
	member := regexp.MustCompile(`\bm(\d|\$n)`)
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		p.blocks = append(p.blocks, member.ReplaceAllString(named.Replace(block[1]), p.prefix+"$1"))
	}
	if len(p.blocks) != 6 {
		t.Fatalf("docs/containers.md has %d blocks", len(p.blocks))
	}
	binary, err := filepath.Abs(filepath.Dir(program))
	if err != nil {
		t.Fatal(err)
	}
	p.env = append(os.Environ(), "PATH="+binary+":"+os.Getenv("PATH"), "XDG_STATE_HOME="+filepath.Join(p.dir, "state"),
		"ETCDOPS_ENDPOINTS="+strings.Join([]string{p.url(1), p.url(2), p.url(3)}, ","))
	t.Cleanup(func() {
		for n := 1; n <= 3; n++ {
			if t.Failed() {
				log, _ := p.sh("docker logs --tail 8 " + p.member(n) + " 2>&1")
				t.Logf("%s:\n%s", p.member(n), log)
			}
			_, _ = p.sh("docker rm --force " + p.member(n))
		}
		_, _ = p.sh("docker network rm " + network)
	})
	return p
}

func (p *containerPage) member(n int) string { return fmt.Sprint(p.prefix, n) }

func (p *containerPage) url(n int) string { return fmt.Sprintf("http://%s1%d:2379", p.subnet, n) }

// sh runs a script as a person types it who stops at the first error.
func (p *containerPage) sh(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-ec", script)
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// block runs a block of the page with what a script says instead of a person.
func (p *containerPage) block(n int, script ...string) string {
	p.t.Helper()
	text := strings.NewReplacer(script...).Replace(p.blocks[n])
	out, err := p.sh(text)
	if err != nil {
		p.t.Fatalf("%s\n%v\n%s", text, err, out)
	}
	return out
}

// holds waits until a member itself has a key.
func (p *containerPage) holds(n int, key string) {
	p.t.Helper()
	eventually(p.t, key+" on "+p.member(n), func() (string, error) {
		out, err := p.sh("etcdops get " + key + " --consistency=s --print-value-only --endpoints " + p.url(n))
		if err == nil && strings.TrimSpace(out) != key {
			err = errors.New("it is not there")
		}
		return out, err
	})
}

// healthy waits for three voters, and for the answer OK.
func (p *containerPage) healthy() {
	p.t.Helper()
	eventually(p.t, "three healthy voters", func() (string, error) {
		out, err := p.sh("etcdops health")
		if err == nil && !strings.Contains(out, "3 of 3 voters healthy") {
			err = errors.New("not yet")
		}
		return out, err
	})
}

// destroy takes a member's container and disk.
func (p *containerPage) destroy(n int) {
	p.t.Helper()
	data := filepath.Join(p.dir, p.member(n), "data")
	if out, err := p.sh("docker kill " + p.member(n) + " && rm -rf " + data + " && install -d -m 0700 -o 65532 -g 65532 " + data); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
}

// TestLongImageDisasters carries docs/containers.md out: a member that was killed and lost its disk is recovered, then the cluster is
// rebuilt after two are destroyed.
func TestLongImageDisasters(t *testing.T) {
	clustertest.Long(t)
	if os.Geteuid() != 0 {
		t.Skip("members' directories are of the containers' user: only root may work on them")
	}
	p := newContainerPage(t)
	p.block(0)
	p.healthy()
	p.block(1)
	write := func(key string) {
		t.Helper()
		eventually(t, "put "+key, func() (string, error) { return p.sh("etcdops put " + key + " " + key) })
	}
	write("whole")
	if out := p.block(2); !strings.Contains(out, "verified") {
		t.Errorf("backup create says:\n%s", out)
	}
	p.destroy(3)
	write("without-the-third")
	out := p.block(3, "/hook\n", "/hook --yes\n") // the plan alone changes nothing
	if !strings.Contains(out, "RECOVERED") || !strings.Contains(out, "keep it from starting (container)") {
		t.Errorf("recover member says:\n%s", out)
	}
	p.holds(3, "without-the-third")
	p.healthy()

	write("before-the-end")
	p.holds(2, "before-the-end")
	p.destroy(1)
	p.destroy(3)
	if out := p.block(4); !strings.Contains(out, "POSSIBLY LOSSY") {
		t.Errorf("the plan out of one directory of three says:\n%s", out)
	}
	if out := p.block(5, "apply", "apply --yes --accept-risk=lossy"); !strings.Contains(out, "REBUILT") || !strings.Contains(out, "3 of 3 voters healthy") {
		t.Errorf("rebuild-cluster says:\n%s", out)
	}
	for n := 1; n <= 3; n++ {
		for _, key := range []string{"whole", "without-the-third", "before-the-end"} {
			p.holds(n, key)
		}
	}
	write("afterwards")
}
