#include "sched/simulator.h"

#include "sched/random.h"
#include "sched/scheduler.h"
#include "sched/simulated_kv.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
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
  int32_t computed = 0;  ///< tokens that have been, in all batches
  bool admitted = false, cancelled = false;

  void append(TokenId token) {
    hashes.push_back(next_hash(hashes.empty() ? 1 : hashes.back(), token));
    tokens.push_back(token);
  }
  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  int32_t prompt_tokens() const { return static_cast<int32_t>(arrival.prompt.size()); }
  int32_t generated() const { return size() - prompt_tokens(); }
  /// First position whose logits it still needs.
  int32_t owed_from() const {
    const bool scores = arrival.prompt_logits && prompt_logits_next < prompt_tokens();
    return scores ? prompt_logits_next : size() - 1;
  }
};

SchedulerLimits random_limits(Random& random) {
  SchedulerLimits limits;
  limits.page_tokens = random.between(1, 6);
  limits.context = random.between(20, 90);
  const int32_t one_context = limits.context / limits.page_tokens;
  limits.pages = random.between(std::max(1, one_context / 2), 2 * one_context);
  const int32_t host = random.between(0, 3);  // none, little, some, and room for everything
  limits.host_pages = std::array{0, random.between(1, 4), limits.pages, 600}[host];
  limits.batch_tokens = random.between(1, 24);
  limits.sequences = random.between(1, 8);
  limits.logit_rows = random.between(1, 8);
  limits.queue = random.between(2, 30);
  limits.wait_us_max = random.between(1, 60) * 1000;
  limits.decodes_differ = random.one_in(2);
  return limits;
}

/// What the scheduler is told.
SchedulerLimits told(SchedulerLimits limits, SimulationBug bug) {
  if (bug == SimulationBug::kHostTierTooLarge) limits.host_pages += 2;
  if (bug == SimulationBug::kForgetfulTier) limits.host_pages = 0;
  if (bug == SimulationBug::kAllIsPrompt) limits.decodes_differ = false;
  if (bug == SimulationBug::kNoRescue) limits.wait_us_max = int64_t{1} << 60;
  if (bug == SimulationBug::kEarlyRescue) limits.wait_us_max /= 2;
  return limits;
}

class Simulation {
 public:
  Simulation(uint64_t seed, SimulationBug bug)
      : random_(seed),
        bug_(bug),
        limits_(random_limits(random_)),
        alphabet_(random_.between(1, 4)),
        stops_one_in_(random_.between(10, 100)),
        fails_one_in_(random_.one_in(4) ? random_.between(4, 40) : 0),
        kv_(limits_.pages, limits_.host_pages, limits_.page_tokens),
        forgets_(limits_.host_pages == 0),
        scheduler_(told(limits_, bug)) {
    draw_clients();
  }

  SimulationReport run();

