#!/bin/sh
# assemble.sh FOLDER ROOT: puts into ROOT the files of the image, the PROGRAMS out of FOLDER among them.
# Runs in the Containerfile's stage `assembled`, on a Debian that has what they need installed.
#
# What else is installed there (a shell, perl, dpkg) stays behind: a file is in the image because a
# program of ours calls it, or is linked to it.
set -eu
folder=$1
root=$2
copied=$(mktemp)

die() { printf 'assemble.sh: %s\n' "$*" >&2; exit 1; }

# put FILE: into ROOT, at its place; of a symbolic link also what it leads to. /lib is /usr/lib here.
put() {
  place=$(realpath "$(dirname "$1")")
  mkdir -p "$root$place"
  cp -a "$1" "$root$place/"
  echo "$place/$(basename "$1")" >>"$copied"
  [ ! -L "$1" ] || put "$(realpath "$1")"
}

# put_libraries FILE...: those that the files are linked to, and the loader.
put_libraries() {
  for file; do
    libraries=$(ldd "$file" 2>&1) || die "$file: $libraries"
    ! echo "$libraries" | grep 'not found' >&2 ||
      die "$file: the libraries above are not here: add their packages to the Containerfile"
    for library in $(echo "$libraries" | grep -o '/[^ ]*\.so[^ ]*'); do
      put "$library"
    done
  done
}

mkdir -p "$root/usr/local/bin" "$root/usr/lib" "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib64" "$root/run"
for link in bin lib lib64 sbin; do ln -s "usr/$link" "$root/$link"; done

for program in $PROGRAMS; do
  [ -e "$folder/$program" ] || die "$program was not built"
  strip -o "$root/usr/local/bin/$program" "$folder/$program"
  put_libraries "$folder/$program"
done
# For pods with portolan.dev/udp: tproxy, see docs/forwarder.md. Not +ep: with `e` no pod without that
# capability could start it.
setcap cap_net_raw+p "$root/usr/local/bin/portolan-proxy"

extensions=$(dirname "$(find /usr/lib -name libxt_owner.so)")
put_libraries /usr/sbin/xtables-nft-multi /usr/sbin/xtables-legacy-multi /usr/bin/ip "$extensions"/*.so
for file in /usr/sbin/iptables-nft* /usr/sbin/ip6tables-nft* /usr/sbin/iptables-legacy* \
  /usr/sbin/ip6tables-legacy* /usr/bin/ip "$extensions"/*.so; do
  put "$file"
done

put /etc/ssl/certs/ca-certificates.crt
put /etc/os-release
mkdir -p "$root/var/lib"
ln -s ../run "$root/var/run"
install -d -o 1337 -g 1337 "$root/var/lib/portolan"
echo 'root:x:0:0::/:/nonexistent
portolan:x:1337:1337::/var/lib/portolan:/nonexistent' >"$root/etc/passwd"
echo 'root:x:0:
portolan:x:1337:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

# Of each package that a file is from: its licence, and its version where scanners for known
# vulnerabilities look in an image without dpkg. The package may know the file by its place before /usr.
install -D -m 644 /LICENSE "$root/usr/share/doc/portolan/copyright"
mkdir -p "$root/var/lib/dpkg/status.d"
packages=$(sort -u "$copied" | sed 'p; s|^/usr/|/|' | xargs dpkg-query -S 2>/dev/null | sed 's/:.*//' |
  sort -u)
[ -n "$packages" ] || die "dpkg knows none of the files"
for package in $packages ca-certificates nlohmann-json3-dev libcli11-dev; do
  install -D -m 644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
  dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"
done
