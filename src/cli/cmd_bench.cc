#include "base/cpu_features.h"
#include "builder/synth.h"
#include "cli/command.h"
#include "cli/memory_report.h"
#include "cli/model_flags.h"
#include "cli/roofs.h"
#include "cli/terminal.h"
#include "pipeline/benchmark.h"

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

struct BenchFlags {
  ModelFlags model;
  pipeline::BenchmarkRequest request;
  bool json = false, keep = false;
};

/// A model file made for this run and removed with it.
class TemporaryModel {
 public:
  explicit TemporaryModel(std::string path, bool keep) : path_(std::move(path)), keep_(keep) {}
  TemporaryModel(const TemporaryModel&) = delete;
  TemporaryModel& operator=(const TemporaryModel&) = delete;
  ~TemporaryModel() {
    std::error_code ignored;
    if (!keep_) std::filesystem::remove(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool keep_;
};

/// The file a spec such as llama-1b:q4_k_m stands for; made now unless a kept one is there.
base::Result<std::unique_ptr<TemporaryModel>> synthesise(const std::string& spec, bool keep) {
  std::string name = "neuros-" + spec + ".gguf";
  for (char& c : name) c = c == ':' || c == '/' ? '-' : c;
  const std::string path = (std::filesystem::temp_directory_path() / name).string();
  auto model = std::make_unique<TemporaryModel>(path, keep);
  if (std::filesystem::exists(path)) return model;
  Progress progress;
  TRY(builder::synthesise(spec, path, [&](double f) { progress.update("synth", f); }));
  return model;
}

struct Measured {
  pipeline::BenchmarkResult rates;
  base::ProcessMemory memory;  ///< before the roofs were looked for: that takes a buffer of its own
};

void print(const BenchFlags& flags, const plan::Plan& plan, const Roofs& roofs,
           const Measured& measured) {
  const pipeline::BenchmarkResult& result = measured.rates;
  std::printf("model     %s, %s, %d threads, %s\n", flags.model.path.c_str(), plan.device.c_str(),
              plan.workers, plan.op_table.c_str());
  std::printf("roof      %s; a token reads %.1f MB, costs %.2f GFLOP\n", roofs.text.c_str(),
              roofs.cost.decode_bytes / 1e6, roofs.cost.prefill_flops / 1e9);
  std::printf("prefill   %9.1f tok/s  (%d tokens)   roof %9.1f   %5.1f %%\n", result.best_prefill(),
              flags.request.prompt_tokens, roofs.prefill_tokens_per_s(),
              100.0 * result.best_prefill() / roofs.prefill_tokens_per_s());
  std::printf("decode    %9.1f tok/s  (%d tokens)   roof %9.1f   %5.1f %%\n", result.best_decode(),
              flags.request.generated_tokens, roofs.decode_tokens_per_s(),
              100.0 * result.best_decode() / roofs.decode_tokens_per_s());
  std::printf("%s\n", memory_report(plan.memory, measured.memory).c_str());
}

void print_json(const BenchFlags& flags, const plan::Plan& plan, const Roofs& roofs,
                const Measured& measured) {
  const pipeline::BenchmarkResult& result = measured.rates;
  const nlohmann::ordered_json json{
      {"model", flags.model.path},
      {"device", plan.device},
      {"threads", plan.workers},
      {"kernels", plan.op_table},
      {"prompt_tokens", flags.request.prompt_tokens},
      {"generated_tokens", flags.request.generated_tokens},
      {"prefill_tokens_per_s", result.prefill_tokens_per_s},
      {"decode_tokens_per_s", result.decode_tokens_per_s},
      {"best", {{"prefill", result.best_prefill()}, {"decode", result.best_decode()}}},
      {"roof",
       {{"prefill", roofs.prefill_tokens_per_s()}, {"decode", roofs.decode_tokens_per_s()}}},
      {"read_bytes_per_s", roofs.bytes_per_s},
      {"operations_per_s", roofs.operations_per_s},
      {"decode_bytes", roofs.cost.decode_bytes},
      {"prefill_flops", roofs.cost.prefill_flops},
      {"memory_bytes", memory_report_json(plan.memory, measured.memory)}};
  std::cout << json.dump(2) << "\n";
}

base::Result<> run_bench(BenchFlags flags) {
  std::unique_ptr<TemporaryModel> made;
  ModelFlags model_flags = flags.model;
  if (!std::filesystem::exists(flags.model.path) && builder::is_synth_spec(flags.model.path)) {
    made = TRY(synthesise(flags.model.path, flags.keep));
    model_flags.path = made->path();
  }
  const int32_t needed = std::max(flags.request.prompt_tokens, flags.request.generated_tokens) + 8;
  if (model_flags.options.context == 0) model_flags.options.context = needed;
  const auto model = TRY(model_flags.open());
  Progress progress;
  flags.request.on_progress = [&](double f) { progress.update("bench", f); };
  Measured measured;
  measured.rates = TRY(pipeline::run_benchmark(model->engine(), flags.request));
  measured.memory = base::process_memory();
  progress.clear();
  const Roofs roofs = TRY(measure_roofs(model->plan(), flags.request));
  (flags.json ? print_json : print)(flags, model->plan(), roofs, measured);
  return {};
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command =
      app.add_subcommand("bench", "throughput against the roof, of a file or a synthetic SPEC");
  flags->model.declare(*command);
  command->add_option("--prompt", flags->request.prompt_tokens, "tokens of the prompt")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--generate", flags->request.generated_tokens, "tokens generated one by one")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--repeat", flags->request.repeats, "the best of so many is reported")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--keep", flags->keep, "keep the file made for a SPEC");
  command->add_flag("--json", flags->json, "for machines");
  command->footer("Example: neuros bench llama-1b:q4_k_m -t 2");
  command->callback([flags, &action] { action = [flags] { return run_bench(*flags); }; });
}

}  // namespace neuros::cli
