#include "sched/scheduler.h"

#include "base/check.h"
#include "sched/admission_queue.h"
#include "sched/batcher.h"
#include "sched/kv_memory.h"
#include "sched/process.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace neuros::sched {

int32_t Batch::tokens() const {
  size_t sum = 0;
  for (const BatchItem& item : items) sum += item.tokens.size();
  return static_cast<int32_t>(sum);
}

bool Batch::only_decodes() const {
  return std::ranges::all_of(items, &BatchItem::decodes);
}

int64_t pages_worst_case(int64_t prompt_tokens, int64_t max_new_tokens, int32_t page_tokens) {
  const int64_t tokens = prompt_tokens + std::max<int64_t>(max_new_tokens - 1, 0);
  return (tokens + page_tokens - 1) / page_tokens;
}

struct Scheduler::State {
  explicit State(const SchedulerLimits& given)
      : limits(given),
        memory({given.pages, given.host_pages, given.page_tokens}),
        batcher(given, memory, queue) {}

  bool fits(const Arrival& arrival) const;
  BatchItem start(const Chunk& chunk);
  void count_moves();
  void finish(const Chunk& chunk, const ItemResult& result);
  void forget(Process& process);
  std::vector<Process*> holders_of_moved() const;
  std::string check(const Process& process) const;

  SchedulerLimits limits;
  KvMemory memory;
  AdmissionQueue queue;
  Batcher batcher;
  std::map<ProcessId, std::unique_ptr<Process>> processes;
  std::vector<Chunk> in_flight;
  std::vector<PageMove> moves;  ///< of the batch in flight
  uint64_t swapped_out = 0, swapped_in = 0;
  uint64_t next_sequence = 0;
  int64_t now_us = 0;  ///< the latest time heard of; time never goes back

  void hear(int64_t time_us) { now_us = std::max(now_us, time_us); }
};

Scheduler::Scheduler(SchedulerLimits limits) {
  CHECK(limits.context > 0 && limits.batch_tokens > 0 && limits.sequences > 0);
  CHECK(limits.logit_rows > 0 && limits.pages > 0 && limits.page_tokens > 0 && limits.queue > 0);
  CHECK(limits.host_pages >= 0);
  state_ = std::make_unique<State>(limits);
}
Scheduler::~Scheduler() = default;
Scheduler::Scheduler(Scheduler&&) noexcept = default;

bool Scheduler::State::fits(const Arrival& arrival) const {
  const auto prompt = static_cast<int64_t>(arrival.prompt.size());
  return prompt + arrival.max_new_tokens <= limits.context &&
         pages_worst_case(prompt, arrival.max_new_tokens, limits.page_tokens) <= limits.pages;
}

Admission Scheduler::arrive(Arrival arrival, int64_t now_us) {
  State& s = *state_;
  CHECK(!arrival.prompt.empty() && arrival.max_new_tokens >= 0);
  s.hear(now_us);
  if (!s.fits(arrival)) return Admission::kTooLong;
  if (s.queue.size() >= s.limits.queue) return Admission::kQueueFull;

  auto process = std::make_unique<Process>();
  process->id = arrival.id;
  process->sequence = s.next_sequence++;
  process->priority = arrival.priority;
  process->tokens = std::move(arrival.prompt);
  process->prompt_tokens = process->size();
  process->max_new_tokens = arrival.max_new_tokens;
  process->prompt_logits = arrival.prompt_logits;
  process->owed_from = arrival.prompt_logits ? 0 : process->prompt_tokens - 1;
  process->arrived_us = process->idle_since_us = s.now_us;
  s.queue.push(*process);
  const bool is_new = s.processes.emplace(arrival.id, std::move(process)).second;
  CHECK(is_new, "process ids are not used twice at a time");
  return Admission::kQueued;
}

bool Scheduler::cancel(ProcessId id) {
  const auto it = state_->processes.find(id);
  if (it == state_->processes.end() || it->second->cancelled) return false;
  Process& process = *it->second;
  process.cancelled = true;
  if (!process.in_flight) state_->forget(process);
  return true;
}

void Scheduler::State::forget(Process& process) {
  if (process.running) {
    batcher.remove(process);
  } else {
    queue.remove(process);
    memory.forget_parked(process);
  }
  processes.erase(process.id);
}

std::optional<Batch> Scheduler::next_batch(int64_t now_us, int32_t rows_most) {
  State& s = *state_;
  CHECK(s.in_flight.empty(), "one batch at a time");
  s.hear(now_us);
  s.in_flight = s.batcher.plan(s.now_us, rows_most);
  s.moves = s.memory.take_moves();
  CHECK(s.moves.empty() || !s.in_flight.empty(), "pages move for somebody who runs");
  if (s.in_flight.empty()) return std::nullopt;
  s.count_moves();
  Batch batch{.items = {}, .moves = s.moves};
  batch.items.reserve(s.in_flight.size());
  for (const Chunk& chunk : s.in_flight) batch.items.push_back(s.start(chunk));
  return batch;
}

void Scheduler::State::count_moves() {
  const auto out =
      static_cast<uint64_t>(std::ranges::count(moves, PageMove::Kind::kOut, &PageMove::kind));
  swapped_out += out;
  swapped_in += moves.size() - out;
}

BatchItem Scheduler::State::start(const Chunk& chunk) {
  Process& process = *chunk.process;
  CHECK(!process.in_flight, "a process is once in a batch");
  process.waited_us = process.waited_until(now_us);
  process.in_flight = true;
  return {.id = process.id,
          .first_position = chunk.begin,
          .tokens = chunk.tokens(),
          .pages = process.pages,
          .logits_all = chunk.logits_all(),
          .logits_last = chunk.logits_last(),
          .decodes = chunk.begin >= process.prompt_tokens && chunk.rows() == 1};
}

