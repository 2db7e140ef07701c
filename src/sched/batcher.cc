#include "sched/batcher.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace neuros::sched {

Batcher::Batcher(const SchedulerLimits& limits, KvMemory& memory, AdmissionQueue& queue)
    : limits_(limits),
      running_max_(std::min({limits.sequences, limits.batch_tokens, limits.logit_rows})),
      memory_(memory),
      queue_(queue),
      rescue_(limits.wait_us_max) {}

std::vector<Chunk> Batcher::plan(int64_t now_us, int32_t rows_most) {
  rows_ = std::min(limits_.batch_tokens, std::max(rows_most, running_max_));
  rescue_.choose(running_, queue_.all(), now_us);
  const Order order(rescue_.process());
  chunks_.clear();
  chunks_.reserve(running_.size());
  admit_urgent(order, now_us);
  std::ranges::sort(running_,
                    [&](const Process* a, const Process* b) { return order.outranks(*a, *b); });
  plan_decodes(order);
  plan_prefills(order, now_us);
  CHECK(!chunks_.empty() || (running_.empty() && queue_.size() == 0), "somebody can always run");
  return std::exchange(chunks_, {});
}

/// Before rows are given out: those of who runs might leave none for who takes his place.
void Batcher::admit_urgent(const Order& order, int64_t now_us) {
  for (Process* process = next_waiting(order, now_us); process && !can_admit(*process);
       process = next_waiting(order, now_us)) {
    if (!make_room(*process, order)) return;
    admit(*process, now_us);
  }
}

void Batcher::plan_decodes(const Order& order) {
  const std::vector<Process*> candidates = running_;
  for (Process* process : candidates) {
    const bool suspended = !process->running;
    if (suspended || !decodes(*process)) continue;
    if (process->remaining() > 1 && !reuse(*process, order)) continue;
    const int32_t end = process->computed + 1;
    if (secure(*process, end, order) < end) continue;
    chunks_.push_back({process, process->computed, end});
  }
}

void Batcher::plan_prefills(const Order& order, int64_t now_us) {
  std::vector<Process*> candidates;
  std::ranges::copy_if(running_, std::back_inserter(candidates),
                       [&](const Process* process) { return !decodes(*process); });
  size_t next = 0;
  while (rows_left() > 0) {
    while (next < candidates.size() && !candidates[next]->running) ++next;
    Process* process = next < candidates.size() ? candidates[next] : nullptr;
    Process* waiting = next_waiting(order, now_us);
    const bool its_turn = waiting && (!process || order.outranks(*waiting, *process));
    if (its_turn && can_admit(*waiting)) {
      admit(*waiting, now_us);
      process = waiting;
    } else if (process) {
      ++next;
    } else {
      break;
    }
    plan_chunk(*process, order);
  }
}

void Batcher::plan_chunk(Process& process, const Order& order) {
  if (!reuse(process, order)) return;
  const int32_t wanted = chunk_end(process);
  const int32_t end = secure(process, wanted, order);
  if (end > process.computed) chunks_.push_back({&process, process.computed, end});
}

bool Batcher::decodes(const Process& process) const {
  const bool again = limits_.decodes_differ && process.computed >= process.prompt_tokens;
  return process.remaining() == 1 || again;
}

int32_t Batcher::chunk_end(const Process& process) const {
  const int32_t rows = decodes(process) ? 1 : rows_left();
  int32_t end = std::min(process.size(), process.computed + rows);
  if (limits_.decodes_differ && process.computed < process.prompt_tokens) {
    end = std::min(end, process.prompt_tokens);
  }
  if (process.owes_prompt_logits()) {
    // After a suspension: up to the first position still owed without logits, from there with.
    if (process.computed < process.owed_from) return std::min(end, process.owed_from);
    return std::min(end, process.computed + logit_rows_left());
  }
  const bool asks = end == process.size() && process.wants_token();
  return asks && logit_rows_left() == 0 ? end - 1 : end;
}

/// The first of the order. One that is rescued and finds no room does not stop critical ones until
/// it waited as long again: what it waits for, the end of somebody who runs, is not theirs to
/// hasten.
Process* Batcher::next_waiting(const Order& order, int64_t now_us) const {
  Process* first = queue_.first(order);
  if (!first || first != rescue_.process() || !rescue_.lets_critical_pass(now_us)) return first;
  if (can_admit(*first) || can_make_room(*first, order)) return first;
  Process* behind = queue_.first_behind(*first, order);
  return behind && behind->priority == Priority::kCritical ? behind : first;
}

