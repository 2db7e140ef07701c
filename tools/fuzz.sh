#!/usr/bin/env bash
# Runs every fuzz target for a few seconds. Usage: tools/fuzz.sh BUILD_FOLDER SECONDS
# Crashers become fixtures: add the input to the target's corpus and a test beside the parser.
set -euo pipefail

build=$1
seconds=$2
corpora=$build/corpora
count=0
for target in "$build"/*_fuzz; do
  name=$(basename "$target")
  mkdir -p "$corpora/$name"
  seeds=()
  here=$(cd "$(dirname "$0")/.." && pwd)
  [ -d "$here/fuzz/$name" ] && seeds=("$here/fuzz/$name")
  log=$build/$name.log
  if ! "$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
      -artifact_prefix="$build/$name-" "$corpora/$name" "${seeds[@]}" >"$log" 2>&1; then
    tail -40 "$log"
    echo "$name: failed"
    exit 1
  fi
  printf '%-28s %s\n' "$name" "$(grep -E '^Done|stat::number_of_executed_units|DONE' "$log" | tail -1)"
  count=$((count + 1))
done
echo "$count fuzz targets ran"
[ "$count" -gt 0 ]
