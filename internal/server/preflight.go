package server

import (
	"context"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/datadir"
)

// preflight finds out whether the member can start, before anything is touched: it reads files, binds the ports for an
// instant and asks the peers. What only etcd itself can find out is left to it. The notes are warnings.
//
// The order puts first what names the true cause: the same member started twice is a locked directory, not a port.
func preflight(ctx context.Context, s *Settings) (notes []string, err error) {
	cfg := s.Config
	notes, err = checkCertificates(cfg)
	if err != nil {
		return nil, err
	}
	state, dirNotes, err := inspectDirectory(cfg)
	if err != nil {
		return nil, err
	}
	notes = append(notes, dirNotes...)
	if err := checkLog(cfg, state); err != nil {
		return nil, err
	}
	if err := checkVersions(cfg.Dir, state); err != nil {
		return nil, err
	}
	foreign, err := checkOwner(cfg, state)
	if err != nil {
		return nil, err
	}
	notes = append(notes, foreign...)
	if err := checkAddresses(ctx, cfg); err != nil {
		return nil, err
	}
	if !state.initialised {
		if err := checkInitialCluster(cfg); err != nil {
			return nil, err
		}
		if err := checkDiscovery(ctx, cfg); err != nil {
			return nil, err
		}
	}
	return notes, checkPeers(ctx, cfg, state)
}

// walDir is where the member's write-ahead log is.
func walDir(cfg *embed.Config) string {
	if cfg.WalDir != "" {
		return cfg.WalDir
	}
	return datadir.ToWALDir(cfg.Dir)
}

// absolute is path as others can use it; the path itself where that is unknown.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
