#!/bin/sh
# Installs VES from a release archive, or removes it again.
#
#     curl -fsSL ADDRESS/install.sh | VES_DOWNLOAD_URL=ADDRESS sh
#     sh install.sh --archive ves-x86_64-linux.tar.gz
#     sh install.sh --uninstall
#
# ADDRESS is the folder that holds what scripts/release made: the archive and SHA256SUMS. VES has no
# public address yet, so there is no default. --help says the rest.
#
# POSIX sh. All of it stands in braces: a shell reads up to the last brace before it does anything, so
# a script that was cut off on its way does nothing.
{
set -eu
umask 022
# The order of sort, and what a range of characters means.
LC_ALL=C
export LC_ALL

fail() {
  printf 'install.sh: error: %s\n' "$*" >&2
  exit 1
}

say() { printf '%s\n' "$*"; }

usage() {
  cat <<'END'
Installs VES, or removes it again.

Usage: install.sh [--prefix DIR] [--archive FILE]
       install.sh [--prefix DIR] --uninstall

  --prefix DIR    where to [default: /usr/local for root, else ~/.local]
  --archive FILE  install this archive; SHA256SUMS has to be beside it
  --uninstall     remove what an installation put there; configuration, checkpoints and records stay
  --help          print this

Environment:
  VES_DOWNLOAD_URL  the folder to download the archive and SHA256SUMS from, such as
                    https://example.com/ves/latest

An installation over an earlier one replaces it. Files of others are not touched.
END
}

need() { command -v "$1" >/dev/null 2>&1; }

# Sets `archive_name` to the archive for this machine.
detect_platform() {
  system=$(uname -s)
  machine=$(uname -m)
  case $system in
    Linux) ;;
    *) fail "there is no build of VES for $system: it collects logs on Linux" ;;
  esac
  case $machine in
    x86_64 | amd64) archive_name=ves-x86_64-linux.tar.gz ;;
    *) fail "there is no build of VES for $machine, only for x86_64;" \
      "build it from its source: cargo install --locked --path ." ;;
  esac
}

# download ADDRESS FILE
download() {
  if need curl; then
    curl -fsSL --retry 2 --connect-timeout 20 -o "$2" "$1" || fail "cannot download $1 (see above)"
  elif need wget; then
    wget -q -T 20 -t 3 -O "$2" "$1" || fail "cannot download $1 with wget"
  else
    fail "neither curl nor wget is here: install one of them, or download the archive and" \
      "SHA256SUMS by other means and use --archive FILE"
  fi
}

# Prints the SHA-256 of a file.
sum_of() {
  if need sha256sum; then
    sha256sum <"$1" | cut -d ' ' -f 1
  elif need shasum; then
    shasum -a 256 <"$1" | cut -d ' ' -f 1
  elif need openssl; then
    openssl dgst -sha256 -r <"$1" | cut -d ' ' -f 1
  else
    fail "sha256sum, shasum or openssl is needed to verify the archive: install one of them"
  fi
}

# verify ARCHIVE NAME SUMS: NAME is what the archive is called in the list of sums.
verify() {
  expected=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$2\$/\1/p" "$3")
  [ -n "$expected" ] || fail "SHA256SUMS has no sum for $2: is it of the same release?"
  found=$(sum_of "$1")
  [ "$found" = "$expected" ] || fail "the SHA-256 of $2 is not that of the release, nothing was" \
    "installed: expected $expected, found $found. A download that was cut short, or another file:" \
    "try again"
}

# Fails unless files can be made below the folder, which need not be there yet.
require_writable() {
  nearest=$1
  while [ ! -e "$nearest" ]; do nearest=$(dirname "$nearest"); done
  [ -d "$nearest" ] || fail "$nearest is not a folder: choose another one with --prefix DIR"
  [ -w "$nearest" ] || fail "cannot write to $nearest: run this as root, or choose a folder of your" \
    "own, such as --prefix $HOME/.local"
}

# What an earlier installation put here, a path below the prefix a line; folders that it made end in a
# slash. No path of the list leads out of the prefix.
list_entries() {
  [ ! -f "$list" ] || grep -v -e '^/' -e '\.\.' "$list" || :
}

