#pragma once

/// A language model that is up: tokenizer, chat template and engine behind one door. What
/// serve/, cli/ and evaluations talk to. Thread-safe.

#include "base/result.h"
#include "device/device.h"
#include "device/hardware_profile.h"
#include "pipeline/sampling.h"
#include "plan/plan.h"
#include "runtime/engine.h"
#include "sched/boot_mode.h"
#include "text/tokenizer.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace neuros::pipeline {

struct GenerationRequest {
  std::vector<int32_t> prompt;
  int32_t max_tokens = 0;  ///< new tokens at most; 0: score the prompt only
  SamplingParams sampling;
  std::vector<std::string> stop;     ///< text that ends the answer and is not part of it
  std::vector<int32_t> stop_tokens;  ///< besides the vocabulary's own
  bool ignore_eos = false;
  std::optional<int32_t> logprobs;         ///< how many alternatives to report for new tokens
  std::optional<int32_t> prompt_logprobs;  ///< the same for prompt tokens (echo)
  bool show_special = false;               ///< control tokens appear in the text
  sched::Priority priority = sched::Priority::kMedium;
};

/// One token of an answer (or of an echoed prompt) as clients see it.
struct TokenInfo {
  int32_t id = 0;
  std::string bytes;              ///< its own bytes, possibly part of a character
  std::optional<float> logprob;   ///< absent for a prompt's first token
  std::vector<TokenLogprob> top;  ///< best first
};

enum class FinishReason { kStop, kLength, kCancelled, kFailed };

struct GenerationEnd {
  FinishReason reason = FinishReason::kStop;
  std::string error;                     ///< for kFailed
  std::optional<std::string> stop_text;  ///< which stop string ended it
  int32_t prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0;
  runtime::ProcessTimes times;
};

/// Where an answer goes. Called from the engine's thread in order; calls must be short. Text never
/// ends inside a UTF-8 character and never contains a part of a stop string.
class GenerationSink {
 public:
  virtual ~GenerationSink() = default;
  /// All prompt tokens with their log-probabilities; once, before any text, if asked for.
  virtual void on_prompt(std::vector<TokenInfo> /*tokens*/) {}
  /// Text that became final with these tokens (either may be empty).
  virtual void on_text(std::string text, std::vector<TokenInfo> tokens) = 0;
  virtual void on_end(GenerationEnd end) = 0;
};

/// ModelOptions::op_table for llama.cpp's arithmetic (kernels/llama_cpp/ops.h).
inline constexpr const char* kLlamaCppOps = "llama.cpp";

/// Told of each model of a fleet, by all its names, once it is ready or failed
/// (runtime::OnModelBoot).
using OnModelBoot =
    std::function<void(const std::vector<std::string>& ids, const runtime::Engine& engine)>;

/// ModelOptions::weight_cache: packed weights are not kept.
inline constexpr const char* kNoWeightCache = "off";
/// Kept in the user's cache folder for a GPU, from a gigabyte on; on a CPU, where it is faster too
/// but the smaller part of a run, the disk is the user's to give.
inline constexpr const char* kAutoWeightCache = "auto";

struct ModelOptions {
  std::string device = "cpu";
  /// None: this machine. A plan for another can be made here, and is refused here by boot.
  std::optional<device::HardwareProfile> planned_for = std::nullopt;
  int32_t threads = 0;       ///< 0: one per physical core
  size_t memory_bytes = 0;   ///< 0: what is available
  int32_t context = 0;       ///< 0: the model's, at most what memory allows
  int32_t parallel = 0;      ///< sequences in one batch; 0: by the plan
  int32_t batch_tokens = 0;  ///< rows of one forward pass; 0: by the plan
  std::string kv_dtype = "f16";
  /// Host memory for KV pages that leave the device, of all models together; nullopt: by the plan.
  std::optional<int64_t> kv_swap_bytes = std::nullopt;
  std::string op_table;       ///< "": best; "ref": the oracle; kLlamaCppOps
  std::string tuning;         ///< file of kernel choices; "": those that the kernels ship
  int32_t full_contexts = 0;  ///< room for keys and values; 0: by the plan
  int32_t queue_max = 256;
  std::string name;                           ///< id in the API; "": from the file
  std::string weight_cache = kNoWeightCache;  ///< or kAutoWeightCache, or a folder
  runtime::OnLoadProgress on_progress;
  std::optional<sched::BootMode> boot = std::nullopt;  ///< of a fleet; none: its own, or eager
  OnModelBoot on_model_boot{};                         ///< of a fleet
  std::function<void(const plan::Plan&)> on_plan;      ///< called once, before boot
  runtime::PassObserver* observer = nullptr;           ///< outlives the model
  std::string trace;  ///< file for a trace of what a fleet does; "": none
};

/// The plan LanguageModel::open would boot; reads no weights.
base::Result<plan::Plan> plan_model(const std::string& path, const ModelOptions& options);

class LanguageModel {
 public:
  /// Opens, plans and boots. Errors name the file.
  static base::Result<std::unique_ptr<LanguageModel>> open(const std::string& path,
                                                           ModelOptions options);
  ~LanguageModel();

  const std::string& id() const;
  int64_t created_unix_s() const;  ///< when it was booted
  int32_t context() const;         ///< most tokens of prompt + answer
  const text::Tokenizer& tokenizer() const;
  std::shared_ptr<const text::Tokenizer> shared_tokenizer() const;
  bool has_chat_template() const;
  const std::string& chat_template_source() const;
  const plan::Plan& plan() const;
  runtime::LoadReport load_report() const;  ///< empty until it is ready
  runtime::ModelBoot boot_state() const;
  runtime::EngineStats stats() const;
  runtime::Engine& engine();

  /// Sampling defaults published with the model (generation_config.json), else the API's.
  const SamplingParams& default_sampling() const;

  /// Renders the model's chat template. `inputs`: messages, tools, add_generation_prompt, and any
  /// template variables; bos_token and eos_token are added here.
  base::Result<std::string> apply_chat_template(const nlohmann::ordered_json& inputs) const;
  /// Ids of a rendered chat prompt (special tokens parsed; BOS not doubled).
  std::vector<int32_t> encode_chat(const std::string& rendered) const;

  /// Starts a generation. kInvalid with both counts if the context does not suffice, kUnavailable
  /// if the queue is full, kIo if it failed at boot. The sink's on_end is called exactly once,
  /// unless this returns an error.
  base::Result<uint64_t> generate(GenerationRequest request, std::shared_ptr<GenerationSink> sink);
  void cancel(uint64_t generation);
  /// Refuses new work and waits for the running answers.
  void drain();

 private:
  friend class ModelFleet;
  struct State;
  explicit LanguageModel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Splits "<think>...</think>" answers of thinking models, piece by piece as text streams in.
class ReasoningSplitter {
 public:
  /// `starts_inside`: the rendered prompt already ended with the opening tag.
  ReasoningSplitter(std::string open_tag, std::string close_tag, bool starts_inside);
  struct Parts {
    std::string reasoning, content;
  };
  Parts push(std::string_view text);
  Parts finish();

 private:
  enum class Where { kStart, kInside, kAfter };
  std::string open_tag_, close_tag_, pending_;
  Where where_;
  bool content_started_ = false;
};

/// The tags a model thinks between, read off its chat template; nullopt: it does not think.
std::optional<std::pair<std::string, std::string>> reasoning_tags(const std::string& chat_template);

}  // namespace neuros::pipeline
