#include "base/cpu_features.h"
#include "builder/synth.h"
#include "cli/command.h"
#include "cli/load_report.h"
#include "cli/memory_report.h"
#include "cli/model_flags.h"
#include "cli/op_report.h"
#include "cli/roofs.h"
#include "cli/terminal.h"
#include "pipeline/benchmark.h"
#include "pipeline/op_times.h"
#include "pipeline/stream_benchmark.h"

#include <algorithm>
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
  int32_t streams = 0;
  bool ops = false, first_token = false, json = false, keep = false;

  pipeline::StreamRequest stream_request() const {
    return {.streams = streams,
            .prompt_tokens = request.prompt_tokens,
            .generated_tokens = request.generated_tokens};
  }
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
  runtime::LoadReport load;
  base::ProcessMemory memory;  ///< before the roofs were looked for: that takes a buffer of its own
};

void print_head(const BenchFlags& flags, const plan::Plan& plan) {
  std::printf("model     %s, %s, %d threads, %s\n", flags.model.path.c_str(), plan.device.c_str(),
              plan.workers, plan.op_table.c_str());
}

void print(const BenchFlags& flags, const plan::Plan& plan, const Roofs& roofs,
           const Measured& measured) {
  const pipeline::BenchmarkResult& result = measured.rates;
  print_head(flags, plan);
  std::printf("roof      %s; a token reads %.1f MB, costs %.2f GFLOP\n", roofs.text.c_str(),
              roofs.cost.decode_bytes / 1e6, roofs.cost.prefill_flops / 1e9);
  std::printf("prefill   %9.1f tok/s  (%d tokens)   roof %9.1f   %5.1f %%\n", result.best_prefill(),
              flags.request.prompt_tokens, roofs.prefill_tokens_per_s(),
              100.0 * result.best_prefill() / roofs.prefill_tokens_per_s());
  std::printf("decode    %9.1f tok/s  (%d tokens)   roof %9.1f   %5.1f %%\n", result.best_decode(),
              flags.request.generated_tokens, roofs.decode_tokens_per_s(),
              100.0 * result.best_decode() / roofs.decode_tokens_per_s());
  std::printf("%s\n%s\n", load_report_with_roof(measured.load).c_str(),
              memory_report(plan::fleet_of_one(plan), measured.memory).c_str());
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
      {"load", load_report_json(measured.load)},
      {"memory_bytes", memory_report_json(plan::fleet_of_one(plan), measured.memory)}};
  std::cout << json.dump(2) << "\n";
}

base::Result<> bench_rates(BenchFlags flags, pipeline::LanguageModel& model) {
  Progress progress;
  flags.request.on_progress = [&](double f) { progress.update("bench", f); };
  Measured measured;
  measured.rates = TRY(pipeline::run_benchmark(model.engine(), flags.request));
  measured.load = model.load_report();
  measured.memory = base::process_memory();
  progress.clear();
  const Roofs roofs = TRY(measure_roofs(model.plan(), flags.request));
  (flags.json ? print_json : print)(flags, model.plan(), roofs, measured);
  return {};
}

base::Result<> bench_ops(const BenchFlags& flags, pipeline::LanguageModel& model,
                         pipeline::OpTimes& times) {
  const auto profile = TRY(pipeline::profile_ops(model.engine(), times, flags.request.prompt_tokens,
                                                 flags.request.generated_tokens));
  const Roofs roofs = TRY(measure_roofs(model.plan(), flags.request));
  if (flags.json) {
    std::cout << op_report_json(profile, roofs).dump(2) << "\n";
    return {};
  }
  print_head(flags, model.plan());
  std::printf("roof      %s\n%s", roofs.text.c_str(), op_report(profile, roofs).c_str());
  return {};
}

base::Result<> bench_first_token(const BenchFlags& flags, pipeline::LanguageModel& model) {
  const auto times = TRY(pipeline::measure_first_token(model.engine(), flags.request));
  const double ratio =
      static_cast<double>(times.after_boot_us) / static_cast<double>(times.later_us);
  if (flags.json) {
    const nlohmann::ordered_json json{
        {"after_boot_us", times.after_boot_us}, {"later_us", times.later_us}, {"ratio", ratio}};
    std::cout << json.dump(2) << "\n";
    return {};
  }
  print_head(flags, model.plan());
  std::printf("first token of %d: %.2f ms after boot, %.2f ms later, ratio %.3f\n",
              flags.request.prompt_tokens, static_cast<double>(times.after_boot_us) / 1e3,
              static_cast<double>(times.later_us) / 1e3, ratio);
  return {};
}

