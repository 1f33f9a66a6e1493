package packaging_test

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// dist is where `make packages-check` left this platform's files and `make snapshot` those of all; the tests are of what is there.
const dist = "../dist"

// skipUnless skips the test, saying what is missing, or fails it where the packages were just built to be tested.
func skipUnless(t *testing.T, there bool, missing string) {
	t.Helper()
	switch {
	case there:
	case os.Getenv("ETCDOPS_PACKAGES") != "":
		t.Fatal(missing)
	default:
		t.Skip(missing)
	}
}

// releaseFile is the one file of dist that ends so.
func releaseFile(t *testing.T, end string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dist, "etcdops_*"+end))
	if err != nil || len(found) > 1 {
		t.Fatalf("*%s: %v, %v", end, found, err)
	}
	skipUnless(t, len(found) == 1, "dist holds no *"+end+": make packages-check builds this platform's, make snapshot all")
	return found[0]
}

// platforms are those that were built, in the form linux_amd64: all that a release has with ETCDOPS_PACKAGES=all.
func platforms(t *testing.T) []string {
	t.Helper()
	if os.Getenv("ETCDOPS_PACKAGES") != "all" {
		return []string{runtime.GOOS + "_" + runtime.GOARCH}
	}
	var config struct {
		Builds []struct {
			Targets []string `yaml:"targets"`
		} `yaml:"builds"`
	}
	readYAML(t, "../.goreleaser.yaml", &config)
	if len(config.Builds) != 1 || len(config.Builds[0].Targets) < 5 {
		t.Fatalf("targets: %+v", config)
	}
	return config.Builds[0].Targets
}

// archiveOf is the archive of a platform.
func archiveOf(t *testing.T, platform string) string {
	t.Helper()
	if strings.HasPrefix(platform, "windows") {
		return releaseFile(t, "_"+platform+".zip")
	}
	return releaseFile(t, "_"+platform+".tar.gz")
}

// unpacked is the directory that an archive has in it.
func unpacked(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	if strings.HasSuffix(archive, ".zip") {
		z, err := zip.OpenReader(archive)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = z.Close() }() // only read
		if err := os.CopyFS(dir, z); err != nil {
			t.Fatal(err)
		}
	} else {
		run(t, "tar", "--extract", "--gzip", "--file", archive, "--directory", dir)
	}
	top, err := os.ReadDir(dir)
	if err != nil || len(top) != 1 {
		t.Fatalf("%s unpacks to %v, %v", archive, top, err)
	}
	return filepath.Join(dir, top[0].Name())
}

// TestArchives: each archive has the program, the names of upstream's programs, and pages that lead to nothing that is not there.
func TestArchives(t *testing.T) {
	for _, platform := range platforms(t) {
		t.Run(platform, func(t *testing.T) {
			dir := unpacked(t, archiveOf(t, platform))
			for _, name := range []string{"etcd", "etcdctl", "etcdutl"} {
				if strings.HasPrefix(platform, "windows") {
					text, err := os.ReadFile(filepath.Join(dir, name+".cmd"))
					if want := `@"%~dp0etcdops.exe" ` + name + " %*\r\n"; err != nil || string(text) != want {
						t.Errorf("%s.cmd is %q, want %q; %v", name, text, want, err)
					}
					continue
				}
				if to, err := os.Readlink(filepath.Join(dir, name)); err != nil || to != "etcdops" {
					t.Errorf("%s is a link to %q, %v", name, to, err)
				}
			}
			checkPages(t, dir)
			want := []string{"LICENSE", "completions/etcdops.bash", "completions/_etcdops", "completions/etcdops.fish", "completions/etcdops.ps1", "man/man1/etcdops.1.gz", "packaging/containers/hook"}
			if binary := "etcdops"; strings.HasPrefix(platform, "windows") {
				want = append(want, binary+".exe")
			} else {
				want = append(want, binary)
			}
			for _, name := range want {
				if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
					t.Errorf("%s: %v", name, err)
				}
			}
			if platform == runtime.GOOS+"_"+runtime.GOARCH {
				if out := run(t, filepath.Join(dir, "etcdctl"), "version"); !strings.HasPrefix(out, "etcdctl version: 3.") {
					t.Errorf("under the name etcdctl it says %q", out)
				}
			}
		})
	}
}

// TestReleaseFiles: a release has an archive for each platform, all packages for Linux, and a checksum of every file.
func TestReleaseFiles(t *testing.T) {
	sums, err := os.ReadFile(filepath.Join(dist, "checksums.txt"))
	skipUnless(t, err == nil, "dist holds no checksums.txt: make packages-check or make snapshot")
	for _, platform := range platforms(t) {
		files := []string{archiveOf(t, platform)}
		if strings.HasPrefix(platform, "linux_") {
			for _, kind := range []string{".deb", ".rpm", ".apk"} {
				files = append(files, releaseFile(t, "_"+platform+kind))
			}
		}
		for _, file := range files {
			if line := sumOf(t, file) + "  " + filepath.Base(file); !slices.Contains(strings.Split(string(sums), "\n"), line) {
				t.Errorf("checksums.txt has no line %q", line)
			}
		}
	}
}

// sumOf is the SHA-256 of a file, in hex.
func sumOf(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

var (
	pageLink = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)\s]*)?\)`)
	treeName = regexp.MustCompile(`(?:^|[\s(\x60])(packaging/[\w./-]*\w)`) // as a command or a text names it, from the top
)

// checkPages follows what README.md, and every page below dir, leads to; nothing of it may be missing.
func checkPages(t *testing.T, dir string) {
	t.Helper()
	for _, page := range []string{"README.md", "docs/README.md", "docs/runbooks/quorum-lost.md", "docs/reference/etcdops.md"} {
		if _, err := os.Stat(filepath.Join(dir, page)); err != nil {
			t.Errorf("no page %s: %v", page, err)
		}
	}
	for _, page := range pagesBelow(t, dir) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var targets []string
		for _, match := range pageLink.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(match[1], "://") {
				targets = append(targets, filepath.Join(filepath.Dir(page), match[1]))
			}
		}
		for _, match := range treeName.FindAllStringSubmatch(string(text), -1) {
			targets = append(targets, filepath.Join(dir, match[1]))
		}
		for _, target := range targets {
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s leads to a file that is not there: %v", page, err)
			}
		}
	}
}

// pagesBelow lists all pages of a tree.
func pagesBelow(t *testing.T, dir string) (pages []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}
