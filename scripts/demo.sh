#!/usr/bin/env bash
# VES on a stage, in two minutes: live traffic, a rotation, a kill -9 and the proof that nothing was
# lost, a bench, and where the charts are. Needs no network, and leaves no files or processes behind.
#
#   scripts/demo.sh          with pauses to speak in
#   scripts/demo.sh --fast   without
#
# VES=path/to/ves takes that program; else target/release/ves is taken, and built where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

is_fast=false
case "${1-}" in
  '') ;;
  --fast) is_fast=true ;;
  -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit ;;
  *) echo "demo.sh: unknown argument: $1 (expected --fast)" >&2; exit 2 ;;
esac

ves=${VES:-$root/target/release/ves}
if [[ ! -x $ves ]]; then
  [[ -z ${VES-} ]] || { echo "demo.sh: VES=$VES is not a program" >&2; exit 2; }
  cargo build --release --locked --package ves
fi
ves=$(realpath "$ves")

# In each step: seconds to read, seconds of live figures, lines per tenth of a second.
read_s=3 live_s=10 chunk=1000
bench=(bench --duration 10s)
if $is_fast; then
  read_s=0 live_s=2 chunk=300
  bench=(bench --duration 1s --lines 50000)
fi

work=$(mktemp -d -t ves-demo.XXXXXX)
ves_pid='' writer_pid=''
clean_up() {
  trap - EXIT INT TERM HUP
  # Only what this script started. The writer ends by itself when its folder is gone.
  [[ -z $ves_pid ]] || kill "$ves_pid" 2>/dev/null || true
  [[ -z $writer_pid ]] || kill "$writer_pid" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

bold='' command='' green='' red='' off='' clear='\n'
if [[ -t 1 ]]; then
  clear='\e[H\e[2J\e[3J'
  [[ -n ${NO_COLOR-} ]] ||
    bold=$'\e[1m' command=$'\e[36m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'
fi
# Each step has the screen to itself. What the one before showed stays for a while.
step() { sleep "$read_s"; printf '%b%s== %s%s\n\n' "$clear" "$bold" "$*" "$off"; sleep "$read_s"; }
say() { printf '%s\n' "$*"; }
# Shows a command as a person would type it, then runs it.
try() { printf '%s$ %s%s\n' "$command" "$1" "$off"; eval "$1"; }
fail() { printf '%s%s%s\n' "$red" "$*" "$off" >&2; exit 1; }
# Waits until a command succeeds.
wait_until() {
  local what=$1 tries=600
  shift
  until "$@"; do
    ((tries--)) || fail "waited in vain: $what; see what VES said: $(tail -n 3 said)"
    sleep 0.1
  done
}

# Shows for so many seconds what a function prints, in place on a terminal, one line a second elsewhere.
watch() {
  local second start='' end='\n'
  [[ ! -t 1 ]] || { start='\r' end='\e[K'; }
  for ((second = 0; second < $1; second++)); do
    sleep 1
    printf '%b%s%b' "$start" "$("$2")" "$end"
  done
  [[ ! -t 1 ]] || say ''
}
figures() { grep '^Throughput' said | tail -n 1 || true; }
growth() { printf 'VES is gone, the log grows: %s lines' "$(wc -l <logs/access.log)"; }

collect=(collect --watch logs/access.log --format nginx --drop 'path == "/healthz"' --add host
  --ship file:records.ndjson --state-dir state --metrics 0 --stats)
start_ves() {
  local word line='$ ves'
  for word in "${collect[@]}"; do
    [[ $word != *[^[:alnum:]_./:=-]* ]] || word="'$word'"
    if [[ $word == --* ]] && ((${#line} > 65)); then
      say "$command$line \\"
      line='     '
    fi
    line+=" $word"
  done
  say "$command$line$off"
  "$ves" "${collect[@]}" 2>>said &
  ves_pid=$!
}
is_listening() { (($(grep -c 'dashboard are at' said) == $1)); }

# The lines of a log that a real nginx wrote, over and over, each with a number at its end. The file is
# opened anew for each tenth of a second, as nginx does it when it is told that the log was rotated.
write_traffic() {
  exec awk -v sample="$root/datasets/nginx-sample.log" -v chunk="$chunk" 'BEGIN {
    while ((getline line < sample) > 0) lines[count++] = substr(line, 1, length(line) - 1)
    do {
      for (i = 0; i < chunk; i++) {
        number++
        printf "%s seq=%09d\"\n", lines[number % count], number >> "logs/access.log"
      }
      close("logs/access.log")
    } while (system("test ! -e stop && test -d logs && sleep 0.1") == 0)
  }'
}

cd "$work"
mkdir logs
: >said

step "1. Start: VES follows a log that nginx writes, drops health checks, ships JSON to a file"
say "in $work, $("$ves" --version)"
start_ves
wait_until "the dashboard" is_listening 1
say "The dashboard: $(sed -n 's/.*dashboard are at //p' said | tail -n 1)"

step "2. Traffic: about $((chunk * 10)) lines a second, each with a number"
write_traffic &
writer_pid=$!
wait_until "records" test -s records.ndjson
try 'head -n 1 logs/access.log'
try "head -n 1 records.ndjson | sed 's/,\"/,\\n  \"/g'"
say "and so on:"
watch "$live_s" figures

step "3. Rotation: the log is moved away under VES, and a new one begins"
try 'mv logs/access.log logs/access.log.1'
watch "$((live_s / 2))" figures
try 'ls -l logs'

step "4. kill -9, while lines are written; the log is rotated before VES is back"
try "kill -9 $ves_pid"
wait "$ves_pid" 2>/dev/null || true
ves_pid=''
watch "$((live_s / 2))" growth
try 'mv logs/access.log.1 logs/access.log.2; mv logs/access.log logs/access.log.1'
wait_until "a new log" test -s logs/access.log
try 'wc -l logs/access.log* records.ndjson'
say "VES starts again, and reads on from its checkpoint:"
start_ves
wait_until "the dashboard" is_listening 2
watch "$((live_s / 2))" figures

step "5. Proof: the writer ends, VES ends in order, and every number is looked for"
touch stop
wait "$writer_pid"
writer_pid=''
awk '$7 != "/healthz"' logs/access.log* | wc -l >expected
has_all() { (($(wc -l <records.ndjson) >= $(<expected))); }
wait_until "the last records" has_all
kill "$ves_pid"
wait "$ves_pid" || fail "VES did not end in order: $(tail -n 3 said)"
ves_pid=''
try "cat logs/* | awk '\$7 != \"/healthz\"' | grep -o 'seq=[0-9]*' | sort >written"
try "grep -o 'seq=[0-9]*' records.ndjson | sort >collected"
try 'wc -l <written; wc -l <collected'
try 'comm -3 written collected | wc -l    # in one of them only'
try 'uniq -d collected | wc -l            # twice'
if [[ -n $(comm -3 written collected) || -n $(uniq -d collected) || ! -s written ]]; then
  fail "Lines were lost or came twice."
fi
say "${green}Nothing was lost, nothing came twice.$off"

step "6. Bench: what this machine can do"
say "$command\$ ves ${bench[*]}$off"
"$ves" "${bench[@]}"

step "7. Charts: the newest measurements beside other collectors"
cd "$root"
newest=''
for folder in reports/20*/; do
  ! compgen -G "$folder*.png" >/dev/null || newest=$folder
done
if [[ -n $newest ]]; then
  ls "$newest"*.png
else
  say "There are none yet: reports/README.md says how they are made."
fi

say ''
say "${bold}That was VES: README.md has the rest.$off"
sleep "$read_s"
