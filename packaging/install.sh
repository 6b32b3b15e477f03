#!/bin/sh
# Installs Potluck @VERSION@ from one-file programs: sh install.sh [worker|full] [OPTION...]
#
#   worker           potluck-worker, for a device that computes for a pool (the default)
#   full             potluck: a coordinator, and everything else
#   --from PLACE     the folder or http(s) address where the files are (default: beside this script)
#   --to FOLDER      where to put the program (default: /usr/local/bin for root, in Termux its own, else
#                    ~/.local/bin)
#   --service        start the worker with this user's session from now on (systemd); --no-service: do not ask
#
# It takes the file for this processor and refuses one whose SHA-256 is not the one below. Removal: delete the
# file that it names at the end; with a service: systemctl --user disable --now potluck-worker
set -eu

hashes='@HASHES@'

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

program=potluck-worker from='' to='' service=ask
while [ $# -gt 0 ]; do
  case $1 in
    worker) program=potluck-worker ;;
    full) program=potluck ;;
    --from) from=${2:?--from needs a folder or an address}; shift ;;
    --to) to=${2:?--to needs a folder}; shift ;;
    --service) service=yes ;;
    --no-service) service=no ;;
    -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) fail "expected worker, full, --from, --to, --service or --no-service, found '$1'" ;;
  esac
  shift
done

[ "$(uname -s)" = Linux ] || fail "expected Linux (Android is), found $(uname -s)"
case $(uname -m) in
  x86_64 | amd64) architecture=amd64 ;;
  aarch64 | arm64) architecture=arm64 ;;
  armv8l) fail "this system is of 32 bits on a processor of 64: expected aarch64" ;;
  *) fail "expected a processor of 64 bits, x86_64 or aarch64, found $(uname -m)" ;;
esac
name=$program-@VERSION@-linux-$architecture
hash=$(echo "$hashes" | sed -n "s/^\([0-9a-f]*\)  $name\$/\1/p")
[ -n "$hash" ] || fail "this release has no $name"

if [ -z "$to" ]; then
  if [ -n "${TERMUX_VERSION:-}" ] && [ -n "${PREFIX:-}" ]; then
    to=$PREFIX/bin
  elif [ "$(id -u)" -eq 0 ]; then
    to=/usr/local/bin
  else
    to=${HOME:?}/.local/bin
  fi
fi
[ -n "$from" ] || from=$(dirname "$0")
mkdir -p "$to"
new=$to/.$program.new
trap 'rm -f "$new"' EXIT
case $from in
  http://* | https://*)
    if command -v curl >/dev/null; then
      curl --fail --location --silent --show-error --output "$new" "$from/$name"
    elif command -v wget >/dev/null; then
      wget -q -O "$new" "$from/$name"
    else
      fail "neither curl nor wget is there; fetch $from/$name, and give its folder with --from"
    fi
    ;;
  *)
    [ -f "$from/$name" ] || fail "$from/$name is not there; --from names another place"
    cp "$from/$name" "$new"
    ;;
esac
found=$(sha256sum "$new" | cut -d' ' -f1)
[ "$found" = "$hash" ] || fail "$name: expected the SHA-256 $hash, found $found"
chmod 755 "$new"
"$new" version >/dev/null || fail "$name does not start here"
mv "$new" "$to/$program"
echo "$to/$program"
case :$PATH: in *":$to:"*) ;; *) echo "$to is not in PATH" ;; esac

[ "$program" = potluck-worker ] || exit 0
if ! command -v systemctl >/dev/null || ! systemctl --user show-environment >/dev/null 2>&1; then
  [ "$service" = yes ] && fail "no systemd for this user is here: start $to/$program join yourself"
  echo "next: $to/$program join"
  exit 0
fi
if [ "$service" = ask ] && [ -t 0 ]; then
  printf 'start it with your session from now on? [y/N] '
  read -r answer
  case $answer in y* | Y*) service=yes ;; esac
fi
if [ "$service" != yes ]; then
  echo "next: $to/$program join"
  exit 0
fi
units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
mkdir -p "$units"
cat >"$units/potluck-worker.service" <<UNIT
[Unit]
Description=Potluck worker: computes for a pool on this network

[Service]
Type=exec
ExecStart="$to/$program" join
Restart=always
RestartSec=10
KillMode=mixed
TimeoutStopSec=90
Nice=10

[Install]
WantedBy=default.target
UNIT
systemctl --user daemon-reload
systemctl --user enable --now potluck-worker
echo "its code: journalctl --user -u potluck-worker"
echo "also while you are not logged in: sudo loginctl enable-linger $(id -un)"
