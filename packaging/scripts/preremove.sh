#!/bin/sh
# Before removal, not before an upgrade: stop what this package started. Data and settings stay.
set -e

case "$1" in
remove | 0 | "")
	if [ -d /run/systemd/system ]; then
		systemctl disable --now etcdops-backup.timer etcdops.service || true
	fi
	;;
*-r[0-9]*) # Alpine: apk names the version that goes
	if [ -x /sbin/rc-service ]; then
		rc-service --ifstarted etcdops stop || true
		rc-update --quiet delete etcdops || true
	fi
	;;
esac
