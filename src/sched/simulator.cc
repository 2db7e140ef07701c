#include "sched/simulator.h"

#include "sched/random.h"
#include "sched/scheduler.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace neuros::sched {
namespace {

uint64_t next_hash(uint64_t before, TokenId token) {
  uint64_t x = (before ^ static_cast<uint64_t>(token)) + 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9U;
  return x ^ (x >> 32);
}

/// What the simulator knows of a process, kept apart from what the scheduler knows.
struct Client {
  Arrival arrival;
  int64_t arrives_us = 0;
  std::optional<int64_t> cancel_us;
  std::vector<TokenId> tokens;
  std::vector<uint64_t> hashes;  ///< hashes[i]: of tokens 0..i
  int32_t prompt_logits_next = 0;
  bool admitted = false, cancelled = false;

  void append(TokenId token) {
    hashes.push_back(next_hash(hashes.empty() ? 1 : hashes.back(), token));
    tokens.push_back(token);
  }
  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  int32_t prompt_tokens() const { return static_cast<int32_t>(arrival.prompt.size()); }
  int32_t generated() const { return size() - prompt_tokens(); }
};

SchedulerLimits random_limits(Random& random) {
  SchedulerLimits limits;
  limits.page_tokens = random.between(1, 6);
  limits.context = random.between(20, 90);
  const int32_t one_context = limits.context / limits.page_tokens;
  limits.pages = random.between(std::max(1, one_context / 2), 2 * one_context);
  limits.batch_tokens = random.between(1, 24);
  limits.sequences = random.between(1, 8);
  limits.logit_rows = random.between(1, 8);
  limits.queue = random.between(2, 30);
  limits.wait_us_max = random.between(1, 60) * 1000;
  return limits;
}

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : random_(seed),
        limits_(random_limits(random_)),
        alphabet_(random_.between(1, 4)),
        stops_one_in_(random_.between(10, 100)),
        content_(static_cast<size_t>(limits_.pages),
                 std::vector<uint64_t>(static_cast<size_t>(limits_.page_tokens))),
        scheduler_(limits_) {
    draw_clients();
  }

  SimulationReport run();

 private:
  void draw_clients();
  Arrival draw_arrival(ProcessId id);
  void deliver_until(int64_t time_us);
  void arrive(Client client);
  void cancel(ProcessId id);
  std::vector<ItemResult> execute(const Batch& batch);
  void check_limits(const Batch& batch);
  void check_places(ProcessId newcomer);
  void check_item(const BatchItem& item, const Client& client);
  void write(const BatchItem& item, const Client& client);
  void check_content(const BatchItem& item, const Client& client);
  ItemResult answer(const BatchItem& item, Client& client);
  void settle(const Batch& batch, const std::vector<ItemResult>& results);
  void check_known();
  void check_end();

  void fail(const std::string& what) {
    if (report_.error.empty()) report_.error = "at " + std::to_string(now_us_) + " us: " + what;
  }
  void require(bool holds, const char* what, ProcessId id) {
    if (!holds) fail("process " + std::to_string(id) + ": " + what);
  }
  uint64_t& place(const BatchItem& item, int32_t position) {
    const PageId page = item.pages[static_cast<size_t>(position / limits_.page_tokens)];
    return content_[static_cast<size_t>(page)][static_cast<size_t>(position % limits_.page_tokens)];
  }

  Random random_;
  SchedulerLimits limits_;
  int32_t alphabet_, stops_one_in_;
  std::vector<std::vector<uint64_t>> content_;  ///< [pages][page_tokens] fake keys and values
  std::set<PageId> written_;                    ///< pages written in the batch in flight
  Scheduler scheduler_;
  std::vector<Client> coming_;  ///< the next one last
  std::map<ProcessId, Client> here_;
  std::vector<std::vector<TokenId>> stems_;  ///< prompts begin with one of these
  int64_t now_us_ = 0;
  int64_t tokens_max_ = 0;
  SimulationReport report_;
};

void Simulation::draw_clients() {
  for (int i = 0; i < 3; ++i) {
    std::vector<TokenId> stem(static_cast<size_t>(random_.between(0, 30)));
    for (TokenId& token : stem) token = random_.between(1, alphabet_);
    stems_.push_back(std::move(stem));
  }
  const int32_t pause_us = random_.between(0, 3000);
  const int32_t count = random_.between(1, 30);
  int64_t time_us = 0;
  for (int32_t i = 0; i < count; ++i) {
    Client client;
    client.arrival = draw_arrival(static_cast<ProcessId>(i));
    client.arrives_us = time_us += random_.between(0, pause_us);
    if (random_.one_in(6)) client.cancel_us = time_us + random_.between(0, 10000);
    tokens_max_ +=
        static_cast<int64_t>(client.arrival.prompt.size()) + client.arrival.max_new_tokens;
    coming_.push_back(std::move(client));
  }
  std::ranges::reverse(coming_);
}

