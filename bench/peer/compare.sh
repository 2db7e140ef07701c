#!/usr/bin/env bash
# Neuros beside llama.cpp on the same files in the same run. Prints a table.
# Usage: bench/peer/compare.sh [NEUROS] [THREADS] [SPEC...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
neuros=${1:-$here/../../build/neuros}
threads=${2:-2}
shift $(($# < 2 ? $# : 2))
specs=("$@")
[ ${#specs[@]} -gt 0 ] || specs=(llama-1b:q4_k_m llama-1b:q8_0 llama-1b:q4_0 llama-1b:tq2_0 llama-1b:bf16)

[ -d "$here/node_modules" ] || (cd "$here" && npm install --silent)
value() { node -e 'const j=JSON.parse(require("fs").readFileSync(0));console.log(eval("j."+process.argv[1]).toFixed(1))' "$1"; }

printf '| model | prefill tok/s | peer | ratio | of roof | decode tok/s | peer | ratio | of roof |\n'
printf '| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n'
for spec in "${specs[@]}"; do
  file=$(mktemp --suffix=.gguf)
  "$neuros" synth "$spec" -o "$file" >/dev/null
  ours=$("$neuros" bench "$file" -t "$threads" --json)
  peer=$(cd "$here" && node llama_cpp.mjs "$file" "$threads" | tail -1)
  rm -f "$file"
  p=$(value best.prefill <<<"$ours") d=$(value best.decode <<<"$ours")
  rp=$(value roof.prefill <<<"$ours") rd=$(value roof.decode <<<"$ours")
  pp=$(value prefill <<<"$peer") pd=$(value decode <<<"$peer")
  awk -v s="$spec" -v p="$p" -v pp="$pp" -v rp="$rp" -v d="$d" -v pd="$pd" -v rd="$rd" 'BEGIN {
    printf "| %s | %.1f | %.1f | %.2fx | %.0f %% of %.0f | %.1f | %.1f | %.2fx | %.0f %% of %.1f |\n",
      s, p, pp, p / pp, 100 * p / rp, rp, d, pd, d / pd, 100 * d / rd, rd }'
done
