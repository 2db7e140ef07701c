/// How long the device waits for the host between two decode steps:
///
///   host_step_bench [--streams 64] [--prompt 1040] [--steps 160] [--evict-mib 0] [--folder DIR]
///
/// So many sequences decode together through the engine's own dispatcher, scheduler and executor,
/// by ops that do nothing. Measured is the time from the end of a pass to the first op of the next:
/// results are handed over, the next batch is planned, laid out, and copied as staging copies it.
/// With --evict-mib so much memory is read and written in place of each step, as those do who share
/// the processor's caches; more than the last of them holds is the worst. A synthetic model
/// is made in DIR where it is not there yet.

#include "builder/builder.h"
#include "builder/synth.h"
#include "device/cpu/cpu_device.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "models/registry.h"
#include "pipeline/fixed_tokens.h"
#include "runtime/dispatcher.h"
#include "runtime/doorbell.h"
#include "runtime/executor.h"
#include "runtime/mailbox.h"
#include "runtime/work_arena.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;
namespace kernels = neuros::kernels;
namespace plan = neuros::plan;
namespace runtime = neuros::runtime;
namespace sched = neuros::sched;

using Clock = std::chrono::steady_clock;

struct Options {
  int32_t streams = 64, prompt = 1040, steps = 160, evict_mib = 0;
  std::string folder = ".";
};

[[noreturn]] void fail(const std::string& text) {
  std::fprintf(stderr, "host_step_bench: %s\n", text.c_str());
  std::exit(1);
}

template <typename T>
T or_fail(neuros::base::Result<T> result) {
  if (!result) fail(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

int32_t number(const std::string& text) {
  int32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 0) fail("not a number: " + text);
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  const std::map<std::string, int32_t*> numbers{{"--streams", &options.streams},
                                                {"--prompt", &options.prompt},
                                                {"--steps", &options.steps},
                                                {"--evict-mib", &options.evict_mib}};
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (const auto found = numbers.find(flag); found != numbers.end()) {
      *found->second = number(value);
    } else if (flag == "--folder") {
      options.folder = value;
    } else {
      fail("unknown flag " + flag);
    }
  }
  if (options.streams == 0 || options.prompt == 0 || options.steps == 0) fail("1 at least of each");
  return options;
}

/// What the ops of a step do instead of computing: ops have no state, so this is the program's.
struct Step {
  Clock::time_point begun;  ///< the last one's first op
  std::vector<uint8_t> evicts;
  std::vector<int32_t> staged;

  void stage(const kernels::BatchView& batch) {
    staged.assign(batch.ids.begin(), batch.ids.end());
    for (const kernels::SequenceSlice& slice : batch.sequences) {
      staged.insert(staged.end(), {slice.first_row, slice.rows, slice.first_position});
      staged.insert(staged.end(), slice.pages.begin(), slice.pages.end());
    }
  }
  void begin() {
    constexpr size_t kLine = 64;
    begun = Clock::now();
    for (size_t i = 0; i < evicts.size(); i += kLine) ++evicts[i];
  }
};
Step step;

template <typename Args>
void nothing(const kernels::OpContext&, const Args&) {}

/// A table as of a device with memory of its own.
kernels::OpTable idle_ops() {
  kernels::OpTable ops = kernels::ref_ops();
  ops.host_bytes = [](const kernels::OpLimits&) { return int64_t{64}; };
  ops.stage_batch = [](const kernels::OpContext&, const kernels::BatchView& batch) {
    step.stage(batch);
  };
  ops.embed = [](const kernels::OpContext&, const kernels::EmbedArgs&) { step.begin(); };
  ops.rope_table = nothing<kernels::RopeTableArgs>;
  ops.qkv_rope = nothing<kernels::QkvRopeArgs>;
  ops.attention = nothing<kernels::AttentionArgs>;
  ops.gate_up = nothing<kernels::GateUpArgs>;
  ops.logits = nothing<kernels::LogitsArgs>;
  ops.top_logits = nothing<kernels::TopLogitsArgs>;
  for (kernels::LinearKernel& linear : ops.linear) linear.run = nothing<kernels::LinearArgs>;
  return ops;
}

