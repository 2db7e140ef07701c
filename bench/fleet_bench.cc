/// What sharing a device costs models whose weights do not fit it together:
///
///   fleet_bench [--device cuda|cpu] [--memory 24GB] [--context 1024] [--tokens 64]
///               [--requests 200] [--prompts N] [--in-flight 64] [--low 400] [--only PHASES]
///               [--trace FILE]
///               [--folder DIR] [NAME=]SPEC|FILE...
///
/// SPECs like llama-8b:bf16 are made in DIR where they are not there yet. In this order:
///   swap      a request to each model while another has the memory, and one right behind it: the
///             time to the first token of either, what the first waited for weights
///   overlap   the first model generates; the largest that fits beside it is announced and then
///             asked: what it waits, of what it waits unannounced, and what the first is slowed by
///             while it is staged
///   preempt   the first model generates for so many low-priority requests; critical
///             requests come to the last one: time to the first token, against an idle device
///   offload   the first model generates; at its start some of its layers have given way to those
///   of
///             another: its rate, against the rate with all of them there
///   mixed     random greedy requests to all, one in twenty critical and one in four low, many at a
///   time, of so many different prompts: tokens
///             per second, and a hash of all answers, which must be the same for any --memory;
///             memory and open files before and after
///   alone     every model by itself, everything on the device: each answer must be the same
///
/// --only names the phases to run by letters: s, w (overlap), o, p, m, a. Two models of one file
/// need a NAME. The last line says how much device memory the plan has and how much is taken.

#include "base/process_memory.h"
#include "builder/synth.h"
#include "pipeline/model_fleet.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace neuros;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string device = "cuda", folder = ".";
  int64_t memory = 0;
  int32_t context = 1024, tokens = 64, requests = 200, prompts = 1 << 20, in_flight = 64, low = 400;
  std::string only = "swopma", trace;
  std::vector<std::string> models;
};

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

/// A greedy process that knows when its tokens came.
class Greedy final : public runtime::ProcessClient {
 public:
  std::optional<runtime::NextToken> on_top_logits(const kernels::TopLogits& top) override {
    return take(top.best[0].id);
  }
  runtime::NextToken on_logits(std::span<float> logits) override {
    return take(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
  }
  void on_end(const runtime::ProcessEnd& end) override {
    const std::lock_guard lock(mutex_);
    end_ = end;
    changed_.notify_all();
  }
  runtime::ProcessEnd wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return end_.has_value(); });
    if (end_->reason == runtime::EndReason::kFailed) {
      std::printf("FAILED: %s\n", end_->error.c_str());
      ++failures;
    }
    return *end_;
  }
  void wait_for_tokens(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return times_.size() >= count || end_; });
  }
  double first_token_ms() const {
    return std::chrono::duration<double, std::milli>(times_.at(0) - begin_).count();
  }
  /// Tokens per second in [from, to), of which parts count, so that few of them tell.
  double rate(Clock::time_point from, Clock::time_point to) const {
    return (tokens_by(to) - tokens_by(from)) / std::chrono::duration<double>(to - from).count();
  }
  const std::vector<int32_t>& tokens() const { return tokens_; }

  static inline int failures = 0;

 private:
  runtime::NextToken take(int32_t id) {
    const std::lock_guard lock(mutex_);
    times_.push_back(Clock::now());
    tokens_.push_back(id);
    changed_.notify_all();
    return {.id = id, .stop = false};
  }

  /// How many there were then, as if each came bit by bit since the one before.
  double tokens_by(Clock::time_point time) const {
    const auto next = std::ranges::upper_bound(times_, time);
    const auto whole = static_cast<double>(next - times_.begin());
    if (next == times_.begin() || next == times_.end()) return whole;
    const auto before = *(next - 1);
    return whole + std::chrono::duration<double>(time - before) / (*next - before);
  }

  const Clock::time_point begin_ = Clock::now();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Clock::time_point> times_;
  std::vector<int32_t> tokens_;
  std::optional<runtime::ProcessEnd> end_;
};

