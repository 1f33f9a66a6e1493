package packaging_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// workflow is what is looked at here of a workflow of GitHub Actions; that the rest is right is actionlint's part (make lint).
type workflow struct {
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		Timeout     int               `yaml:"timeout-minutes"` //nolint:tagliatelle // the name is GitHub's
		Permissions map[string]string `yaml:"permissions"`
		Steps       []struct {
			Uses string            `yaml:"uses"`
			With map[string]string `yaml:"with"`
			Run  string            `yaml:"run"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

// TestWorkflows: no workflow may write unless a job says so, none runs for ever, and each action is of one version.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(files) < 3 {
		t.Fatalf("workflows: %v, %v", files, err)
	}
	pinned := regexp.MustCompile(`^[\w-]+/[\w/-]+@[0-9a-f]{40}$`) // a tag can be moved
	named := regexp.MustCompile(`uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if uses := strings.Count(string(text), "uses: "); uses != len(named.FindAll(text, -1)) {
			t.Errorf("%s: not every action's version is said beside its commit", file)
		}
		var w workflow
		if err := yaml.Unmarshal(text, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
			t.Errorf("%s: whatever is not said otherwise may %v", file, w.Permissions)
		}
		for name, job := range w.Jobs {
			if job.Timeout == 0 {
				t.Errorf("%s: job %s may run for hours", file, name)
			}
			if len(job.Permissions) > 0 && filepath.Base(file) != "release.yml" {
				t.Errorf("%s: job %s may %v, though it publishes nothing", file, name, job.Permissions)
			}
			for _, step := range job.Steps {
				if step.Uses == "" {
					continue
				}
				if !pinned.MatchString(step.Uses) {
					t.Errorf("%s: job %s uses %s, which may be another tomorrow", file, name, step.Uses)
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != "false" {
					t.Errorf("%s: job %s leaves the token in the checkout", file, name)
				}
			}
		}
	}
}

// TestReleaseSecrets: what the workflow hands to goreleaser is used there.
func TestReleaseSecrets(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../.github/workflows/release.yml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range regexp.MustCompile(`(\w+): \$\{\{ secrets\.(\w+) \}\}`).FindAllStringSubmatch(string(text), -1) {
		if name := secret[1]; secret[2] != "GITHUB_TOKEN" && !strings.Contains(string(config), `"`+name+`"`) {
			t.Errorf("the secret %s is given to goreleaser, which does not use it", name)
		}
	}
}

// TestReleaseIsSigned: the image by its digest, the files by their sums; and every archive and package has its bill of materials.
func TestReleaseIsSigned(t *testing.T) {
	t.Parallel()
	var w workflow
	readYAML(t, "../.github/workflows/release.yml", &w)
	image := w.Jobs["image"]
	var commands strings.Builder
	for _, step := range image.Steps {
		commands.WriteString(step.Uses + "\n" + step.Run + "\n")
	}
	steps := regexp.MustCompile(`(?s)sigstore/cosign-installer@.*docker buildx imagetools create .*digest=.*cosign sign --yes --recursive "\$IMAGE@\$digest"`)
	if !steps.MatchString(commands.String()) || image.Permissions["id-token"] != "write" {
		t.Errorf("the image is not signed by its digest after it was pushed; it may %v:\n%s", image.Permissions, commands.String())
	}
	var config struct {
		SBOMs []struct{ Artifacts string } `yaml:"sboms"`
		Signs []struct{ Artifacts string } `yaml:"signs"`
	}
	readYAML(t, "../.goreleaser.yaml", &config)
	var described []string
	for _, s := range config.SBOMs {
		described = append(described, s.Artifacts)
	}
	if !slices.Contains(described, "archive") || !slices.Contains(described, "package") {
		t.Errorf("bills of materials are made of %q", described)
	}
	if len(config.Signs) != 1 || config.Signs[0].Artifacts != "checksum" {
		t.Errorf("signed: %v", config.Signs)
	}
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
