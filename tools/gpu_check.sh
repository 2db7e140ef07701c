#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: checks every CUDA kernel against the reference, then measures.
# Usage: tools/gpu_check.sh [BUILD]     BUILD: a folder built with NEUROS_CUDA=ON; default: builds
#                                       build-cuda for this machine's GPU
#   GOLDEN=folder with stories260K.gguf and stories260K.json   also compares golden answers
#   SPECS="llama-8b:bf16 ..."                                  what to measure
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-}
if [ -z "$build" ]; then
  build=build-cuda
  cmake --preset cuda -DCMAKE_CUDA_ARCHITECTURES=native >/dev/null
  cmake --build "$build" --target neuros op_tables_test engine_test cuda_prefill_bench \
    cuda_linear_bench
fi
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
log=$(mktemp)
trap 'rm -f "$log"' EXIT

nvidia-smi --query-gpu=name,memory.total --format=csv,noheader
check "ops against the reference" "$build/op_tables_test" --gtest_filter='*cuda*' --gtest_brief=1
check "the same, generic prompt kernels" env NEUROS_CUDA_PATH=generic "$build/op_tables_test" \
  --gtest_filter='*Linear*cuda*:*FeedForward*cuda*' --gtest_brief=1
check "prompt products, every path and batch" "$build/cuda_prefill_bench" --check
check "engine" "$build/engine_test" --gtest_filter='*cuda*' --gtest_brief=1
if [ -n "${GOLDEN:-}" ]; then
  "$build/neuros" eval golden "$GOLDEN/stories260K.gguf" --golden "$GOLDEN/stories260K.json" \
    --device cuda | tail -1
fi
for spec in ${SPECS:-llama-8b:bf16 llama-8b:q8_0 llama-8b:q4_k_m qwen3-8b:tq2_0 qwen3-0.6b:q8_0}; do
  echo "== $spec"
  "$build/neuros" bench "$spec" --device cuda --prompt 1024 --generate 64 | grep -E 'roof|tok/s'
done
"$build/cuda_linear_bench" --types bf16,q8_0,q4_k,tq2_0 --tokens 1,8,32 --seconds 0.1
exit $failed
