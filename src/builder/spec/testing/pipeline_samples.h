#pragma once

/// Specifications that several tests read.

#include <string>
#include <vector>

namespace neuros::builder::testing {

inline const std::string kVoiceAssistant = R"(name: assistant
models:
  ears: { file: whisper.gguf, class: speech, scratch: 4GB }
  find: { file: minilm/, class: embed }
  rank: { file: reranker/, class: rerank }
  llm:  { file: qwen3-8b/, context: 8k, context_min: 4k, precision: [bf16, q8_0, q4_k], priority: critical }
memory: { device: 24GB, pinned: 32GiB }
stages:
  - { id: text,   run: ears, in: $request.audio }
  - { id: docs,   tool: retrieve, index: notes.db, embed: find, rerank: rank, in: $text, top: 4, latency: 5-20ms }
  - { id: answer, run: llm, prompt: "Notes: $docs\nQuestion: $text", max_output_tokens: 512 }
  - { id: voice,  tool: exec, command: [espeak-ng, --stdout], in: $answer, latency: 30-300ms }
slo: { ttft_p99: 500ms }
)";

/// Every key once, beside the ones above.
inline const std::string kEverything = R"(name: all.keys
models:
  a:
    file: "a b.gguf"
    class: llm
    context: 1000
    context_min: 1
    precision: [q8_0, q5_k]
    calibration: "notes/what it is for.txt"
    priority: low
    parallel: 4
    kv: bf16
    scratch: 1500000
    pin: true
    residency: device
  b-1: { file: b, residency: disk, pin: false }
  e: { file: e, class: embed }
  r: { file: r, class: rerank }
memory: { device: 1TiB, pinned: 0, pageable: 1.5GB, disk: 2T, kv_swap: 17, boot: on-demand }
routes:
  pick: "if prompt_len < 64 and latency < 50ms -> a; else if hour >= 22 -> b-1; else -> a"
stages:
  - id: plan
    run: pick
    in: [$request, $request.user]
    prompt: "${request.user}: $request costs $$5 \"now\"\n$plan"
    max_input_tokens: 4k
    max_output_tokens: 100
    priority: critical
    loop: { until: 'iteration > 2 or $plan contains "end"', max: 8, with: [call, look] }
  - id: call
    tool: call
    in: $plan
    when: "$plan.next == 'call'"
    latency: 10ms-2s
    args: { deep: true, n: 3, rate: 0.5, whole: 2.0, name: "5", list: [a, "b c"] }
  - { id: look, tool: retrieve, index: x.db, embed: e, rerank: r, top: 5, after: plan, latency: 1.5s }
  - { id: say, tool: exec, command: [say, "-n"], in: $plan, after: [plan, look], priority: low }
slo:
  ttft_p50: 100ms
  ttft_p99: 0.5s
  token_p50: 900us
  token_p99: 30ms
  total_p50: 1min
  total_p99: 90s
  tokens_per_s: 2500
)";

}  // namespace neuros::builder::testing
