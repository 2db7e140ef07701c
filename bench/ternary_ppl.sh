#!/usr/bin/env bash
# Perplexity of ternary weights through the kernels of TQ2_0 over that of the same weights as F16.
# Usage: bench/ternary_ppl.sh NEUROS MODEL TEXT [DEVICE]     fails above a ratio of MOST (1.003)
# The weights of MODEL are rounded to TQ2_0, and those to F16, which holds them exactly. Its rows must
# be whole blocks of 256, as bench/peer/ternary_model.py trains them. A model that was not trained for
# ternary weights is too sure of what it no longer knows, and its ratio is mostly noise.
set -euo pipefail
neuros=$1 model=$2 text=$3 device=${4:-cpu}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$neuros" convert "$model" -o "$folder/ternary.gguf" --type tq2_0
"$neuros" convert "$folder/ternary.gguf" -o "$folder/f16.gguf" --type f16 2>/dev/null
perplexity() {
  "$neuros" eval ppl "$1" --text "$text" --ctx 256 --device "$device" --json |
    sed 's/.*"perplexity":\([0-9.e+]*\).*/\1/'
}
awk -v t="$(perplexity "$folder/ternary.gguf")" -v f="$(perplexity "$folder/f16.gguf")" \
  -v most="${MOST:-1.003}" 'BEGIN {
    printf "perplexity: tq2_0 %.4f, f16 %.4f, ratio %.5f, at most %s\n", t, f, t / f, most
    exit !(t / f <= most) }'
