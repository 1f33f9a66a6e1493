#!/bin/sh
# Before removal, not before an upgrade: stop what this package started. Data and settings stay.
set -e

case "$1" in
remove | 0 | "")
	if [ -d /run/systemd/system ]; then
		systemctl disable --now etcdops-backup.timer etcdops.service || true
	fi
	;;
esac
