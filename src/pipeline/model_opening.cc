#include "pipeline/model_opening.h"

#include "base/mapped_file.h"
#include "device/open_device.h"
#include "models/registry.h"
#include "pipeline/sampling_defaults.h"
#include "pipeline/tokenizer_loading.h"
#include "runtime/weight_cache.h"

#include <filesystem>

namespace neuros::pipeline {
namespace {

base::Result<std::optional<text::ChatTemplate>> load_chat_template(
    const text::Tokenizer& tokenizer) {
  const std::string& source = tokenizer.vocabulary().chat_template;
  if (source.empty()) return std::optional<text::ChatTemplate>();
  auto parsed = text::ChatTemplate::parse(source);
  if (!parsed) return tl::unexpected(with_context(parsed.error(), "chat template"));
  return std::optional<text::ChatTemplate>(std::move(*parsed));
}

base::Result<> check_vocabulary(const OpenedModel& model) {
  const int64_t rows = model.program.vocabulary;
  if (model.tokenizer->size() <= rows) return {};
  return base::fail(model.checkpoint.path + ": the tokenizer has " +
                    std::to_string(model.tokenizer->size()) + " tokens, the embedding table " +
                    std::to_string(rows));
}

}  // namespace

std::string model_id(const std::string& name, const std::string& path) {
  if (!name.empty()) return name;
  std::filesystem::path file = std::filesystem::path(path).lexically_normal();
  if (!file.has_filename()) file = file.parent_path();
  return file.extension() == ".gguf" || file.extension() == ".safetensors"
             ? file.stem().string()
             : file.filename().string();
}

base::Result<OpenedModel> describe_model(formats::Checkpoint checkpoint, plan::Program program,
                                         std::string id) {
  OpenedModel model;
  model.checkpoint = std::move(checkpoint);
  model.program = std::move(program);
  model.id = std::move(id);
  model.tokenizer = TRY(load_tokenizer(model.checkpoint));
  TRY(check_vocabulary(model));
  model.chat_template = TRY(load_chat_template(*model.tokenizer));
  model.default_sampling = read_sampling_defaults(model.checkpoint);
  return model;
}

base::Result<OpenedModel> open_model(const std::string& path, const ModelOptions& options) {
  formats::Checkpoint checkpoint = TRY(formats::open_checkpoint(path));
  plan::Program program = TRY(models::make_program(checkpoint));
  return describe_model(std::move(checkpoint), std::move(program), model_id(options.name, path));
}

base::Result<std::unique_ptr<device::Device>> open_device(const ModelOptions& options) {
  return device::open_device(options.device,
                             {.threads = options.threads, .memory_bytes = options.memory_bytes});
}

base::Result<TunedChoices> read_choices(const ModelOptions& options) {
  if (options.tuning.empty()) return std::nullopt;
  const std::string text = TRY(base::read_text_file(options.tuning));
  auto rows = kernels::parse_choice_table(text);
  if (!rows) return tl::unexpected(with_context(rows.error(), options.tuning));
  return std::move(*rows);
}

base::Result<builder::PlanRequest> plan_request(const ModelOptions& options,
                                                const TargetMachine& machine,
                                                const TunedChoices& choices) {
  const auto kv_dtype = base::dtype_from_name(options.kv_dtype);
  if (!kv_dtype) return base::fail("kv type " + options.kv_dtype + ", expected f16, bf16 or f32");
  return builder::PlanRequest{
      .device = machine.device,
      .device_kind = machine.device_kind,
      .choices = choices ? &*choices : nullptr,
      .workers = machine.workers,
      .memory_bytes = machine.memory_bytes,
      .context = options.context,
      .batch_tokens = options.batch_tokens,
      .sequences = options.parallel,
      .full_contexts = options.full_contexts,
      .kv_dtype = *kv_dtype,
      .kv_host = {.bytes = options.kv_swap_bytes, .free_bytes = machine.host_free_bytes},
      .machine = machine.facts};
}

std::string weight_cache_folder(const ModelOptions& options, const plan::Plan& plan) {
  constexpr int64_t kWorthKeeping = int64_t{1} << 30;
  if (options.weight_cache == kNoWeightCache) return "";
  if (options.weight_cache != kAutoWeightCache) return options.weight_cache;
  const bool pays = !plan.memory.arenas_on_host && plan.memory.weights >= kWorthKeeping;
  return pays ? runtime::default_weight_cache() : "";
}

}  // namespace neuros::pipeline
