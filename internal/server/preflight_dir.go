package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/datadir"
	"go.etcd.io/etcd/server/v3/storage/wal"

	"github.com/etcdops/etcdops/ops"
)

// inspectDirectory looks at the data directory without changing it: may it be written, is another process using it,
// what does it hold. What cannot be read is left for etcd to judge.
func inspectDirectory(cfg *embed.Config) (state dirState, notes []string, err error) {
	notes, err = checkEntries(cfg.Dir)
	if err != nil {
		return state, nil, err
	}
	for _, dir := range []string{cfg.Dir, walDir(cfg)} {
		if err := checkWritable(dir); err != nil {
			return state, nil, err
		}
	}
	state.initialised = wal.Exist(walDir(cfg))
	unreadable, err := state.readDatabase(datadir.ToBackendFileName(cfg.Dir))
	if err != nil {
		return state, nil, err
	}
	if unreadable != nil {
		notes = append(notes, fmt.Sprintf("%s could not be examined before the start: %v", absolute(cfg.Dir), unreadable))
	}
	if state.initialised {
		state.readLogHead(walDir(cfg))
	}
	return state, notes, nil
}

// checkEntries refuses what is no data directory of a member; a missing directory is fine.
func checkEntries(dir string) (notes []string, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, dirError(dir, err)
	}
	var foreign []string
	proxy := false
	for _, entry := range entries {
		switch entry.Name() {
		case "member", "fixtures": // fixtures holds the certificates of auto-tls
		case "proxy":
			proxy = true
		default:
			foreign = append(foreign, entry.Name())
		}
	}
	if proxy {
		return nil, refusal("ETO-3034", dir, errors.New("it is the directory of a v2 proxy, which etcd no longer has"),
			"give this member a directory of its own with --data-dir")
	}
	if len(foreign) > 0 {
		notes = []string{fmt.Sprintf("%s holds files that are not etcd's: %s", absolute(dir), strings.Join(foreign[:min(len(foreign), 5)], ", "))}
	}
	return notes, nil
}

// checkWritable refuses a directory in which files could not be made or changed. Of one that does not exist yet the
// nearest parent that does counts.
func checkWritable(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		parent := filepath.Dir(absolute(dir))
		if parent == absolute(dir) {
			return dirError(dir, err)
		}
		return checkWritable(parent)
	}
	if err != nil {
		return dirError(dir, err)
	}
	if !info.IsDir() {
		return dirError(dir, errors.New("it is not a directory"))
	}
	if err := writable(dir, info); err != nil {
		return dirError(dir, err)
	}
	return checkContentWritable(dir)
}

// checkContentWritable looks at the files that a member changes, two levels below the data directory.
func checkContentWritable(dir string) error {
	var files []string
	for _, pattern := range []string{"member", "member/snap", "member/wal", "member/snap/db", "member/wal/*.wal", "*.wal"} {
		matches, _ := filepath.Glob(filepath.Join(dir, pattern)) // fails for a malformed pattern only
		files = append(files, matches...)
	}
	slices.Sort(files)
	for _, file := range slices.Compact(files) {
		info, err := os.Stat(file)
		if err != nil {
			return dirError(file, err)
		}
		if err := writable(file, info); err != nil {
			return dirError(file, err)
		}
	}
	return nil
}

// dirError is about a directory that cannot be used as it stands.
func dirError(path string, err error) error {
	if failure, ok := errors.AsType[*fs.PathError](err); ok {
		err = failure.Err // the path is named already
	}
	return &ops.HintError{
		Code: "ETO-3030", Class: ops.ClassFailure, Op: "use data directory", Member: absolute(path), Err: err,
		Hint: "the member's user must own it and the file system must be writable: ls -ld " + absolute(path) + "; or choose another with --data-dir",
	}
}

// refusal is a guard that keeps data from harm; nothing was changed.
func refusal(code ops.Code, dir string, err error, hint string) error {
	return &ops.HintError{Code: code, Class: ops.ClassRefused, Op: "use data directory", Member: absolute(dir), Err: err, Hint: hint}
}
