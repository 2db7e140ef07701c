#!/usr/bin/env bash
# Open-loop load on a chain of three models, for each way to serve them; prints tables in Markdown.
#
#   bench/load/slo.sh [--peer LLAMA_SERVER] [--systems LIST] [--models DIR] [--out DIR]
#                     [--threads 2] [--peer-threads 2] [--parallel 8] [--queue 8] [--paged 60]
#                     [--router SPEC] [--answer SPEC] [--check SPEC]
#                     NEUROS [FLAG OF arrivals.mjs]...
#
# Systems: resident (all weights stay), paged (--paged % of the memory of that), even (resident,
# every request of medium priority) and, with --peer, peer: llama.cpp's llama-server, one for each
# model, all at the same time. The first gives the capacity that loads are a share of, and the
# objectives. --models: where the synthetic models (NEUROS synth SPEC) are made and kept; --out:
# where the results are kept as SYSTEM.json. Both are temporary by default.
# --queue: requests that may wait for a model of ours before 429; llama-server has no such limit.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '2,15s/^# \?//p' "$0" >&2; exit 2; }

peer='' systems='' models='' out=''
threads=2 peer_threads='' parallel=8 queue=8 paged=60 context=1024
declare -A spec=([router]=stories-42m:q8_0 [answer]=smollm2-360m:q8_0 [check]=smollm2-135m:q8_0)
ids=(router answer check)
while [[ ${1:-} == --* ]]; do
  (( $# >= 2 )) || usage
  case $1 in
    --peer|--systems|--models|--out) printf -v "${1#--}" %s "$2" ;;
    --threads|--parallel|--queue|--paged) printf -v "${1#--}" %s "$2" ;;
    --peer-threads) peer_threads=$2 ;;
    --router|--answer|--check) spec[${1#--}]=$2 ;;
    *) usage ;;
  esac
  shift 2
done
(( $# >= 1 )) || usage
neuros=$1
shift
[[ -n $systems ]] || systems=resident,paged,even${peer:+,peer}
for tool in node curl; do
  command -v "$tool" >/dev/null || { echo "slo: skipped: there is no $tool"; exit 77; }
done

scratch=$(mktemp -d)
models=${models:-$scratch/models} out=${out:-$scratch/out}
mkdir -p "$models" "$out"
servers=()
stop() {
  local pid
  for pid in "${servers[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${servers[@]}"; do wait "$pid" 2>/dev/null || true; done
  servers=()
}
trap 'stop; rm -rf "$scratch"' EXIT

model_file() { echo "$models/${spec[$1]/:/-}.gguf"; }

make_models() {
  local id file
  for id in "${ids[@]}"; do
    file=$(model_file "$id")
    [[ -e $file ]] || "$neuros" synth "${spec[$id]}" -o "$file" >/dev/null
  done
}

start() {  # start COMMAND...: leaves url; its output goes to $scratch/log
  : >"$scratch/log"
  "$@" >"$scratch/log" 2>&1 &
  servers+=($!)
  local tries=0
  until url=$(grep -om1 'http://127[0-9.]*:[0-9]*' "$scratch/log") &&
      [[ $(curl -s -o /dev/null -w '%{http_code}' "$url/health") == 200 ]]; do
    if (( ++tries > 600 )) || ! kill -0 "${servers[-1]}" 2>/dev/null; then
      echo "slo: not up: $*" >&2
      cat "$scratch/log" >&2
      exit 1
    fi
    sleep 0.2
  done
}

start_neuros() {  # start_neuros FLAG...: leaves urls and memory
  local named=() id
  for id in "${ids[@]}"; do named+=("$id=$(model_file "$id")"); done
  start "$neuros" serve "${named[@]}" --port 0 -t "$threads" -c "$context" \
    --parallel "$parallel" --queue "$queue" "$@"
  urls=(--url "$url")
}

predicted_mib() {  # what the server that runs says it takes
  sed -n 's/^memory: predicted \([0-9]*\).*/\1/p' "$scratch/log" | head -1
}

start_peer() {  # one llama-server for each model: leaves urls
  local id
  urls=()
  for id in "${ids[@]}"; do
    start "$peer" -m "$(model_file "$id")" --host 127.0.0.1 --port 0 \
      -t "${peer_threads:-$threads}" --parallel "$parallel" -c $((context * parallel))
    urls+=(--url "$id=$url")
  done
}

boot() {  # boot SYSTEM: leaves urls and flags
  flags=()
  case $1 in
    resident) start_neuros ;;
    even) start_neuros; flags=(--no-priorities) ;;
    paged)
      start_neuros
      local all
      all=$(predicted_mib)
      stop
      start_neuros --memory $((all * paged / 100))MiB --weight-cache "$models/packed"
      ;;
    peer) start_peer ;;
    *) echo "slo: no system $1: expected resident, paged, even or peer" >&2; exit 2 ;;
  esac
}

make_models
files=()
for system in ${systems//,/ }; do
  boot "$system"
  pids=()
  for pid in "${servers[@]}"; do pids+=(--pid "$pid"); done
  reference=()
  (( ${#files[@]} == 0 )) || reference=(--reference "${files[0]}")
  # Ids of bytes that alone are no UTF-8: random weights give them; llama-server breaks off then.
  node "$here/arrivals.mjs" --ban 128-255 "$@" \
    "${urls[@]}" "${pids[@]}" "${flags[@]}" "${reference[@]}" \
    --name "$system" --out "$out/$system.json" >"$scratch/tables"
  files+=("$out/$system.json")
  stop
done
node "$here/report.mjs" "${files[@]}"
