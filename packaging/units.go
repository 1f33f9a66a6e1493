// Package packaging holds what the packages install, for the commands that print it with other settings.
package packaging

import _ "embed"

// BackupService is the unit that takes backups, as the packages install it.
//
//go:embed systemd/etcdops-backup.service
var BackupService string

// BackupTimer is the timer of BackupService, as the packages install it.
//
//go:embed systemd/etcdops-backup.timer
var BackupTimer string
