#!/usr/bin/env bash
# Load and soundness of `neuros serve`, from start to stop, on this machine only:
#
#   bench/load/run.sh build/neuros MODEL [SECONDS]      # 60 seconds by default
#
# 64 greedy streams with aborts and malformed requests in between, then the same against a queue that
# is too short. Fails on a wrong or missing answer, on anything left behind, on memory that does not
# come back, and on a server that does not stop on SIGTERM with 0. A program built with
# -fsanitize=address must leak nothing either; its resident memory is not judged (quarantine).
set -euo pipefail

if (( $# < 2 || $# > 3 )); then
  sed -n '2,4s/^# \?//p' "$0" >&2
  exit 2
fi
program=$1 model=$2 seconds=${3:-60}
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT

if ! command -v node >/dev/null; then
  echo "load: skipped: there is no node"
  exit 77
fi
sanitized=false leaks='not looked for'
if grep -qE '__[at]san_init' "$program"; then
  sanitized=true
  if grep -q __asan_init "$program"; then leaks=none; fi
  export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:${ASAN_OPTIONS:-}
  export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}
fi

start() {  # start FLAG...: leaves server and url
  : >"$scratch/out"
  "$program" serve "$model" --port 0 "$@" >"$scratch/out" 2>"$scratch/err" &
  server=$!
  until url=$(grep -o 'http://[0-9.:]*' "$scratch/out"); do
    kill -0 "$server" 2>/dev/null || { cat "$scratch/err" >&2; exit 1; }
    sleep 0.1
  done
}

stop() {  # 0 if the server ended as it should
  local code=0
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" || code=$?
  server=
  echo "exit code            $code"
  if (( code != 0 )); then
    cat "$scratch/err" >&2
    return 1
  fi
  echo "leaks                $leaks"
}

failures=0
measure() {  # measure TITLE SECONDS SERVER_FLAGS LOAD_FLAGS
  echo "== $1: $(basename "$program") $(basename "$model")"
  start $3
  node "$here/load.mjs" "$url" --seconds "$2" $4 || failures=$((failures + 1))
  stop || failures=$((failures + 1))
}

growth=$($sanitized || echo '--growth-max 16')
measure "64 streams" "$seconds" "" "$growth"
measure "full queue" "$(( seconds < 10 ? 2 : 5 ))" "--parallel 8 --queue 4" "$growth --full-queue"
(( failures == 0 ))