 private:
  void draw_clients();
  Arrival draw_arrival(ProcessId id);
  void deliver_until(int64_t time_us);
  void append(Client& client, TokenId token) {
    client.append(token);
    ++sharers_[client.hashes.back()];
  }
  void arrive(Client client);
  void cancel(ProcessId id);
  int32_t places() const {
    return std::min({limits_.sequences, limits_.batch_tokens, limits_.logit_rows});
  }
  bool take_batch(const Batch& batch);
  std::vector<PageMove> moves_of(const Batch& batch) const;
  void carry_out(const Batch& batch);
  void spoil(const Batch& batch);
  void complete(const Batch& batch);
  void fail_batch(const Batch& batch);
  std::vector<ItemResult> execute(const Batch& batch);
  void check_not_again(const BatchItem& item, const Client& client);
  void note_computed(const Batch& batch);
  void check_limits(const Batch& batch);
  void check_places(ProcessId newcomer);
  void check_rescue();
  void check_yields(const Batch& batch);
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
    return kv_.at(page, position % limits_.page_tokens);
  }

  Random random_;
  const SimulationBug bug_;
  SchedulerLimits limits_;
  int32_t alphabet_, stops_one_in_;
  int32_t fails_one_in_;  ///< batches; 0: none
  SimulatedKv kv_;
  std::set<PageId> written_;  ///< pages written in the batch in flight
  bool forgets_;              ///< the host tier was full, or a batch failed: contents may be lost
  std::unordered_set<uint64_t> full_pages_;        ///< that were computed, by their last hash
  std::unordered_map<uint64_t, int32_t> sharers_;  ///< clients that have these tokens
  Scheduler scheduler_;
  std::vector<Client> coming_;  ///< the next one last
  std::map<ProcessId, Client> here_;
  std::vector<std::vector<TokenId>> stems_;  ///< prompts begin with one of these
  std::optional<ProcessId> rescued_;
  int64_t rescued_since_us_ = INT64_MIN / 2;
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
  Arrival told = client.arrival;
  if (bug_ == SimulationBug::kNoPriorities) told.priority = Priority::kLow;
  if (bug_ == SimulationBug::kTwistedPriorities) {
    told.priority = static_cast<Priority>(2 - static_cast<int>(told.priority));
  }
  const Admission admission = scheduler_.arrive(std::move(told), now_us_);
  const bool fits = prompt + more <= limits_.context &&
                    pages_worst_case(prompt, more, limits_.page_tokens) <= limits_.pages;
  require(fits == (admission != Admission::kTooLong), "too long or not, wrongly", id);
  if (admission != Admission::kQueued) {
    ++report_.refused;
    return;
  }
  for (const TokenId token : client.arrival.prompt) append(client, token);
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
  if (newcomer == rescued_) return;
  const int64_t admitted_us = scheduler_.info(newcomer)->admitted_us;
  for (const auto& [id, other] : here_) {
    if (id == newcomer || scheduler_.info(id)->admitted_us >= 0) continue;
    const bool older = id < newcomer;
    const bool as_urgent = other.arrival.priority >= client.arrival.priority;
    if (older && as_urgent) require(false, "was passed over", id);
    if (older) ++report_.overtaken;
    if (id != rescued_ || admitted_us < rescued_since_us_) continue;
    const bool may = client.arrival.priority == Priority::kCritical &&
                     admitted_us < rescued_since_us_ + limits_.wait_us_max;
    require(may, "was passed over and is rescued", id);
  }
}

/// One is helped at a time, after its wait, and the next not at once.
void Simulation::check_rescue() {
  std::optional<ProcessId> rescued;
  for (const auto& [id, client] : here_) {
    if (!scheduler_.info(id)->rescued) continue;
    require(!rescued, "rescued beside another", id);
    rescued = id;
  }
  const bool may_begin = now_us_ >= rescued_since_us_ + limits_.wait_us_max;
  if (rescued && rescued != rescued_) {
    const bool waited = now_us_ - here_.at(*rescued).arrives_us >= limits_.wait_us_max;
    require(waited && may_begin, "rescued too soon", *rescued);
    rescued_since_us_ = now_us_;
  }
  rescued_ = rescued;
  if (rescued || !may_begin) return;
  for (const auto& [id, client] : here_) {
    const bool overdue = now_us_ - client.arrives_us >= limits_.wait_us_max;
    require(!overdue || scheduler_.info(id)->admitted_us >= 0, "overdue and not rescued", id);
  }
}

/// Where all who run are of lower priorities, one of them has to yield.
void Simulation::check_yields(const Batch& batch) {
  const bool seen = scheduler_.stats().running == static_cast<int32_t>(batch.items.size());
  if (rescued_ || !seen) return;
  Priority top = Priority::kLow;
  for (const BatchItem& item : batch.items) {
    top = std::max(top, here_.at(item.id).arrival.priority);
  }
  for (const auto& [id, client] : here_) {
    const bool waits = scheduler_.info(id)->admitted_us < 0;
    require(!waits || client.arrival.priority <= top, "waits for lower priorities", id);
  }
}

