#!/bin/sh
# build.sh VERSION ARCHIVE: builds the image from the programs in build/bin, by ./dev image, as root.
#
# No container engine, no registry: the base is made of Debian's packages (once a day: build/image keeps
# it), and the Containerfile's commands run in a chroot. Same commit, same day: the same bytes.
set -eu
version=$1
archive=$2
work=build/image
epoch=${SOURCE_DATE_EPOCH:?the time that the files of the image get}

# In a chroot "/" may be no mount point, and buildah cannot make it private. So it becomes one, in a mount
# namespace of which only the true root, where nsenter goes, can be made private.
if ! mountpoint -q /; then
  mkdir -p "$work/root"
  exec unshare --mount --propagation unchanged sh -euc '
    nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /
    mount --rbind / "$1"
    exec chroot "$1" env --chdir="$PWD" "$2" "$3" "$4"' - "$PWD/$work/root" "$0" "$version" "$archive"
fi

say() { printf '==> %s\n' "$*"; }

if [ -z "$(find "$work" -name base.tar -mtime -1)" ]; then
  say "making a Debian 12 to build the image on"
  mmdebstrap --quiet --variant=minbase bookworm "$work/base.part.tar"
  mv "$work/base.part.tar" "$work/base.tar"
fi

say "building the image"
# A storage of its own, for this build alone; plain folders (vfs), as overlays do not go everywhere.
buildah="buildah --root $PWD/$work/storage --runroot $PWD/$work/run --storage-driver vfs"
trap 'rm -rf "$work/storage" "$work/run"' EXIT
rm -rf "$work/storage" "$work/run" "$archive"
exec >"$work/log" 2>&1
base=$($buildah from scratch)
$buildah add "$base" "$work/base.tar" /
$buildah commit --rm "$base" localhost/base
$buildah build --isolation chroot --timestamp "$epoch" -f manifests/image/Containerfile \
  --build-arg BASE=localhost/base --build-arg PROGRAMS_FROM=built --build-arg VERSION="$version" \
  -t "localhost/portolan:$version" .
# The name that Kubernetes makes of portolan:$version.
$buildah push "localhost/portolan:$version" "oci-archive:$archive:docker.io/library/portolan:$version"
