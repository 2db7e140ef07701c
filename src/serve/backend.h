#pragma once

/// What serve/ needs of the rest of the program: models that tokenise and generate. The one real
/// implementation is language_model_backend.h; tests use testing/fake_model.h.

#include "base/result.h"
#include "pipeline/language_model.h"
#include "pipeline/stages/pipeline_request.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace neuros::serve {

/// What clients may ask about a model; fixed while it is served.
struct ModelFacts {
  std::string id{};
  int64_t created_unix_s = 0;
  int32_t context = 0;          ///< most tokens of prompt + answer
  int32_t vocabulary_size = 0;  ///< ids are in [0, vocabulary_size)
  std::string architecture;
  int64_t context_trained = 0;
  int64_t weight_bytes = 0;
  std::string chat_template;    ///< empty: none
  std::string tokenizer_class;  ///< as Hugging Face names it
  std::optional<std::string> bos_token, eos_token, unk_token, pad_token;
  bool add_bos = false, add_eos = false;
  pipeline::SamplingParams default_sampling;
};

/// A snapshot for /metrics. Counters only grow.
struct ModelStats {
  int32_t running = 0, waiting = 0;
  int32_t kv_pages_used = 0, kv_pages_cached = 0, kv_pages_free = 0;
  int32_t kv_host_pages = 0, kv_host_pages_used = 0;  ///< of the host tier
  uint64_t kv_pages_swapped_out = 0, kv_pages_swapped_in = 0;
  int64_t kv_page_bytes = 0;
  uint64_t tokens_reused = 0, suspensions = 0;
  uint64_t batches = 0, tokens_prefilled = 0, tokens_decoded = 0;
  int64_t busy_us = 0;
  struct Memory {
    std::string tier, arena;
    int64_t bytes = 0;
  };
  std::vector<Memory> memory{};
  int64_t memory_predicted = 0, memory_peak_predicted = 0;  ///< of the whole process
};

/// One served model. Thread-safe; everything but generate() may take a moment, nothing blocks.
class ServedModel {
 public:
  virtual ~ServedModel() = default;
  virtual const ModelFacts& facts() const = 0;
  virtual ModelStats stats() const = 0;
  /// Whether it answers, will, or why it never does. Requests wait for one that will.
  virtual runtime::ModelBoot boot_state() const = 0;

  virtual std::vector<int32_t> encode(std::string_view text, text::EncodeOptions options) const = 0;
  virtual std::string decode(std::span<const int32_t> ids, bool show_special) const = 0;
  virtual std::string piece_bytes(int32_t id, bool show_special) const = 0;

  /// A rendered chat template and its ids. `inputs`: messages, tools, add_generation_prompt and
  /// template variables.
  struct ChatPrompt {
    std::string text;
    std::vector<int32_t> ids;
  };
  virtual base::Result<ChatPrompt> chat_prompt(const nlohmann::ordered_json& inputs) const = 0;

  /// As pipeline::LanguageModel::generate: kUnavailable if the queue is full. on_end is called
  /// exactly once unless this returns an error.
  virtual base::Result<uint64_t> generate(pipeline::GenerationRequest request,
                                          std::shared_ptr<pipeline::GenerationSink> sink) = 0;
  virtual void cancel(uint64_t generation) = 0;
};

struct PipelineFacts {
  std::string id{};
  int64_t created_unix_s = 0;
  std::vector<std::string> stages{};  ///< their ids, in the order of the specification
  int32_t vocabulary_size = 0;  ///< the least of the models that may answer; 0: a tool answers
};

/// A pipeline that is asked as models are. Thread-safe.
class ServedPipeline {
 public:
  virtual ~ServedPipeline() = default;
  virtual const PipelineFacts& facts() const = 0;
  /// As pipeline::PipelineExecutor::start. Fills in request.facts, for which `context` is the text
  /// of the whole conversation.
  virtual base::Result<uint64_t> start(pipeline::PipelineRequest request,
                                       const std::string& context,
                                       std::shared_ptr<pipeline::PipelineSink> sink) = 0;
  virtual void cancel(uint64_t request) = 0;
};

/// A name that stands for one of several models, which one depends on the request. Thread-safe.
class ServedRoute {
 public:
  virtual ~ServedRoute() = default;
  virtual const std::string& id() const = 0;
  virtual int64_t created_unix_s() const = 0;
  /// `prompt`: the text of the last user message; `context`: of the whole conversation.
  virtual base::Result<std::shared_ptr<ServedModel>> pick(const std::string& prompt,
                                                          const std::string& context) = 0;
  /// A request that was for this route took so long to its first token.
  virtual void first_token(int64_t us) = 0;
};

/// Where the weights of models that share a device are, a snapshot.
struct FleetResidency {
  struct Model {
    std::string id;
    /// Of each segment, in the order of execution: 'r' resident, 'l' on its way, '-' absent.
    std::string segments;
    int64_t resident_bytes = 0;
    int64_t swap_us = 0;  ///< that its processes waited for weights, in all
  };
  struct Transfer {
    std::string job;   ///< "load" or "drop"
    std::string tier;  ///< "pinned", "pageable" or "disk": where from
    int64_t count = 0, failures = 0, bytes = 0, map_us = 0, copy_us = 0;
  };
  int64_t frame_bytes = 0;
  int64_t frames = 0, frames_free = 0;
  std::string turn;  ///< the model whose weights come first; "": none has work
  uint64_t turns = 0, passes_suspended = 0;
  std::vector<Model> models{};
  std::vector<Transfer> transfers{};
};

/// All that this server answers for, in the order they were given. The default is the first
/// pipeline, else the first route, else the first model.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::vector<std::shared_ptr<ServedModel>> models() const = 0;
  virtual std::vector<std::shared_ptr<ServedPipeline>> pipelines() const { return {}; }
  virtual std::vector<std::shared_ptr<ServedRoute>> routes() const { return {}; }
  /// nullopt: all weights stay where they are.
  virtual std::optional<FleetResidency> residency() const { return std::nullopt; }
};

// By id; "" and "default" mean the first. nullptr: unknown.
std::shared_ptr<ServedModel> find_model(const Backend& backend, std::string_view id);
std::shared_ptr<ServedPipeline> find_pipeline(const Backend& backend, std::string_view id);
std::shared_ptr<ServedRoute> find_route(const Backend& backend, std::string_view id);

}  // namespace neuros::serve