Arrival Simulation::draw_arrival(ProcessId id) {
  Arrival arrival;
  arrival.id = id;
  arrival.prompt = stems_[static_cast<size_t>(random_.between(0, 2))];
  for (int32_t n = random_.between(0, 12); n > 0; --n) {
    arrival.prompt.push_back(random_.between(1, alphabet_));
  }
  if (arrival.prompt.empty()) arrival.prompt.push_back(1);
  arrival.max_new_tokens = random_.one_in(8) ? 0 : random_.between(1, 40);
  arrival.prompt_logits = random_.one_in(6);
  arrival.priority = static_cast<Priority>(random_.between(0, 2));
  return arrival;
}

void Simulation::arrive(Client client) {
  const ProcessId id = client.arrival.id;
  const int64_t prompt = client.prompt_tokens(), more = client.arrival.max_new_tokens;
  const Admission admission = scheduler_.arrive(client.arrival, now_us_);
  const bool fits = prompt + more <= limits_.context &&
                    pages_worst_case(prompt, more, limits_.page_tokens) <= limits_.pages;
  require(fits == (admission != Admission::kTooLong), "too long or not, wrongly", id);
  if (admission != Admission::kQueued) {
    ++report_.refused;
    return;
  }
  for (const TokenId token : client.arrival.prompt) client.append(token);
  here_.emplace(id, std::move(client));
}

void Simulation::cancel(ProcessId id) {
  Client& client = here_.at(id);
  require(scheduler_.cancel(id), "is here and cannot be cancelled", id);
  client.cancelled = true;
  ++report_.cancelled;
  if (!scheduler_.info(id)) here_.erase(id);
}

/// Arrivals and cancellations up to a time, one by one.
void Simulation::deliver_until(int64_t time_us) {
  while (!coming_.empty() && coming_.back().arrives_us <= time_us) {
    now_us_ = std::max(now_us_, coming_.back().arrives_us);
    Client client = std::move(coming_.back());
    coming_.pop_back();
    arrive(std::move(client));
    check_known();
  }
  std::vector<ProcessId> due;
  for (const auto& [id, client] : here_) {
    if (!client.cancelled && client.cancel_us && *client.cancel_us <= time_us) due.push_back(id);
  }
  for (const ProcessId id : due) {
    cancel(id);
    check_known();
  }
  now_us_ = time_us;
}

void Simulation::check_known() {
  const std::string wrong = scheduler_.check_invariants();
  if (!wrong.empty()) fail(wrong);
  for (const auto& [id, client] : here_) {
    const auto info = scheduler_.info(id);
    if (!info) return fail("process " + std::to_string(id) + ": forgotten");
    require(info->generated_tokens == client.generated(), "count of new tokens is wrong", id);
    require(info->prompt_tokens == client.prompt_tokens(), "count of prompt tokens is wrong", id);
    require(info->cached_tokens < client.prompt_tokens(), "the whole prompt was reused", id);
    require(!client.arrival.prompt_logits || info->cached_tokens == 0, "scoring reused", id);
  }
}

void Simulation::check_limits(const Batch& batch) {
  int32_t logit_rows = 0;
  std::set<ProcessId> seen;
  for (const BatchItem& item : batch.items) {
    const auto rows = static_cast<int32_t>(item.tokens.size());
    logit_rows += item.logit_rows();
    require(rows > 0, "empty item", item.id);
    require(seen.insert(item.id).second, "twice in a batch", item.id);
  }
  if (batch.items.empty()) fail("empty batch");
  if (batch.tokens() > limits_.batch_tokens) fail("too many rows");
  if (seen.size() > static_cast<size_t>(limits_.sequences)) fail("too many sequences");
  if (logit_rows > limits_.logit_rows) fail("too many logit rows");
}

/// Nobody who waits may have had the better claim to the newcomer's place.
void Simulation::check_places(ProcessId newcomer) {
  const Client& client = here_.at(newcomer);
  const int64_t admitted_us = scheduler_.info(newcomer)->admitted_us;
  for (const auto& [id, other] : here_) {
    if (other.admitted || id == newcomer) continue;
    const bool older = id < newcomer;
    const bool overdue = admitted_us - other.arrives_us >= limits_.wait_us_max;
    const bool as_urgent = other.arrival.priority >= client.arrival.priority;
    if (scheduler_.info(id)->admitted_us >= 0) continue;
    if (older && (overdue || as_urgent)) require(false, "was passed over", id);
    if (older) ++report_.overtaken;
  }
}

