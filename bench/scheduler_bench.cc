/// How long the device waits for the scheduler between two decode steps:
///
///   scheduler_bench [--streams 64] [--prompt 1040] [--steps 160] [--evict-mib 0]
///
/// So many sequences decode together, and no model computes. Measured is the time from the results
/// of a step to the batch of the next, with all its page numbers copied, as staging does. With
/// --evict-mib so much memory is read and written in place of each step: who else uses the
/// processor's caches in the meantime does that. More than the last cache holds is the worst.

#include "sched/scheduler.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace {

namespace sched = neuros::sched;

constexpr int32_t kPageTokens = 16;
constexpr int64_t kStepUs = 8000;

struct Options {
  int32_t streams = 64, prompt = 1040, steps = 160, evict_mib = 0;
};

[[noreturn]] void fail(const std::string& text) {
  std::fprintf(stderr, "scheduler_bench: %s\n", text.c_str());
  std::exit(1);
}

Options parse(int argc, char** argv) {
  Options options;
  const std::map<std::string, int32_t*> flags{{"--streams", &options.streams},
                                              {"--prompt", &options.prompt},
                                              {"--steps", &options.steps},
                                              {"--evict-mib", &options.evict_mib}};
  for (int i = 1; i < argc; i += 2) {
    const auto flag = flags.find(argv[i]);
    if (flag == flags.end() || i + 1 == argc) fail("see the head of scheduler_bench.cc");
    *flag->second = std::atoi(argv[i + 1]);
  }
  if (options.streams < 1 || options.prompt < 1 || options.steps < 1) fail("1 or more of each");
  return options;
}

sched::Scheduler scheduler_for(const Options& options) {
  const int32_t context = options.prompt + options.steps + options.streams + kPageTokens;
  return sched::Scheduler({.context = context,
                           .batch_tokens = options.prompt + options.streams,
                           .sequences = options.streams,
                           .logit_rows = options.streams,
                           .pages = options.streams * (context / kPageTokens + 2),
                           .page_tokens = kPageTokens,
                           .queue = options.streams});
}

void arrive(sched::Scheduler& scheduler, const Options& options) {
  for (int32_t stream = 0; stream < options.streams; ++stream) {
    sched::Arrival arrival;
    arrival.id = static_cast<sched::ProcessId>(stream);
    for (int32_t i = 0; i < options.prompt; ++i) arrival.prompt.push_back(stream + i);
    arrival.max_new_tokens = options.steps + options.streams + 1;
    scheduler.arrive(std::move(arrival), 0);
  }
}

/// What stands for a step: it leaves little in the caches.
class Eviction {
 public:
  explicit Eviction(int32_t mib) : memory_(static_cast<size_t>(mib) << 20) {}
  void run() {
    constexpr size_t kLine = 64;
    for (size_t i = 0; i < memory_.size(); i += kLine) ++memory_[i];
  }

 private:
  std::vector<uint8_t> memory_;
};

std::vector<sched::ItemResult> results_of(const sched::Batch& batch) {
  std::vector<sched::ItemResult> results;
  for (const sched::BatchItem& item : batch.items) {
    results.push_back(item.logits_last ? sched::ItemResult{.token = 7} : sched::ItemResult{});
  }
  return results;
}

/// Microseconds between the decode steps of all streams.
std::vector<double> measure(const Options& options) {
  using Clock = std::chrono::steady_clock;
  sched::Scheduler scheduler = scheduler_for(options);
  arrive(scheduler, options);
  Eviction eviction(options.evict_mib);
  std::vector<sched::PageId> staged;
  std::vector<double> times;
  auto batch = scheduler.next_batch(0);
  for (int64_t now_us = kStepUs; std::ssize(times) < options.steps; now_us += kStepUs) {
    eviction.run();
    const bool counts = std::ssize(batch->items) == options.streams && batch->only_decodes();
    const std::vector<sched::ItemResult> results = results_of(*batch);
    const Clock::time_point start = Clock::now();
    batch.reset();
    scheduler.batch_done(results, now_us);
    batch = scheduler.next_batch(now_us);
    staged.clear();
    for (const sched::BatchItem& item : batch->items) {
      staged.insert(staged.end(), item.pages.begin(), item.pages.end());
    }
    const std::chrono::duration<double, std::micro> took = Clock::now() - start;
    if (counts) times.push_back(took.count());
  }
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  std::vector<double> times = measure(options);
  std::ranges::sort(times);
  std::printf("%d sequences, %d MiB evicted: between two steps %.1f us (least %.1f, most %.1f)\n",
              options.streams, options.evict_mib, times[times.size() / 2], times.front(),
              times.back());
  return 0;
}