void Scheduler::batch_done(std::span<const ItemResult> results, int64_t now_us) {
  State& s = *state_;
  CHECK(!s.in_flight.empty() && results.size() == s.in_flight.size());
  s.hear(now_us);
  const std::vector<Chunk> chunks = std::exchange(s.in_flight, {});
  for (size_t i = 0; i < chunks.size(); ++i) s.finish(chunks[i], results[i]);
}

void Scheduler::batch_failed(int64_t now_us) {
  State& s = *state_;
  CHECK(!s.in_flight.empty());
  s.hear(now_us);
  for (const Chunk& chunk : std::exchange(s.in_flight, {})) s.forget(*chunk.process);
  for (Process* process : s.holders_of_moved()) s.batcher.restart(*process);
  s.memory.forget_moved(s.moves);
}

/// Who runs on pages that the last batch was to bring in.
std::vector<Process*> Scheduler::State::holders_of_moved() const {
  std::vector<bool> moved(static_cast<size_t>(limits.pages));
  for (const PageMove& move : moves) {
    if (move.kind == PageMove::Kind::kIn) moved[static_cast<size_t>(move.page)] = true;
  }
  std::vector<Process*> holders;
  std::ranges::copy_if(batcher.running(), std::back_inserter(holders), [&](const Process* process) {
    return std::ranges::any_of(process->pages,
                               [&](PageId page) { return moved[static_cast<size_t>(page)]; });
  });
  return holders;
}

void Scheduler::State::finish(const Chunk& chunk, const ItemResult& result) {
  Process& process = *chunk.process;
  const bool asked = chunk.logits_last();
  CHECK(asked || !result.token, "a token came that nobody asked for");
  process.in_flight = false;
  process.idle_since_us = now_us;
  memory.computed(process, chunk.end);
  process.owed_from = std::max(process.owed_from, chunk.end);
  if (result.finished || process.cancelled) return forget(process);

  CHECK(asked == result.token.has_value(), "a process that goes on needs its token");
  if (asked) process.tokens.push_back(*result.token);
  const bool all_computed = asked || process.remaining() == 0;
  if (all_computed && !process.wants_token()) forget(process);
}

std::optional<ProcessInfo> Scheduler::info(ProcessId id) const {
  const auto it = state_->processes.find(id);
  if (it == state_->processes.end()) return std::nullopt;
  const Process& process = *it->second;
  return ProcessInfo{.arrived_us = process.arrived_us,
                     .admitted_us = process.admitted_us,
                     .cached_tokens = process.cached_tokens,
                     .prompt_tokens = process.prompt_tokens,
                     .generated_tokens = process.generated(),
                     .rescued = state_->batcher.rescues(process)};
}

SchedulerStats Scheduler::stats() const {
  const State& s = *state_;
  const KvPages& pages = s.memory.pages();
  return {.waiting = s.queue.size(),
          .running = static_cast<int32_t>(s.batcher.running().size()),
          .pages_used = pages.held_count(),
          .pages_cached = pages.cached_count(),
          .pages_free = pages.free_count(),
          .host_pages = s.memory.slots().total(),
          .host_pages_used = s.memory.slots().used_count(),
          .pages_swapped_out = s.swapped_out,
          .pages_swapped_in = s.swapped_in,
          .tokens_reused = s.batcher.tokens_reused(),
          .suspensions = s.batcher.suspensions()};
}

Demand Scheduler::demand() const {
  Demand demand;
  const auto count = [&](const Process* process) {
    demand.work = true;
    demand.top = std::max(demand.top, process->priority);
  };
  std::ranges::for_each(state_->batcher.running(), count);
  std::ranges::for_each(state_->queue.all(), count);
  return demand;
}

std::string Scheduler::State::check(const Process& process) const {
  if (process.computed > process.size()) return "computed more than there is";
  if (process.owed_from >= process.size()) return "logits owed beyond the last token";
  if (process.generated() > process.max_new_tokens) return "generated too much";
  const bool waits = std::ranges::count(queue.all(), &process) == 1;
  const bool runs = std::ranges::count(batcher.running(), &process) == 1;
  if (waits == runs || runs != process.running) return "neither or both of waiting and running";
  if (waits && (!process.pages.empty() || process.computed != 0)) return "waits and holds pages";
  if (process.cancelled && !process.in_flight) return "cancelled and still here";
  return memory.check_invariants(process);
}

std::string Scheduler::check_invariants() const {
  const State& s = *state_;
  std::string wrong = s.memory.check_invariants();
  if (!wrong.empty()) return wrong;
  std::vector<int32_t> holders(static_cast<size_t>(s.limits.pages));
  for (const auto& [id, process] : s.processes) {
    wrong = s.check(*process);
    if (!wrong.empty()) return "process " + std::to_string(id) + ": " + wrong;
    for (const PageId page : process->pages) ++holders[static_cast<size_t>(page)];
  }
  for (PageId page = 0; page < s.limits.pages; ++page) {
    if (holders[static_cast<size_t>(page)] != s.memory.pages().holders(page)) {
      return "page " + std::to_string(page) + ": holders differ from the processes that list it";
    }
  }
  const size_t here = s.batcher.running().size() + s.queue.all().size();
  if (here != s.processes.size()) return "a process is lost";
  if (static_cast<int32_t>(s.batcher.running().size()) > s.batcher.running_max()) {
    return "more run than have a row each";
  }
  return "";
}

}  // namespace neuros::sched