using Client = std::shared_ptr<Greedy>;

Client start(runtime::Engine& engine, uint64_t seed, int32_t prompt, int32_t tokens,
             sched::Priority priority = sched::Priority::kMedium) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> ids(static_cast<size_t>(prompt));
  for (int32_t& id : ids) {
    id = static_cast<int32_t>(random() % static_cast<uint64_t>(engine.plan().program.vocabulary));
  }
  auto client = std::make_shared<Greedy>();
  const auto id = engine.submit({.prompt = std::move(ids),
                                 .max_new_tokens = tokens,
                                 .priority = priority,
                                 .prompt_logits = false,
                                 .client = client});
  if (!id) {
    std::printf("FAILED: %s\n", id.error().message.c_str());
    std::exit(1);
  }
  return client;
}

/// Which answer is meant: of a file, to a prompt.
struct Question {
  std::string path;
  uint64_t seed = 0;
  int32_t prompt = 0, tokens = 0;
  auto operator<=>(const Question&) const = default;
};
using Answers = std::map<Question, std::vector<int32_t>>;

size_t open_files() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

/// What the process takes, on the host and on the device.
void print_taken(const char* when) {
  std::printf("taken      %s: host %.1f MiB, %zu files open, device ", when,
              static_cast<double>(base::process_memory().resident) / (1 << 20), open_files());
  std::fflush(stdout);
  if (std::system("nvidia-smi --query-compute-apps=used_memory --format=csv,noheader 2>&1") != 0) {
    std::printf("(no nvidia-smi)\n");
  }
}

class Bench {
 public:
  Bench(pipeline::ModelFleet& fleet, const Options& options) : fleet_(fleet), options_(options) {}

  void swap() {
    std::printf("swap       %-22s %10s %10s %10s %10s\n", "model", "GB", "first ms", "swap ms",
                "warm ms");
    for (int round = 0; round < 2; ++round) {
      for (size_t m = 0; m < size(); ++m) {
        fill_with_others(m);
        const Client cold = start(engine(m), 1, 16, 4);
        const runtime::ProcessTimes times = cold->wait().times;
        const Client warm = start(engine(m), 2, 16, 4);
        warm->wait();
        if (round == 0) continue;  // passes are recorded in the first
        std::printf("           %-22s %10.2f %10.1f %10.1f %10.1f\n", id(m).c_str(),
                    static_cast<double>(engine(m).plan().memory.weights) / 1e9,
                    cold->first_token_ms(), static_cast<double>(times.swap_us) / 1e3,
                    warm->first_token_ms());
      }
    }
  }

  void overlap() {
    const size_t second = fits_beside_the_first();
    if (second == 0) return;
    fill_with_others(second);
    const double cold_ms =
        static_cast<double>(start(engine(second), 3, 16, 4)->wait().times.swap_us) / 1e3;
    constexpr int kRounds = 8;
    Staging sum;
    for (int round = 0; round < kRounds; ++round) {
      const Staging one = stage_beside_the_first(second);
      sum = {std::max(sum.waits_ms, one.waits_ms), sum.takes_ms + one.takes_ms,
             sum.tokens + one.tokens, sum.tokens_alone + one.tokens_alone};
    }
    std::printf(
        "overlap    %s waits %.1f ms unannounced, at most %.1f ms announced; staged in %.1f ms, "
        "while %s gives %.1f %% of its tokens (%.1f of %.1f), %d times\n",
        id(second).c_str(), cold_ms, sum.waits_ms, sum.takes_ms / kRounds, id(0).c_str(),
        100 * sum.tokens / sum.tokens_alone, sum.tokens, sum.tokens_alone, kRounds);
  }