# Prints the folders above the paths of standard input that are to be noted: those that are not there
# yet, and those that an earlier installation made. The prefix itself is `./`.
folders_above() {
  while IFS= read -r entry; do
    while [ "$entry" != . ]; do
      entry=$(dirname "$entry")
      if [ ! -d "$prefix/$entry" ] || is_ours "$entry/"; then printf '%s/\n' "$entry"; fi
    done
  done | sort -u
}

# Whether an earlier installation put this path there.
is_ours() { [ -f "$list" ] && grep -F -x -q -e "$1" "$list"; }

require_ours() {
  if [ -e "$prefix/$1" ] || [ -L "$prefix/$1" ]; then
    is_ours "$1" || fail "$prefix/$1 is there already and was not installed by this script, nothing" \
      "was changed: move it away, or choose another --prefix"
  fi
}

# Puts one file of the archive in its place, in one step: a running program is not disturbed.
place() {
  temporary=$prefix/$1.new.$$
  if [ -L "$tree/$1" ]; then
    ln -s "$(readlink "$tree/$1")" "$temporary"
  else
    case $1 in
      # The unit names the program by its full path.
      *.service) sed "s|/usr/bin/ves|$prefix/bin/ves|g" "$tree/$1" >"$temporary" ;;
      *) cp "$tree/$1" "$temporary" ;;
    esac
    mode=644
    [ -x "$tree/$1" ] && mode=755
    chmod "$mode" "$temporary"
  fi || fail "cannot write $prefix/$1"
  mv -f "$temporary" "$prefix/$1" || fail "cannot write $prefix/$1"
}

# Paths of the archive that belong on this system, in order.
tree_paths() {
  (cd "$tree" && find . -type f -o -type l) | sed 's|^\./||' | sort | while IFS= read -r entry; do
    case $entry in
      # A user's own systemd does not look there, and cannot give the service a user of its own.
      lib/systemd/*) [ "$is_root" = no ] || printf '%s\n' "$entry" ;;
      *) printf '%s\n' "$entry" ;;
    esac
  done
}

install_tree() {
  tree_paths >"$work/paths"
  printf '%s\n' "$list_path" >>"$work/paths"
  while IFS= read -r entry; do require_ours "$entry"; done <"$work/paths"
  folders_above <"$work/paths" >"$work/folders"
  sort -u "$work/paths" "$work/folders" >"$work/new"
  # The list comes first, with what was here and what is about to be: an installation that was
  # interrupted can be repeated or removed.
  list_entries | sort -u - "$work/new" >"$work/both"
  mkdir -p "$prefix/${list_path%/*}" || fail "cannot make the folder $prefix/${list_path%/*}"
  replace_list "$work/both"
  while IFS= read -r entry; do
    mkdir -p "$prefix/$entry" || fail "cannot make the folder $prefix/$entry"
  done <"$work/folders"
  while IFS= read -r entry; do
    [ "$entry" = "$list_path" ] || place "$entry"
  done <"$work/paths"
  # What an earlier version had and this one has not.
  sort -r "$work/both" | while IFS= read -r entry; do
    grep -F -x -q -e "$entry" "$work/new" || remove "$entry"
  done
  replace_list "$work/new"
}

replace_list() {
  cp "$1" "$list.new.$$" || fail "cannot write $list"
  mv -f "$list.new.$$" "$list" || fail "cannot write $list"
}

# Removes a path of the list; a folder only when it is empty.
remove() {
  case $1 in
    ./) rmdir "$prefix" 2>/dev/null || : ;;
    */) rmdir "$prefix/${1%/}" 2>/dev/null || : ;;
    *) rm -f "$prefix/$1" || fail "cannot remove $prefix/$1" ;;
  esac
}