void Simulation::check_item(const BatchItem& item, const Client& client) {
  const int32_t begin = item.first_position;
  const int32_t end = begin + static_cast<int32_t>(item.tokens.size());
  require(begin >= 0 && end <= client.size(), "tokens it does not have", item.id);
  require(std::equal(item.tokens.begin(), item.tokens.end(), client.tokens.begin() + begin),
          "tokens differ", item.id);
  const auto pages = static_cast<size_t>((end + limits_.page_tokens - 1) / limits_.page_tokens);
  require(item.pages.size() == pages, "wrong number of pages", item.id);
  require(std::set(item.pages.begin(), item.pages.end()).size() == pages, "page twice", item.id);
  const bool last = end == client.size() && client.generated() < client.arrival.max_new_tokens;
  require(item.logits_last == last, "asked for a token at the wrong place", item.id);
  const bool owes = client.arrival.prompt_logits && client.prompt_logits_next < end &&
                    client.prompt_logits_next < client.prompt_tokens();
  require(item.logits_all == owes, "prompt logits twice or left out", item.id);
  if (item.logits_all) {
    require(begin == client.prompt_logits_next, "prompt logits out of order", item.id);
  }
}

void Simulation::write(const BatchItem& item, const Client& client) {
  std::set<PageId> mine;
  for (size_t i = 0; i < item.tokens.size(); ++i) {
    const int32_t position = item.first_position + static_cast<int32_t>(i);
    place(item, position) = client.hashes[static_cast<size_t>(position)];
    mine.insert(item.pages[static_cast<size_t>(position / limits_.page_tokens)]);
  }
  for (const PageId page : mine) {
    require(written_.insert(page).second, "writes a page another writes", item.id);
  }
}

void Simulation::check_content(const BatchItem& item, const Client& client) {
  const int32_t end = item.first_position + static_cast<int32_t>(item.tokens.size());
  for (int32_t position = 0; position < end; ++position) {
    require(place(item, position) == client.hashes[static_cast<size_t>(position)],
            "page holds something else", item.id);
  }
}

ItemResult Simulation::answer(const BatchItem& item, Client& client) {
  if (item.logits_all) client.prompt_logits_next += static_cast<int32_t>(item.tokens.size());
  if (!item.logits_last) return {};
  const uint64_t hash = client.hashes.back();
  if ((hash >> 20) % static_cast<uint64_t>(stops_one_in_) == 0)
    return {.token = std::nullopt, .finished = true};
  return {.token = 1 + static_cast<TokenId>(hash % static_cast<uint64_t>(alphabet_))};
}

std::vector<ItemResult> Simulation::execute(const Batch& batch) {
  check_limits(batch);
  written_.clear();
  for (const BatchItem& item : batch.items) {
    if (!here_.contains(item.id)) {
      fail("batch of a process that is not here");
      return {};
    }
    Client& client = here_.at(item.id);
    if (!client.admitted) check_places(item.id);
    check_item(item, client);
    if (!report_.error.empty()) return {};
    write(item, client);
  }
  for (const BatchItem& item : batch.items) here_.at(item.id).admitted = true;
  for (const BatchItem& item : batch.items) check_content(item, here_.at(item.id));
  std::vector<ItemResult> results;
  for (const BatchItem& item : batch.items) results.push_back(answer(item, here_.at(item.id)));
  return results;
}

/// Keeps the simulator's own books: who got a token, who ended.
void Simulation::settle(const Batch& batch, const std::vector<ItemResult>& results) {
  for (size_t i = 0; i < results.size(); ++i) {
    const BatchItem& item = batch.items[i];
    Client& client = here_.at(item.id);
    const int32_t end = item.first_position + static_cast<int32_t>(item.tokens.size());
    const bool all_computed = end == client.size();
    if (results[i].token) client.append(*results[i].token);
    const bool has_all = all_computed && client.generated() == client.arrival.max_new_tokens;
    if (!results[i].finished && !client.cancelled && !has_all) continue;
    require(!scheduler_.info(item.id), "ended and still known", item.id);
    if (!client.cancelled) ++report_.ended;
    here_.erase(item.id);
  }
}

void Simulation::check_end() {
  const SchedulerStats stats = scheduler_.stats();
  if (!here_.empty()) fail("processes are left that nobody runs");
  if (stats.waiting != 0 || stats.running != 0 || stats.pages_used != 0) fail("not all came back");
  if (stats.pages_free + stats.pages_cached != limits_.pages) fail("pages are lost");
  report_.suspensions = stats.suspensions;
  report_.tokens_reused = stats.tokens_reused;
}

SimulationReport Simulation::run() {
  const uint64_t batches_max = 100 + 10 * static_cast<uint64_t>(tokens_max_);
  while (report_.error.empty()) {
    deliver_until(now_us_);
    const auto batch = scheduler_.next_batch(now_us_);
    if (!batch) {
      if (coming_.empty()) break;
      deliver_until(std::max(now_us_, coming_.back().arrives_us));
      continue;
    }
    const auto results = execute(*batch);
    if (!report_.error.empty()) break;
    deliver_until(now_us_ + 200 + 10 * batch->tokens());
    scheduler_.batch_done(results, now_us_);
    settle(*batch, results);
    check_known();
    if (++report_.batches > batches_max) fail("no end in sight");
  }
  if (report_.error.empty()) check_end();
  return report_;
}

}  // namespace

SimulationReport simulate(uint64_t seed) {
  return Simulation(seed).run();
}

}  // namespace neuros::sched