  void preempt() {
    if (size() < 2) return;
    const size_t urgent = size() - 1;
    start(engine(urgent), 7, 16, 4)->wait();
    const std::vector<double> idle = critical_requests(urgent, 100);
    std::vector<Client> load;
    for (uint64_t i = 0; i < static_cast<uint64_t>(options_.low); ++i) {
      load.push_back(
          start(engine(0), 100 + i, options_.context / 2, options_.tokens, sched::Priority::kLow));
    }
    load.front()->wait_for_tokens(1);
    const std::vector<double> busy = critical_requests(urgent, 100);
    for (const Client& client : load) client->wait();
    std::printf(
        "preempt    first token of a critical request: idle p50 %.1f p99 %.1f ms, under "
        "load p50 %.1f p99 %.1f ms (%.2f); %lu passes suspended\n",
        idle[idle.size() / 2], idle[idle.size() * 99 / 100], busy[busy.size() / 2],
        busy[busy.size() * 99 / 100], busy[busy.size() * 99 / 100] / idle[idle.size() * 99 / 100],
        fleet_.fleet().snapshot().stats.suspensions);
  }

  void offload() {
    if (size() < 2 || !fleet_.plan().pages()) return;
    const int32_t tokens = options_.context - 64;
    start(engine(0), 20, 16, 4)->wait();
    const double there_ms = generation_ms(tokens);
    for (size_t second = 1; second < size(); ++second) {
      start(engine(second), 21, 16, 4)->wait();
      const auto away = layers_away(0);
      if (away == 0) continue;
      const double ms = generation_ms(tokens);
      std::printf(
          "offload    %s with %ld of %zu segments away beside %s: %d tokens in %.1f ms, with all "
          "there %.1f (%.1f %%)\n",
          id(0).c_str(), away, engine(0).plan().segments.size(), id(second).c_str(), tokens, ms,
          there_ms, 100 * there_ms / ms);
    }
  }

  /// What was answered to each question; two different answers are failures.
  const Answers& answers() const { return answers_; }

  void mixed() {
    print_taken("before");
    std::mt19937_64 random(42);
    std::vector<Client> clients;
    std::vector<Question> questions;
    const auto begin = Clock::now();
    int64_t tokens = 0;
    uint64_t hash = 0;
    size_t finished = 0;
    const auto in_flight = static_cast<size_t>(options_.in_flight);
    const auto finish = [&](const Client& client) {
      client->wait();
      remember(questions[finished++], client->tokens());
      for (const int32_t token : client->tokens()) {
        hash = (hash ^ static_cast<uint64_t>(token + 1)) * 0x9e3779b97f4a7c15U;
        ++tokens;
      }
    };
    for (int32_t i = 0; i < options_.requests; ++i) {
      if (clients.size() >= in_flight) finish(clients[clients.size() - in_flight]);
      const uint64_t of_twenty = random() % 20;
      const auto priority = of_twenty == 0   ? sched::Priority::kCritical
                            : of_twenty < 15 ? sched::Priority::kMedium
                                             : sched::Priority::kLow;
      const size_t model = random() % size();
      const uint64_t seed = 1000 + random() % static_cast<uint64_t>(options_.prompts);
      const auto prompt = static_cast<int32_t>(16 + seed * 37 % 200);
      questions.push_back({engine(model).plan().model_path, seed, prompt, options_.tokens});
      clients.push_back(start(engine(model), seed, prompt, options_.tokens, priority));
    }
    const size_t rest = std::min(clients.size(), in_flight);
    for (size_t i = clients.size() - rest; i < clients.size(); ++i) finish(clients[i]);
    const double s = ms_since(begin) / 1e3;
    const auto stats = fleet_.fleet().snapshot().stats;
    std::printf(
        "mixed      %d requests, %.1f s, %.1f tokens/s, %lu turns, %lu segments loaded, %d "
        "failed, hash %016lx\n",
        options_.requests, s, static_cast<double>(tokens) / s, stats.turns, stats.loads,
        Greedy::failures, hash);
    print_taken("after");
  }

