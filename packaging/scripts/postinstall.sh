#!/bin/sh
# After installing or upgrading: make the account and the directories, tell systemd. The service is never started or restarted
# here: which member goes down when is the operator's choice.
set -e

if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers etcdops.conf
elif ! getent passwd etcdops >/dev/null 2>&1; then
	if command -v useradd >/dev/null 2>&1; then
		useradd --system --user-group --home-dir /var/lib/etcdops --no-create-home --shell /usr/sbin/nologin etcdops
	else # Alpine
		addgroup -S etcdops
		adduser -S -D -H -h /var/lib/etcdops -s /sbin/nologin -G etcdops etcdops
	fi
fi

install -d -m 0700 -o etcdops -g etcdops /var/lib/etcdops
install -d -m 0750 -o root -g etcdops /etc/etcdops /etc/etcdops/pki

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi

if [ "$1" = "configure" ] && [ -z "$2" ] || [ "$1" = "1" ]; then
	echo "etcdops: settings in /etc/default/etcdops; start with: systemctl enable --now etcdops"
elif [ -x /etc/init.d/etcdops ]; then # Alpine: apk runs this script at the first installation only
	echo "etcdops: settings in /etc/default/etcdops; start with: rc-update add etcdops && rc-service etcdops start"
elif [ -d /run/systemd/system ] && systemctl is-active --quiet etcdops; then
	echo "etcdops: the running member is still the old version; restart one member at a time: systemctl restart etcdops && etcdops health"
fi