base::Result<> bench_streams(const BenchFlags& flags, pipeline::LanguageModel& model) {
  const pipeline::StreamRequest request = flags.stream_request();
  const auto result = TRY(pipeline::run_streams(model.engine(), request));
  const Roofs roofs = TRY(measure_roofs(model.plan(), flags.request));
  const double bytes = pipeline::stream_step_bytes(model.plan(), request, result.positions);
  const double roof = request.streams * roofs.bytes_per_s / bytes;
  if (flags.json) {
    const nlohmann::ordered_json json{{"streams", request.streams},
                                      {"positions", result.positions},
                                      {"tokens_per_s", result.tokens_per_s},
                                      {"step_us", result.step_us},
                                      {"step_bytes", bytes},
                                      {"roof_tokens_per_s", roof},
                                      {"read_bytes_per_s", roofs.bytes_per_s}};
    std::cout << json.dump(2) << "\n";
    return {};
  }
  print_head(flags, model.plan());
  std::printf("roof      %s; a step reads %.1f MB\n", roofs.text.c_str(), bytes / 1e6);
  std::printf("%d streams at %.0f positions: %.1f tok/s, a step %.1f us   roof %.1f   %.1f %%\n",
              request.streams, result.positions, result.tokens_per_s, result.step_us, roof,
              100.0 * result.tokens_per_s / roof);
  return {};
}

/// Context, and room for all streams, unless the flags say otherwise.
base::Result<> set_limits(const BenchFlags& flags, ModelFlags& model) {
  const pipeline::BenchmarkRequest& request = flags.request;
  pipeline::ModelOptions& options = model.options;
  const bool together = flags.ops || flags.streams > 0;  // generates after the prompt
  const int32_t needed = together ? request.prompt_tokens + request.generated_tokens
                                  : std::max(request.prompt_tokens, request.generated_tokens);
  if (options.context == 0) options.context = needed + 8;
  if (flags.streams == 0) return {};
  options.parallel = flags.streams;
  options.full_contexts = flags.streams;
  options.queue_max = std::max(options.queue_max, flags.streams);
  const pipeline::ModelOptions resolved = TRY(model.resolve());
  const plan::Plan plan = TRY(pipeline::plan_model(model.path, resolved));
  options.context = plan.kv.page_tokens +
                    pipeline::stream_context(flags.stream_request(), plan.limits.batch_tokens);
  return {};
}

base::Result<> run_bench(const BenchFlags& flags) {
  std::unique_ptr<TemporaryModel> made;
  ModelFlags model_flags = flags.model;
  if (!std::filesystem::exists(flags.model.path) && builder::is_synth_spec(flags.model.path)) {
    made = TRY(synthesise(flags.model.path, flags.keep));
    model_flags.path = made->path();
    // A file that goes with this run is not worth keeping.
    std::string& cache = model_flags.options.weight_cache;
    if (cache == pipeline::kAutoWeightCache && !flags.keep) cache = pipeline::kNoWeightCache;
  }
  TRY(set_limits(flags, model_flags));
  pipeline::OpTimes op_times;
  if (flags.ops) model_flags.options.observer = &op_times;
  const auto model = TRY(model_flags.open());
  if (flags.ops) return bench_ops(flags, *model, op_times);
  if (flags.first_token) return bench_first_token(flags, *model);
  if (flags.streams > 0) return bench_streams(flags, *model);
  return bench_rates(flags, *model);
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
  CLI::Option* ops = command->add_flag("--ops", flags->ops, "where the time goes, op by op");
  CLI::Option* first = command->add_flag("--first-token", flags->first_token,
                                         "time to the first token after boot, and later");
  command->add_option("--streams", flags->streams, "so many sequences decode together")
      ->check(CLI::Range(1, 4096))
      ->excludes(ops)
      ->excludes(first);
  ops->excludes(first);
  command->add_flag("--keep", flags->keep, "keep the file made for a SPEC");
  command->add_flag("--json", flags->json, "for machines");
  command->footer("Example: neuros bench llama-1b:q4_k_m -t 2");
  command->callback([flags, &action] { action = [flags] { return run_bench(*flags); }; });
}

}  // namespace neuros::cli
