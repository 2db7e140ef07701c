#include "cli/model_flags.h"

#include "base/byte_size.h"
#include "cli/load_report.h"

#include <CLI/CLI.hpp>

namespace neuros::cli {

void ModelFlags::declare(CLI::App& app) {
  app.add_option("MODEL", path, "GGUF file or Hugging Face directory")->required();
  declare_options(app);
}

void ModelFlags::declare_options(CLI::App& app) {
  app.add_option("--device", options.device, "where it runs: cpu, cuda or cuda:N")
      ->capture_default_str();
  app.add_option("-t,--threads", options.threads, "workers; 0: one per core")
      ->check(CLI::Range(0, 1024));
  app.add_option("--memory", memory, "of the device, at most, the driver of a GPU included: 24GB");
  app.add_option("-c,--context", options.context, "tokens of prompt and answer together")
      ->check(CLI::Range(0, 1 << 30));
  app.add_option("--parallel", options.parallel, "sequences in one batch")
      ->check(CLI::Range(0, 4096));
  app.add_option("--batch", options.batch_tokens, "tokens in one forward pass")
      ->check(CLI::Range(0, 65536));
  app.add_option("--kv", options.kv_dtype, "type of keys and values: f16, bf16, f32")
      ->capture_default_str();
  app.add_option("--kv-swap", kv_swap,
                 "host memory for keys and values that leave the device, as in 4GB; default: on a "
                 "GPU as much as there, at most an eighth of the host's memory; 0 on a CPU");
  app.add_option("--weight-cache", options.weight_cache,
                 "folder that keeps packed weights for the next boot; off; auto: for GPUs, in the "
                 "user's cache, at most a quarter of the free disk")
      ->capture_default_str();
  app.add_option("--tuning", options.tuning,
                 "file of measured kernel choices (profile --tune); default: those shipped");
  app.add_option("--kernels", options.op_table, "ref: the plain reference; default: the fastest");
}

base::Result<pipeline::ModelOptions> ModelFlags::resolve() const {
  pipeline::ModelOptions resolved = options;
  if (!memory.empty()) {
    resolved.memory_bytes = static_cast<size_t>(TRY(base::parse_bytes(memory)));
  }
  if (!kv_swap.empty()) resolved.kv_swap_bytes = TRY(base::parse_bytes(kv_swap));
  return resolved;
}

base::Result<pipeline::ModelOptions> ModelFlags::resolve_with_progress() const {
  pipeline::ModelOptions resolved = TRY(resolve());
  resolved.on_progress = show_load_progress();
  return resolved;
}

base::Result<std::unique_ptr<pipeline::LanguageModel>> ModelFlags::open() const {
  auto model = TRY(pipeline::LanguageModel::open(path, TRY(resolve_with_progress())));
  tell_of_cache(model->load_report());
  return model;
}

}  // namespace neuros::cli