void Simulation::check_item(const BatchItem& item, const Client& client) {
  const int32_t begin = item.first_position;
  const int32_t end = begin + static_cast<int32_t>(item.tokens.size());
  require(begin >= 0 && end <= client.size(), "tokens it does not have", item.id);
  require(std::equal(item.tokens.begin(), item.tokens.end(), client.tokens.begin() + begin),
          "tokens differ", item.id);
  const bool generated = end > client.prompt_tokens();
  require(item.decodes == (generated && item.tokens.size() == 1), "called what it is not", item.id);
  require(item.decodes || !generated || !limits_.decodes_differ,
          "computes as a prompt what it had generated", item.id);
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

/// As long as nothing was forgotten, all that was computed is on the device or in the host tier.
void Simulation::check_not_again(const BatchItem& item, const Client& client) {
  if (forgets_) return;
  const int32_t begin = item.first_position, page_end = begin + limits_.page_tokens;
  if (begin % limits_.page_tokens == 0 && page_end <= client.owed_from()) {
    const uint64_t hash = client.hashes[static_cast<size_t>(page_end - 1)];
    require(!full_pages_.contains(hash), "a page is computed again", item.id);
  }
  if (begin >= client.computed) return;
  // Of two that have the same part of a page, one may lose it to the other.
  const uint64_t hash = client.hashes[static_cast<size_t>(client.computed - 1)];
  require(sharers_.at(hash) > 1, "its own tokens are computed again", item.id);
}

void Simulation::note_computed(const Batch& batch) {
  for (const BatchItem& item : batch.items) {
    Client& client = here_.at(item.id);
    for (size_t i = 0; i < item.tokens.size(); ++i) {
      const int32_t end = item.first_position + static_cast<int32_t>(i) + 1;
      client.computed = std::max(client.computed, end);
      if (end % limits_.page_tokens == 0) {
        full_pages_.insert(client.hashes[static_cast<size_t>(end - 1)]);
      }
    }
  }
}

/// The batch's moves, or what a planted bug makes of them.
std::vector<PageMove> Simulation::moves_of(const Batch& batch) const {
  using Kind = PageMove::Kind;
  std::vector<PageMove> moves = batch.moves;
  const auto drop_first = [&](Kind kind) {
    const auto it = std::ranges::find(moves, kind, &PageMove::kind);
    if (it != moves.end()) moves.erase(it);
  };
  if (bug_ == SimulationBug::kSkippedOut) drop_first(Kind::kOut);
  if (bug_ == SimulationBug::kSkippedIn) drop_first(Kind::kIn);
  if (bug_ == SimulationBug::kMovesReversed) std::ranges::reverse(moves);
  if (bug_ == SimulationBug::kInsFirst) {
    std::stable_partition(moves.begin(), moves.end(),
                          [](const PageMove& m) { return m.kind == Kind::kIn; });
  }
  SlotId last_out = kNoSlot;
  for (PageMove& move : moves) {
    if (bug_ == SimulationBug::kWrongSlot && move.kind == Kind::kIn) {
      move.slot = (move.slot + 1) % limits_.host_pages;
    }
    if (bug_ != SimulationBug::kSharedSlot || move.kind != Kind::kOut) continue;
    if (last_out != kNoSlot) move.slot = last_out;
    last_out = move.slot;
  }
  return moves;
}

void Simulation::carry_out(const Batch& batch) {
  for (const PageMove& move : moves_of(batch)) {
    const std::string wrong = kv_.move(move);
    if (!wrong.empty()) return fail(wrong);
    if (bug_ != SimulationBug::kTornMove || move.kind != PageMove::Kind::kIn) continue;
    for (int32_t last = limits_.page_tokens - 1; last >= 0; --last) {
      if (std::exchange(kv_.at(move.page, last), 0) != 0) break;
    }
  }
}

std::vector<ItemResult> Simulation::execute(const Batch& batch) {
  written_.clear();
  if (bug_ != SimulationBug::kMovesTooLate) carry_out(batch);
  for (const BatchItem& item : batch.items) write(item, here_.at(item.id));
  if (bug_ == SimulationBug::kMovesTooLate) carry_out(batch);
  for (const BatchItem& item : batch.items) check_content(item, here_.at(item.id));
  note_computed(batch);
  std::vector<ItemResult> results;
  for (const BatchItem& item : batch.items) results.push_back(answer(item, here_.at(item.id)));
  return results;
}

/// Whether the batch keeps the rules, as far as its numbers go.
bool Simulation::take_batch(const Batch& batch) {
  check_limits(batch);
  const std::string wrong = scheduler_.check_invariants();
  if (!wrong.empty()) fail(wrong);
  const SchedulerStats stats = scheduler_.stats();
  forgets_ = forgets_ || stats.host_pages_used >= limits_.host_pages;
  for (const BatchItem& item : batch.items) {
    if (here_.contains(item.id)) continue;
    fail("batch of a process that is not here");
    return false;
  }
  check_rescue();
  check_yields(batch);
  for (const BatchItem& item : batch.items) {
    const Client& client = here_.at(item.id);
    if (!client.admitted) check_places(item.id);
    check_item(item, client);
    check_not_again(item, client);
  }
  for (const BatchItem& item : batch.items) here_.at(item.id).admitted = true;
  return report_.error.empty();
}

/// Some of its moves came to pass and some of its rows; nobody knows which.
void Simulation::spoil(const Batch& batch) {
  for (const PageMove& move : batch.moves) {
    if (random_.one_in(2)) {
      kv_.spoil(move);
    } else {
      const std::string wrong = kv_.move(move);
      if (!wrong.empty()) return fail(wrong);
    }
  }
  for (const BatchItem& item : batch.items) {
    const auto first = static_cast<size_t>(item.first_position / limits_.page_tokens);
    for (size_t i = first; i < item.pages.size(); ++i) kv_.spoil(item.pages[i]);
  }
}

void Simulation::fail_batch(const Batch& batch) {
  spoil(batch);
  deliver_until(now_us_ + 200);
  if (bug_ == SimulationBug::kFailureIsSuccess) {
    const ItemResult end{.token = std::nullopt, .finished = true};
    scheduler_.batch_done(std::vector(batch.items.size(), end), now_us_);
  } else {
    scheduler_.batch_failed(now_us_);
  }
  forgets_ = true;
  for (const BatchItem& item : batch.items) {
    require(!scheduler_.info(item.id), "failed and still known", item.id);
    if (!here_.at(item.id).cancelled) ++report_.failed;
    here_.erase(item.id);
  }
}

/// Keeps the simulator's own books: who got a token, who ended.
void Simulation::settle(const Batch& batch, const std::vector<ItemResult>& results) {
  for (size_t i = 0; i < results.size(); ++i) {
    const BatchItem& item = batch.items[i];
    Client& client = here_.at(item.id);
    const int32_t end = item.first_position + static_cast<int32_t>(item.tokens.size());
    const bool all_computed = end == client.size();
    if (results[i].token) append(client, *results[i].token);
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
  report_.swapped_out = stats.pages_swapped_out;
  report_.swapped_in = stats.pages_swapped_in;
  report_.roomy = forgets_ ? 0 : 1;
}

void Simulation::complete(const Batch& batch) {
  const auto results = execute(batch);
  if (!report_.error.empty()) return;
  deliver_until(now_us_ + 200 + 10 * batch.tokens());
  scheduler_.batch_done(results, now_us_);
  settle(batch, results);
}

SimulationReport Simulation::run() {
  const uint64_t batches_max = 100 + 10 * static_cast<uint64_t>(tokens_max_);
  while (report_.error.empty()) {
    deliver_until(now_us_);
    const int32_t rows_most = random_.one_in(4) ? random_.between(1, 12) : INT32_MAX;
    const auto batch = scheduler_.next_batch(now_us_, rows_most);
    if (!batch) {
      if (coming_.empty()) break;
      deliver_until(std::max(now_us_, coming_.back().arrives_us));
      continue;
    }
    if (batch->tokens() > std::max(rows_most, places())) fail("more rows than were asked for");
    if (!take_batch(*batch)) break;
    if (fails_one_in_ > 0 && random_.one_in(fails_one_in_)) {
      fail_batch(*batch);
    } else {
      complete(*batch);
    }
    check_known();
    if (++report_.batches > batches_max) fail("no end in sight");
  }
  if (report_.error.empty()) check_end();
  return report_;
}

}  // namespace

SimulationReport simulate(uint64_t seed, SimulationBug bug) {
  return Simulation(seed, bug).run();
}

}  // namespace neuros::sched
