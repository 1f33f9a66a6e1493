#!/usr/bin/env bash
# Builds the archive and the packages of this machine's platform twice, in two directories, and compares every byte. The first
# build is left in dist/. What is built is the last commit. GORELEASER names the program (make packages-check does).
set -euo pipefail
cd "$(dirname "$0")/.."
platform=$(go env GOOS)_$(go env GOARCH)
work=$PWD/build/packages
rm -rf "$work" && mkdir -p "$work"

snapshot() { # snapshot DIRECTORY
  git clone --quiet --no-local . "$1"
  cd "$1"
  # A release is made of a tag in the project's own repository: file times and versions come from there.
  git remote set-url origin https://github.com/etcdops/etcdops.git
  git tag --force v0.0.0 >/dev/null
  sed "s/^    targets: .*/    targets: [$platform]/" .goreleaser.yaml >"$1.yaml"
  grep -q "targets: \[$platform\]" "$1.yaml"
  # syft and cosign, for bills of materials and signatures, are on the machine of releases only.
  "$GORELEASER" release --snapshot --clean --skip=sbom,sign --config "$1.yaml" >"$1.log" 2>&1 || { cat "$1.log"; exit 1; }
}

"$GORELEASER" check
(snapshot "$work/first")
(snapshot "$work/second")
sums() { cd "$1/dist" && find . -maxdepth 1 -type f \( -name '*.tar.gz' -o -name '*.deb' -o -name '*.rpm' -o -name '*.apk' -o -name checksums.txt \) -exec sha256sum {} + | sort -k 2; }
(sums "$work/first") >"$work/first.sums"
(sums "$work/second") >"$work/second.sums"
for kind in tar.gz deb rpm apk; do
  grep -q "\.$kind\$" "$work/first.sums" || { echo "no .$kind was built"; exit 1; }
done
# The names of upstream's programs are links; a copy of the tree that lost them must not become a release.
tar -tvzf "$work"/first/dist/*.tar.gz >"$work/archive"
for name in etcd etcdctl etcdutl; do
  grep -q "/$name -> etcdops\$" "$work/archive" || { echo "the archive has no link $name"; exit 1; }
done
# What the cask names must be in the archive, below the directory that its renames take away.
sed -n 's/^ *\(manpage\|[a-z]*_completion\) "\(.*\)"$/\2/p' "$work"/first/dist/homebrew/Casks/etcdops.rb >"$work/cask"
[ "$(wc -l <"$work/cask")" -gt 50 ] || { echo "the cask names no manual pages"; exit 1; }
while read -r path; do
  grep -q " etcdops_[^/]*/$path\$" "$work/archive" || { echo "the cask names $path, which is not in the archive"; exit 1; }
done <"$work/cask"
diff "$work/first.sums" "$work/second.sums" || { echo "two builds of one commit differ"; exit 1; }
rm -rf dist && mv "$work/first/dist" dist
echo "two builds of $(git rev-parse --short HEAD) for $platform have the same bytes:"
cat "$work/first.sums"