 private:
  size_t size() const { return fleet_.models().size(); }
  runtime::Engine& engine(size_t model) { return fleet_.models()[model]->engine(); }
  const std::string& id(size_t model) const { return fleet_.models()[model]->id(); }
  /// The others' weights come in, as far as there is memory for them.
  void fill_with_others(size_t model) {
    for (size_t m = 0; m < size(); ++m) {
      if (m != model) start(engine(m), 9, 4, 2)->wait();
    }
  }
  struct Staging {
    double waits_ms = 0, takes_ms = 0;
    double tokens = 0, tokens_alone = 0;  ///< of the first model meanwhile, and at its rate before
  };
  /// The weights of `second` come while the first model generates.
  Staging stage_beside_the_first(size_t second) {
    fill_with_others(second);
    start(engine(0), 4, 16, 4)->wait();
    const Client running = start(engine(0), 5, 16, options_.context / 2);
    running->wait_for_tokens(20);
    const auto begin = Clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const auto announced = Clock::now();
    fleet_.fleet().expect(second, true);
    while (!is_there(second) && ms_since(announced) < 3000) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const auto there = Clock::now();
    const Client asked = start(engine(second), 6, 16, 4);
    const double waits_ms = static_cast<double>(asked->wait().times.swap_us) / 1e3;
    fleet_.fleet().expect(second, false);
    running->wait();
    const double s = std::chrono::duration<double>(there - announced).count();
    return {waits_ms, 1e3 * s, s * running->rate(announced, there),
            s * running->rate(begin, announced)};
  }
  /// The largest such model; 0: there is none.
  size_t fits_beside_the_first() const {
    const plan::FleetPlan& plan = fleet_.plan();
    if (!plan.pages()) return 0;
    size_t best = 0;
    for (size_t m = 1; m < size(); ++m) {
      const int64_t frames = plan.frames_of(plan.models[m]);
      const bool fits = frames + plan.frames_of(plan.models[0]) <= plan.frames;
      if (fits && (best == 0 || frames > plan.frames_of(plan.models[best]))) best = m;
    }
    return best;
  }
  double generation_ms(int32_t tokens) {
    const auto begin = Clock::now();
    start(engine(0), 22, 16, tokens)->wait();
    return ms_since(begin);
  }
  long layers_away(size_t model) const {
    const auto segments = fleet_.fleet().snapshot().models[model].segments;
    return std::ranges::count_if(
        segments, [](auto state) { return state != sched::Residency::State::kResident; });
  }
  void remember(const Question& question, const std::vector<int32_t>& tokens) {
    const auto [known, is_new] = answers_.emplace(question, tokens);
    if (is_new || known->second == tokens) return;
    std::printf("FAILED: two answers of %s to one prompt\n", question.path.c_str());
    ++Greedy::failures;
  }
  bool is_there(size_t model) const {
    const auto segments = fleet_.fleet().snapshot().models[model].segments;
    return std::ranges::all_of(
        segments, [](auto state) { return state == sched::Residency::State::kResident; });
  }
  /// Sorted times to the first token, ms; every 10 ms one.
  std::vector<double> critical_requests(size_t model, int count) {
    std::vector<double> ms;
    for (int i = 0; i < count; ++i) {
      const Client client = start(engine(model), 50, 16, 4, sched::Priority::kCritical);
      client->wait();
      ms.push_back(client->first_token_ms());
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::ranges::sort(ms);
    return ms;
  }

  pipeline::ModelFleet& fleet_;
  const Options options_;
  Answers answers_;
};

pipeline::ModelOptions open_options(const Options& options) {
  pipeline::ModelOptions open;
  open.device = options.device;
  open.context = options.context;
  open.parallel = 64;
  open.queue_max = 1024;
  return open;
}

/// The same questions to each file's model by itself.
base::Result<> ask_alone(const Answers& answers, const Options& options) {
  std::map<std::string, std::vector<const Answers::value_type*>> by_file;
  for (const auto& answer : answers) by_file[answer.first.path].push_back(&answer);
  for (const auto& [path, asked] : by_file) {
    const auto begin = Clock::now();
    const auto fleet = TRY(pipeline::ModelFleet::open({{.path = path}}, open_options(options)));
    std::vector<Client> clients;
    for (const auto* answer : asked) {
      const Question& question = answer->first;
      clients.push_back(
          start(fleet->fleet().engine(0), question.seed, question.prompt, question.tokens));
    }
    int64_t different = 0;
    for (size_t i = 0; i < asked.size(); ++i) {
      clients[i]->wait();
      if (clients[i]->tokens() != asked[i]->second) ++different;
    }
    Greedy::failures += static_cast<int>(different);
    std::printf("alone      %s: %zu answers, %ld differ, %.1f s\n", path.c_str(), asked.size(),
                different, ms_since(begin) / 1e3);
  }
  return {};
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (!flag.starts_with("--")) {
      options.models.push_back(flag);
      continue;
    }
    if (i + 1 == argc) break;
    const std::string value = argv[++i];
    if (flag == "--device") options.device = value;
    if (flag == "--folder") options.folder = value;
    if (flag == "--memory") options.memory = static_cast<int64_t>(std::stod(value) * 1e9);
    if (flag == "--context") options.context = std::stoi(value);
    if (flag == "--tokens") options.tokens = std::stoi(value);
    if (flag == "--requests") options.requests = std::stoi(value);
    if (flag == "--prompts") options.prompts = std::stoi(value);
    if (flag == "--low") options.low = std::stoi(value);
    if (flag == "--in-flight") options.in_flight = std::stoi(value);
    if (flag == "--trace") options.trace = value;
    if (flag == "--only") options.only = value;
  }
  return options;
}