/// What one that runs still needs for the tokens it has, and a page more to grow into: otherwise
/// who is admitted now might be suspended at the next step.
int32_t Batcher::promised(const Process& running) const {
  const auto pages = static_cast<int32_t>(running.pages.size());
  return std::max(memory_.pages_for(running.size()) - pages, 0) + 1;
}

bool Batcher::can_admit(const Process& process) const {
  if (static_cast<int32_t>(running_.size()) >= running_max_) return false;
  if (running_.empty()) return true;
  int32_t promises = 0;
  for (const Process* other : running_) promises += promised(*other);
  return memory_.demand(process) + promises <= memory_.available();
}

bool Batcher::can_make_room(const Process& process, const Order& order) const {
  int32_t stay = 0, pages = memory_.available();
  for (const Process* other : running_) {
    const bool yields = order.yields(*other, process);
    stay += yields ? 0 : 1;
    pages += yields ? static_cast<int32_t>(other->pages.size()) : -promised(*other);
  }
  return stay == 0 || (stay < running_max_ && memory_.demand(process) <= pages);
}

bool Batcher::make_room(const Process& process, const Order& order) {
  if (!can_make_room(process, order)) return false;
  while (!can_admit(process)) {
    Process* loser = nullptr;
    for (Process* other : running_) {
      const bool last = !loser || order.outranks(*loser, *other);
      if (last && order.yields(*other, process)) loser = other;
    }
    if (!loser) return false;  // of their pages some are not theirs alone
    suspend(*loser);
  }
  return true;
}

void Batcher::admit(Process& process, int64_t now_us) {
  queue_.remove(process);
  running_.push_back(&process);
  process.running = true;
  if (process.admitted_us < 0) process.admitted_us = now_us;
}

bool Batcher::reuse(Process& process, const Order& order) {
  const auto pin = memory_.pin(process);
  bool room = true;
  while (room) {
    const KvMemory::Known known = memory_.next_known(process);
    if (known.end == process.computed) break;
    if (known.on_host) room = secure(process, known.end, order) == known.end;
    if (room) memory_.take(process, known);
  }
  const int32_t found = std::max(process.computed - process.reached, 0);
  process.reached += found;
  process.cached_tokens += found;
  tokens_reused_ += static_cast<uint64_t>(found);
  return room;
}

int32_t Batcher::secure(Process& process, int32_t tokens, const Order& order) {
  while (!memory_.grow(process, tokens)) {
    Process* loser = victim(process, order);
    if (!loser) break;
    suspend(*loser);
  }
  const int64_t places = static_cast<int64_t>(process.pages.size()) * limits_.page_tokens;
  return static_cast<int32_t>(std::min<int64_t>(tokens, places));
}

Process* Batcher::victim(const Process& beneficiary, const Order& order) const {
  const auto last = std::ranges::max_element(
      running_, [&](const Process* a, const Process* b) { return order.outranks(*a, *b); });
  if (last == running_.end() || !order.outranks(beneficiary, **last)) return nullptr;
  return *last;
}

void Batcher::suspend(Process& process) {
  std::erase_if(chunks_, [&](const Chunk& chunk) { return chunk.process == &process; });
  memory_.park(process);
  wait(process);
  ++suspensions_;
}

void Batcher::restart(Process& process) {
  memory_.release(process);
  wait(process);
}

/// A process without pages gives its place among the running back.
void Batcher::wait(Process& process) {
  CHECK(std::erase(running_, &process) == 1);
  process.running = false;
  queue_.push(process);
}

void Batcher::remove(Process& process) {
  CHECK(std::erase(running_, &process) == 1);
  memory_.release(process);
  process.running = false;
}

int32_t Batcher::rows_left() const {
  int32_t left = rows_;
  for (const Chunk& chunk : chunks_) left -= chunk.rows();
  return left;
}

int32_t Batcher::logit_rows_left() const {
  int32_t left = limits_.logit_rows;
  for (const Chunk& chunk : chunks_) left -= chunk.logit_rows();
  return left;
}

}  // namespace neuros::sched
