// Command docgen writes the generated parts of docs/: the command reference, from the command tree itself, and the pages
// of error codes and of JSON documents.
// With -check it writes nothing and fails when what is there differs.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra/doc"

	"github.com/etcdops/etcdops/cmd"
)

func main() {
	check := flag.Bool("check", false, "compare instead of writing")
	flag.Parse()
	if err := run(flag.Arg(0), *check); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

// run generates into a directory of its own first, so that pages of commands that are gone go too.
func run(docs string, check bool) error {
	if docs == "" {
		return errors.New("usage: docgen [-check] DOCS-DIRECTORY")
	}
	fresh, err := os.MkdirTemp("", "docgen")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	if err := generate(fresh); err != nil {
		return err
	}
	reference := filepath.Join(docs, "reference")
	for name, write := range pages() {
		if err := renew(filepath.Join(docs, name), write, check); err != nil {
			return err
		}
	}
	if check {
		return compare(fresh, reference)
	}
	if err := os.RemoveAll(reference); err != nil {
		return err
	}
	return os.CopyFS(reference, os.DirFS(fresh))
}

// pages are the generated files beside the reference.
func pages() map[string]func(io.Writer) error {
	return map[string]func(io.Writer) error{
		"codes.md": cmd.Codes, "json.md": cmd.JSONPage, "health.md": cmd.HealthPage, "health.schema.json": cmd.HealthSchema,
		"alerts.yml": cmd.AlertRules,
	}
}

// renew writes a page, or reports that it would change.
func renew(path string, write func(io.Writer) error, check bool) error {
	var page bytes.Buffer
	if err := write(&page); err != nil {
		return err
	}
	if !check {
		return os.WriteFile(path, page.Bytes(), 0o644)
	}
	if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, page.Bytes()) {
		return fmt.Errorf("%s is not up to date: run make docs", path)
	}
	return nil
}

// generate writes one Markdown page a command into dir.
func generate(dir string) error {
	root := cmd.Tree()
	root.DisableAutoGenTag = true // the date of the run is no content
	return doc.GenMarkdownTree(root, dir)
}

// compare reports the first file that is missing, left over or different.
func compare(want, have string) error {
	if err := eachFile(want, func(name string, content []byte) error {
		got, err := os.ReadFile(filepath.Join(have, name))
		if err != nil || !bytes.Equal(got, content) {
			return fmt.Errorf("%s is not up to date: run make docs", filepath.Join(have, name))
		}
		return nil
	}); err != nil {
		return err
	}
	return eachFile(have, func(name string, _ []byte) error {
		if _, err := os.Stat(filepath.Join(want, name)); err != nil {
			return fmt.Errorf("%s belongs to no command: run make docs", filepath.Join(have, name))
		}
		return nil
	})
}

func eachFile(dir string, visit func(name string, content []byte) error) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return visit(name, content)
	})
}