base::Result<> run(const Options& options) {
  std::vector<pipeline::FleetModelOptions> models;
  for (const std::string& model : options.models) {
    const size_t equals = model.find('=');
    std::string path = equals == model.npos ? model : model.substr(equals + 1);
    if (builder::is_synth_spec(path)) {
      std::string file = path;
      std::ranges::replace(file, ':', '-');
      file = options.folder + "/" + file + ".gguf";
      if (!std::filesystem::exists(file)) TRY(builder::synthesise(path, file, nullptr));
      path = file;
    }
    models.push_back({.path = path, .name = model.substr(0, equals)});
  }
  pipeline::ModelOptions open = open_options(options);
  open.memory_bytes = static_cast<size_t>(options.memory);
  open.trace = options.trace;
  const auto begin = Clock::now();
  auto fleet = TRY(pipeline::ModelFleet::open(models, open));
  std::printf("%s", plan::describe(fleet->plan()).c_str());
  std::printf("boot       %.1f s\n", ms_since(begin) / 1e3);
  Bench bench(*fleet, options);
  const auto wants = [&](char phase) { return options.only.find(phase) != std::string::npos; };
  if (wants('s')) bench.swap();
  if (wants('w')) bench.overlap();
  if (wants('o')) bench.offload();
  if (wants('p')) bench.preempt();
  if (wants('m')) bench.mixed();
  const plan::FleetPlan& plan = fleet->plan();
  std::printf("memory     the plan has %.1f MiB on the device, with the driver %.1f\n",
              static_cast<double>(plan.device_bytes()) / (1 << 20),
              static_cast<double>(plan.device_bytes() + plan.memory.driver) / (1 << 20));
  print_taken("in the end");
  const Answers answers = bench.answers();
  fleet.reset();
  if (wants('a')) TRY(ask_alone(answers, options));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.models.empty()) {
    std::fprintf(stderr, "usage: fleet_bench [--device D] [--memory GB] SPEC|FILE...\n");
    return 2;
  }
  const auto done = run(options);
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done && Greedy::failures == 0 ? 0 : 1;
}