install_ves() {
  detect_platform
  require_writable "$prefix"
  if [ -n "$archive" ]; then
    [ -f "$archive" ] || fail "--archive: there is no file $archive"
    archive_name=$(basename "$archive")
    sums=$(dirname "$archive")/SHA256SUMS
    [ -f "$sums" ] || fail "there is no $sums to verify the archive with: it is part of each release"
  else
    [ -n "${VES_DOWNLOAD_URL:-}" ] || fail "where to download VES from? It has no public address yet:" \
      "set VES_DOWNLOAD_URL to the folder that holds $archive_name and SHA256SUMS, or use" \
      "--archive FILE"
    base=${VES_DOWNLOAD_URL%/}
    say "downloading $base/$archive_name"
    archive=$work/$archive_name
    sums=$work/SHA256SUMS
    download "$base/SHA256SUMS" "$sums"
    download "$base/$archive_name" "$archive"
  fi
  verify "$archive" "$archive_name" "$sums"
  mkdir "$work/tree"
  gzip -dc "$archive" | tar -xf - -C "$work/tree" || fail "cannot unpack $archive_name"
  tree=$(echo "$work"/tree/*)
  [ -f "$tree/bin/ves" ] || fail "$archive_name is not a release archive of VES: no bin/ves in it"
  # Says, before anything is installed, whether the program runs here.
  version=$("$tree/bin/ves" --version 2>&1) || fail "the program does not run on this system:" \
    "$version. It needs glibc 2.17 or newer (any distribution since 2014 but those on musl, such as" \
    "Alpine) and a folder for temporary files that programs may be run from (TMPDIR)"
  install_tree
  say "installed $version: $prefix/bin/ves, also as ves-log-collector"
  case :${PATH:-}: in
    *":$prefix/bin:"*) ;;
    *) say "$prefix/bin is not in PATH: add  export PATH=\"$prefix/bin:\$PATH\"  to your shell's profile" ;;
  esac
  say "next: ves collect --help; examples are in $prefix/share/doc/ves/examples"
  say "remove it with: install.sh --prefix $prefix --uninstall"
}

uninstall_ves() {
  [ -f "$list" ] || fail "there is no installation of this script below $prefix (no $list); is it" \
    "below another --prefix?"
  require_writable "$prefix/${list_path%/*}"
  # Backwards, so that files come before their folders. The list itself is the last file that goes: a
  # removal that was interrupted can be repeated.
  list_entries | sort -r | grep -F -x -v -e "$list_path" >"$work/old" || :
  grep -v '/$' "$work/old" | while IFS= read -r entry; do remove "$entry"; done
  remove "$list_path"
  grep '/$' "$work/old" | while IFS= read -r entry; do remove "$entry"; done
  say "removed VES from $prefix; configuration, checkpoints and collected records are left as they are"
}

main() {
  archive=
  action=install
  is_root=no
  [ "$(id -u)" -ne 0 ] || is_root=yes
  prefix=/usr/local
  [ "$is_root" = yes ] || prefix=${HOME:?is not set: say where to install with --prefix DIR}/.local
  while [ $# -gt 0 ]; do
    case $1 in
      --prefix | --archive)
        [ -n "${2:-}" ] || fail "$1 wants a path after it"
        case $1 in --prefix) prefix=$2 ;; *) archive=$2 ;; esac
        shift
        ;;
      --prefix=?*) prefix=${1#*=} ;;
      --archive=?*) archive=${1#*=} ;;
      --uninstall) action=uninstall ;;
      --help | -h)
        usage
        return
        ;;
      *) fail "unknown argument $1; --help lists what there is" ;;
    esac
    shift
  done
  case $prefix in
    /) fail "--prefix / is not a place for VES: /usr/local is the usual one" ;;
    /*) prefix=${prefix%/} ;;
    *) prefix=$(pwd)/${prefix%/} ;;
  esac
  case $prefix in *[!A-Za-z0-9_./+@~-]*) fail "--prefix: this script wants a path without blanks" \
    "and special characters, not $prefix" ;; esac
  list_path=share/ves/installed
  list=$prefix/$list_path
  work=$(mktemp -d "${TMPDIR:-/tmp}/ves-install.XXXXXX") || fail "cannot make a folder for temporary" \
    "files below ${TMPDIR:-/tmp}: set TMPDIR to one that can be written to"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  case $action in
    install) install_ves ;;
    uninstall) uninstall_ves ;;
  esac
}

main "$@"
exit
}
