#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: checks every CUDA kernel against the reference, then measures.
# Usage: tools/gpu_check.sh [BUILD]     BUILD: a folder built with NEUROS_CUDA=ON; default: builds
#                                       build-cuda for this machine's GPU
#   GOLDEN=folder with stories260K.gguf and stories260K.json   also compares golden answers
#   TEXT=file of some 200 KB                                   what perplexities are measured on
#   SANITIZE=1                                                 also runs compute-sanitizer, for minutes
#   SPECS="llama-8b:bf16 ..."                                  what to measure
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-}
if [ -z "$build" ]; then
  build=build-cuda
  cmake --preset cuda -DCMAKE_CUDA_ARCHITECTURES=native >/dev/null
  cmake --build "$build" --target neuros device_test op_tables_test engine_test machine_test cuda_prefill_bench \
    cuda_linear_bench cuda_encoder_bench
fi
neuros=$build/neuros
failed=0
check() {
  local what=$1
  shift
  if "$@" >"$log" 2>&1; then echo "ok      $what"; else
    failed=1
    echo "FAILED  $what"
    tail -20 "$log"
  fi
}
has_python() { python3 -c "import $1" 2>/dev/null; }
work=$(mktemp -d)
log=$work/log
trap 'rm -rf "$work"' EXIT
text=${TEXT:-}
if [ -z "$text" ]; then
  text=$work/text
  cat README.md docs/*.md docs/*/*.md src/*/*.md src/*/*/*.md >"$text"
fi

# Fails if the first request after boot takes more than 5 % longer than later ones.
first_token() {
  "$neuros" bench "$1" --device cuda --prompt 1024 --first-token --repeat 9 --json --keep |
    tee /dev/stderr |
    awk -F'[:,]' '/ratio/ { found = 1; bad = $2 > 1.05 } END { exit !found || bad }'
}
profile_matches() {
  "$neuros" profile --no-disk -o "$work/machine.yaml" &&
    "$neuros" profile --no-disk --check "$work/machine.yaml"
}
# One of each family of kernels, on small sizes: a sanitizer makes them a hundred times slower.
sanitized() {
  compute-sanitizer --tool "$1" --error-exitcode 9 "$build/op_tables_test" --gtest_brief=1 \
    --gtest_filter="$2"
}
ternary() {
  python3 bench/peer/ternary_model.py "$text" "$work/ternary" &&
    bench/ternary_ppl.sh "$neuros" "$work/ternary" "$text" cuda
}

nvidia-smi --query-gpu=name,memory.total --format=csv,noheader
check "ops against the reference" "$build/op_tables_test" --gtest_filter='*cuda*' --gtest_brief=1
check "the same, generic kernels" env NEUROS_CUDA_PATH=generic "$build/op_tables_test" \
  --gtest_filter='*Linear*cuda*:*FeedForward*cuda*:*Encoder*cuda*:*Conv1d*cuda*' --gtest_brief=1
check "prompt products, every path and batch" "$build/cuda_prefill_bench" --check
check "device, hardware profile" "$build/device_test" --gtest_brief=1
check "plans for other machines" "$build/machine_test" --gtest_brief=1
check "profile matches itself" profile_matches
cat "$work/machine.yaml"
check "engine" "$build/engine_test" --gtest_filter='*cuda*' --gtest_brief=1
if has_python torch && has_python transformers && has_python tokenizers; then
  check "logits of transformers" python3 bench/peer/hf_logits.py --neuros "$neuros" --devices cpu,cuda
  cat "$log"
  check "perplexity of ternary weights" ternary
  tail -1 "$log"
else
  echo "skipped logits of transformers, ternary weights: python3 without torch, transformers, tokenizers"
fi
if [ -n "${SANITIZE:-}" ] && command -v compute-sanitizer >/dev/null; then
  some='*TopLogits*cuda*:*EmbedsExactly*cuda*:*Norms*cuda*:*RopeTables*cuda*:*LogitsAgree*cuda*'
  check "memcheck" sanitized memcheck "$some:*Attention*cuda*:*Projection*cuda*:*FeedForwards*cuda*"
  check "racecheck" sanitized racecheck "$some:*Attention*AgreesWithTheReference*cuda*"
  check "memcheck of passes" sanitized memcheck '*EveryPass*AsChosen*cuda*:*EveryPass*Stands*cuda*'
  check "racecheck of passes" sanitized racecheck '*EveryPass*AsChosen*cuda*'
fi
if [ -n "${GOLDEN:-}" ]; then
  check "golden answers" "$neuros" eval golden "$GOLDEN/stories260K.gguf" \
    --golden "$GOLDEN/stories260K.json" --device cuda
  tail -2 "$log"
fi
for spec in ${SPECS:-llama-8b:bf16 llama-8b:q8_0 llama-8b:q4_k_m qwen3-8b:tq2_0 qwen3-0.6b:q8_0}; do
  echo "== $spec"
  check "first token after boot" first_token "$spec"
  measure=("$neuros" bench "$spec" --device cuda --prompt 1024 --generate 64)
  "${measure[@]}" --keep | grep -E 'roof|tok/s'
  "${measure[@]}" --keep --ops
  "${measure[@]}" --streams 64 | tail -1
done
"$build/cuda_linear_bench" --types bf16,q8_0,q4_k,tq2_0 --tokens 1,8,32 --seconds 0.1
"$build/cuda_encoder_bench"
exit $failed
