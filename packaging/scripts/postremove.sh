#!/bin/sh
# After removal: tell systemd. The data directory and the account that owns it stay, also when the package is purged: nobody
# should lose a database to a package manager.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
if [ "$1" = "purge" ] && [ -d /var/lib/etcdops ]; then
	echo "etcdops: /var/lib/etcdops is kept; remove it by hand when its data is not needed any more"
fi