neuros::formats::Checkpoint open_model(const Options& options) {
  const std::string spec = "llama-tiny:q8_0";
  const std::string path = (fs::path(options.folder) / "llama-tiny-q8_0.gguf").string();
  if (!fs::exists(path)) or_fail(neuros::builder::synthesise(spec, path, [](double) {}));
  return or_fail(neuros::formats::open_checkpoint(path));
}

/// The parts of an engine, driven from here.
class Engine {
 public:
  explicit Engine(const Options& options)
      : options_(options),
        device_(or_fail(neuros::device::open_cpu_device({.threads = 1, .memory_bytes = kMemory}))),
        stream_(or_fail(device_->create_stream())),
        plan_(make_plan()),
        work_(reserve_work()),
        arenas_(or_fail(runtime::Arenas::reserve(plan_.memory, *device_, work_.of(0)))),
        executor_(plan_, ops_, *stream_, arenas_),
        mailbox_(options.streams, doorbell_),
        dispatcher_(plan_, executor_, mailbox_) {
    for (int32_t i = 0; i < options.streams; ++i) submit();
    dispatcher_.take_mail();
  }

  /// Microseconds before each step in which all sequences decode, where the one before was such.
  std::vector<double> run() {
    std::vector<double> times;
    Clock::time_point ended;
    bool was_full = false;
    while (dispatcher_.demand().work) {
      dispatcher_.take_mail();
      const sched::Batch& batch = dispatcher_.begin_pass(std::numeric_limits<int32_t>::max());
      const bool is_full = std::ssize(batch.items) == options_.streams && batch.only_decodes();
      or_fail(executor_.forward(batch));
      const std::chrono::duration<double, std::micro> took = step.begun - ended;
      if (is_full && was_full) times.push_back(took.count());
      was_full = is_full;
      ended = Clock::now();
      dispatcher_.finish_pass({}, 1);
    }
    return times;
  }

 private:
  static constexpr size_t kMemory = size_t{4} << 30;

  /// Prompts take a pass each, at most, before all decode.
  int32_t generated() const { return options_.streams + options_.steps; }

  plan::Plan make_plan() const {
    const neuros::formats::Checkpoint checkpoint = open_model(options_);
    return or_fail(neuros::builder::make_plan(
        checkpoint, or_fail(neuros::models::make_program(checkpoint)), ops_,
        {.memory_bytes = static_cast<int64_t>(kMemory),
         .context = options_.prompt + generated(),
         .batch_tokens = options_.prompt + options_.streams,
         .sequences = options_.streams,
         .full_contexts = options_.streams}));
  }
  runtime::WorkArena reserve_work() const {
    const plan::Plan* const plans[] = {&plan_};
    return or_fail(runtime::WorkArena::reserve(plans, *device_));
  }
  void submit() {
    const int64_t vocabulary = plan_.program.vocabulary;
    or_fail(mailbox_.submit(
        {.prompt = neuros::pipeline::random_prompt(random_, options_.prompt, vocabulary),
         .max_new_tokens = generated(),
         .client = std::make_shared<neuros::pipeline::FixedTokens>(vocabulary)}));
  }

  const Options& options_;
  const kernels::OpTable ops_ = idle_ops();
  const std::unique_ptr<neuros::device::Device> device_;
  const std::unique_ptr<neuros::device::Stream> stream_;
  const plan::Plan plan_;
  const runtime::WorkArena work_;
  const runtime::Arenas arenas_;
  runtime::Executor executor_;
  runtime::Doorbell doorbell_;
  runtime::Mailbox mailbox_;
  runtime::Dispatcher dispatcher_;
  std::mt19937_64 random_{1};
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  step.evicts.resize(static_cast<size_t>(options.evict_mib) << 20);
  Engine engine(options);
  std::vector<double> times = engine.run();
  if (times.empty()) fail("all sequences never decoded together");
  std::ranges::sort(times);
  std::printf("%d sequences, %d MiB evicted: %.1f us between two steps (least %.1f, most %.1f)\n",
              options.streams, options.evict_mib, times[times.size() / 2], times.front(),
              times.back());
  return 0;
}
