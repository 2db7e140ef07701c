#include "pipeline/language_model.h"

#include "base/process_memory.h"
#include "builder/builder.h"
#include "formats/checkpoint.h"
#include "models/registry.h"
#include "pipeline/generation.h"
#include "pipeline/language_model_state.h"
#include "pipeline/model_opening.h"

#include <chrono>

#include <nlohmann/json.hpp>

namespace neuros::pipeline {
namespace {

int64_t unix_now_s() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

std::string piece_or_empty(const text::Tokenizer& tokenizer,
                           const std::optional<text::TokenId>& id) {
  return id ? tokenizer.piece_bytes(*id, true) : "";
}

runtime::EngineOptions engine_options(const ModelOptions& options, const plan::Plan& plan) {
  runtime::EngineOptions engine;
  engine.queue_max = options.queue_max;
  engine.observer = options.observer;
  engine.load = {weight_cache_folder(options, plan), options.on_progress};
  return engine;
}

}  // namespace

base::Result<plan::Plan> plan_model(const std::string& path, const ModelOptions& options) {
  const formats::Checkpoint checkpoint = TRY(formats::open_checkpoint(path));
  const TargetMachine machine = TRY(target_machine(options));
  plan::Program program = TRY(models::make_program(checkpoint));
  const TunedChoices choices = TRY(read_choices(options));
  const builder::PlanRequest request = TRY(plan_request(options, machine, choices));
  return builder::make_plan(checkpoint, std::move(program), *machine.ops, request);
}

base::Result<std::unique_ptr<LanguageModel>> LanguageModel::open(const std::string& path,
                                                                 ModelOptions options) {
  OpenedModel opened = TRY(open_model(path, options));
  auto device = TRY(open_device(options));
  const TargetMachine machine = TRY(target_machine(options, *device));
  const TunedChoices choices = TRY(read_choices(options));
  const builder::PlanRequest request = TRY(plan_request(options, machine, choices));
  plan::Plan plan =
      TRY(builder::make_plan(opened.checkpoint, std::move(opened.program), *machine.ops, request));
  if (options.on_plan) options.on_plan(plan);
  base::release_free_heap();  // of reading the vocabulary: it is not in the plan
  runtime::EngineOptions boot_options = engine_options(options, plan);
  auto engine = TRY(
      runtime::Engine::boot(std::move(plan), opened.checkpoint, *device, std::move(boot_options)));
  auto state = std::make_unique<State>(std::move(opened), *engine);
  state->device = std::move(device);
  state->own_engine = std::move(engine);
  base::release_free_heap();
  return std::unique_ptr<LanguageModel>(new LanguageModel(std::move(state)));
}

LanguageModel::State::State(OpenedModel opened, runtime::Engine& booted)
    : id(std::move(opened.id)),
      created_unix_s(unix_now_s()),
      tokenizer(std::move(opened.tokenizer)),
      chat_template(opened.chat_template ? std::make_shared<const text::ChatTemplate>(
                                               std::move(*opened.chat_template))
                                         : nullptr),
      default_sampling(std::move(opened.default_sampling)),
      engine(booted) {}

LanguageModel::State::State(const State& same, std::string other_id)
    : id(std::move(other_id)),
      created_unix_s(same.created_unix_s),
      tokenizer(same.tokenizer),
      chat_template(same.chat_template),
      default_sampling(same.default_sampling),
      engine(same.engine) {}

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
  return state_->chat_template != nullptr;
}
const std::string& LanguageModel::chat_template_source() const {
  return tokenizer().vocabulary().chat_template;
}
const plan::Plan& LanguageModel::plan() const {
  return state_->engine.plan();
}
runtime::LoadReport LanguageModel::load_report() const {
  return state_->engine.load_report();
}
runtime::ModelBoot LanguageModel::boot_state() const {
  return state_->engine.boot_state();
}
runtime::EngineStats LanguageModel::stats() const {
  return state_->engine.stats();
}
runtime::Engine& LanguageModel::engine() {
  return state_->engine;
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
  auto submitted = state_->engine.submit(std::move(spec));
  if (!submitted && submitted.error().kind == base::ErrorKind::kBroken) {
    return tl::unexpected(
        base::with_context(std::move(submitted).error(), "model " + id() + " failed at boot"));
  }
  return submitted;
}

void LanguageModel::cancel(uint64_t generation) {
  state_->engine.cancel(generation);
}
void LanguageModel::drain() {
  state_->engine.drain();
}

}  // namespace neuros::pipeline
