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
diff "$work/first.sums" "$work/second.sums" || { echo "two builds of one commit differ"; exit 1; }
rm -rf dist && mv "$work/first/dist" dist
echo "two builds of $(git rev-parse --short HEAD) for $platform have the same bytes:"
cat "$work/first.sums"
