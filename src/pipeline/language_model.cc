#include "pipeline/language_model.h"

#include "base/cpu_features.h"
#include "base/process_memory.h"
#include "builder/builder.h"
#include "device/cpu/cpu_device.h"
#include "device/open_device.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "models/registry.h"
#include "pipeline/generation.h"
#include "pipeline/sampling_defaults.h"
#include "pipeline/tokenizer_loading.h"
#include "runtime/weight_cache.h"
#include "text/chat_template.h"

#include <chrono>
#include <filesystem>

#include <nlohmann/json.hpp>

namespace neuros::pipeline {

struct LanguageModel::State {
  std::string id;
  int64_t created_unix_s = 0;
  std::unique_ptr<device::Device> device;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::optional<text::ChatTemplate> chat_template;
  SamplingParams default_sampling;
  std::unique_ptr<runtime::Engine> engine;  // last: its thread stops before what it uses goes
};

namespace {

int64_t unix_now_s() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

std::string model_id(const ModelOptions& options, const std::string& path) {
  if (!options.name.empty()) return options.name;
  std::filesystem::path file = std::filesystem::path(path).lexically_normal();
  if (!file.has_filename()) file = file.parent_path();
  return file.extension() == ".gguf" || file.extension() == ".safetensors"
             ? file.stem().string()
             : file.filename().string();
}

base::Result<const kernels::OpTable*> choose_ops(const ModelOptions& options) {
  const std::string& name = options.op_table;
  if (options.device != "cpu") {
    const kernels::OpTable* cuda = kernels::cuda_ops();
    if (cuda != nullptr && (name.empty() || name == cuda->name)) return cuda;
    return base::fail("kernels " + name + " on " + options.device + ": expected " +
                          (cuda == nullptr ? "a program built with CUDA" : cuda->name),
                      base::ErrorKind::kUnsupported);
  }
  const base::CpuFeatures features = TRY(base::chosen_cpu());
  if (name == "ref") return &kernels::ref_ops();
  const kernels::OpTable& best = kernels::cpu_ops(features);
  if (name.empty() || name == best.name) return &best;
  if (name == kernels::llama_cpp_ops().name) return &kernels::llama_cpp_ops();
  return base::fail("kernels " + name + ": expected ref or " + best.name,
                    base::ErrorKind::kUnsupported);
}

base::Result<std::unique_ptr<device::Device>> open_device(const ModelOptions& options) {
  return device::open_device(options.device,
                             {.threads = options.threads, .memory_bytes = options.memory_bytes});
}

base::Result<plan::Plan> plan_for(const formats::Checkpoint& checkpoint,
                                  const ModelOptions& options, device::Device& device) {
  const auto kv_dtype = base::dtype_from_name(options.kv_dtype);
  if (!kv_dtype) return base::fail("kv type " + options.kv_dtype + ", expected f16, bf16 or f32");
  const kernels::OpTable* ops = TRY(choose_ops(options));
  plan::Program program = TRY(models::make_program(checkpoint));
  const size_t workers =
      options.threads > 0 ? static_cast<size_t>(options.threads) : device::physical_cores().size();
  return builder::make_plan(checkpoint, std::move(program), *ops,
                            {.device = device.name(),
                             .workers = static_cast<int32_t>(workers),
                             .memory_bytes = static_cast<int64_t>(device.memory_bytes()),
                             .context = options.context,
                             .batch_tokens = options.batch_tokens,
                             .sequences = options.parallel,
                             .full_contexts = options.full_contexts,
                             .kv_dtype = *kv_dtype});
}

base::Result<std::optional<text::ChatTemplate>> load_chat_template(
    const text::Tokenizer& tokenizer) {
  const std::string& source = tokenizer.vocabulary().chat_template;
  if (source.empty()) return std::optional<text::ChatTemplate>();
  auto parsed = text::ChatTemplate::parse(source);
  if (!parsed) return tl::unexpected(with_context(parsed.error(), "chat template"));
  return std::optional<text::ChatTemplate>(std::move(*parsed));
}

std::string piece_or_empty(const text::Tokenizer& tokenizer,
                           const std::optional<text::TokenId>& id) {
  return id ? tokenizer.piece_bytes(*id, true) : "";
}

std::string weight_cache_folder(const ModelOptions& options, const plan::Plan& plan) {
  constexpr int64_t kWorthKeeping = int64_t{1} << 30;
  if (options.weight_cache == kNoWeightCache) return "";
  if (options.weight_cache != kAutoWeightCache) return options.weight_cache;
  const bool pays = !plan.memory.arenas_on_host && plan.memory.weights >= kWorthKeeping;
  return pays ? runtime::default_weight_cache() : "";
}

runtime::EngineOptions engine_options(const ModelOptions& options, const plan::Plan& plan) {
  runtime::EngineOptions engine;
  engine.queue_max = options.queue_max;
  engine.observer = options.observer;
  engine.load = {weight_cache_folder(options, plan), options.on_progress};
  return engine;
}

base::Result<> check_vocabulary(const text::Tokenizer& tokenizer, const plan::Plan& plan) {
  if (tokenizer.size() <= plan.program.vocabulary) return {};
  return base::fail(plan.model_path + ": the tokenizer has " + std::to_string(tokenizer.size()) +
                    " tokens, the embedding table " + std::to_string(plan.program.vocabulary));
}

}  // namespace

base::Result<plan::Plan> plan_model(const std::string& path, const ModelOptions& options) {
  const formats::Checkpoint checkpoint = TRY(formats::open_checkpoint(path));
  auto device = TRY(open_device(options));
  return plan_for(checkpoint, options, *device);
}

base::Result<std::unique_ptr<LanguageModel>> LanguageModel::open(const std::string& path,
                                                                 ModelOptions options) {
  std::optional<formats::Checkpoint> opened = TRY(formats::open_checkpoint(path));
  const formats::Checkpoint& checkpoint = *opened;
  auto state = std::make_unique<State>();
  state->device = TRY(open_device(options));
  plan::Plan plan = TRY(plan_for(checkpoint, options, *state->device));
  state->tokenizer = TRY(load_tokenizer(checkpoint));
  TRY(check_vocabulary(*state->tokenizer, plan));
  state->chat_template = TRY(load_chat_template(*state->tokenizer));
  state->default_sampling = read_sampling_defaults(checkpoint);
  state->id = model_id(options, path);
  if (options.on_plan) options.on_plan(plan);
  base::release_free_heap();  // of reading the vocabulary: it is not in the plan
  runtime::EngineOptions boot_options = engine_options(options, plan);
  state->engine = TRY(
      runtime::Engine::boot(std::move(plan), checkpoint, *state->device, std::move(boot_options)));
  opened.reset();
  base::release_free_heap();
  state->created_unix_s = unix_now_s();
  return std::unique_ptr<LanguageModel>(new LanguageModel(std::move(state)));
}

LanguageModel::LanguageModel(std::unique_ptr<State> state) : state_(std::move(state)) {}
LanguageModel::~LanguageModel() = default;

const std::string& LanguageModel::id() const {
  return state_->id;
}
int64_t LanguageModel::created_unix_s() const {
  return state_->created_unix_s;
}
int32_t LanguageModel::context() const {
  return plan().limits.context;
}
const text::Tokenizer& LanguageModel::tokenizer() const {
  return *state_->tokenizer;
}
std::shared_ptr<const text::Tokenizer> LanguageModel::shared_tokenizer() const {
  return state_->tokenizer;
}
bool LanguageModel::has_chat_template() const {
  return state_->chat_template.has_value();
}
const std::string& LanguageModel::chat_template_source() const {
  return tokenizer().vocabulary().chat_template;
}
const plan::Plan& LanguageModel::plan() const {
  return state_->engine->plan();
}
const runtime::LoadReport& LanguageModel::load_report() const {
  return state_->engine->load_report();
}
runtime::EngineStats LanguageModel::stats() const {
  return state_->engine->stats();
}
runtime::Engine& LanguageModel::engine() {
  return *state_->engine;
}
const SamplingParams& LanguageModel::default_sampling() const {
  return state_->default_sampling;
}

base::Result<std::string> LanguageModel::apply_chat_template(
    const nlohmann::ordered_json& inputs) const {
  if (!state_->chat_template) {
    return base::fail("model " + id() + " has no chat template; use completions",
                      base::ErrorKind::kUnsupported);
  }
  nlohmann::ordered_json all = inputs;
  const text::Vocabulary& vocabulary = tokenizer().vocabulary();
  if (!all.contains("bos_token")) all["bos_token"] = piece_or_empty(tokenizer(), vocabulary.bos);
  if (!all.contains("eos_token")) all["eos_token"] = piece_or_empty(tokenizer(), vocabulary.eos);
  return state_->chat_template->render(all, unix_now_s());
}

std::vector<int32_t> LanguageModel::encode_chat(const std::string& rendered) const {
  const text::Vocabulary& vocabulary = tokenizer().vocabulary();
  std::vector<int32_t> ids =
      tokenizer().encode(rendered, {.add_special = false, .parse_special = true});
  const bool has_bos = vocabulary.bos && !ids.empty() && ids.front() == *vocabulary.bos;
  if (vocabulary.add_bos && vocabulary.bos && !has_bos) ids.insert(ids.begin(), *vocabulary.bos);
  return ids;
}

base::Result<uint64_t> LanguageModel::generate(GenerationRequest request,
                                               std::shared_ptr<GenerationSink> sink) {
  TRY(validate(request.sampling));
  runtime::ProcessSpec spec;
  spec.prompt = request.prompt;
  spec.max_new_tokens = request.max_tokens;
  spec.priority = request.priority;
  spec.prompt_logits = request.prompt_logprobs.has_value();
  spec.client =
      std::make_shared<Generation>(std::move(request), state_->tokenizer, std::move(sink));
  return state_->engine->submit(std::move(spec));
}

void LanguageModel::cancel(uint64_t generation) {
  state_->engine->cancel(generation);
}
void LanguageModel::drain() {
  state_->engine->drain();
}

}  // namespace neuros::pipeline
