#include "sched/simulated_kv.h"

#include <utility>

namespace neuros::sched {

SimulatedKv::SimulatedKv(int32_t pages, int32_t host_pages, int32_t page_tokens)
    : page_tokens_(static_cast<size_t>(page_tokens)),
      pages_(static_cast<size_t>(pages), Content(page_tokens_)),
      slots_(static_cast<size_t>(host_pages), Content(page_tokens_)) {}

std::string SimulatedKv::move(const PageMove& move) {
  if (move.page < 0 || static_cast<size_t>(move.page) >= pages_.size()) return "no such page";
  if (move.slot < 0 || static_cast<size_t>(move.slot) >= slots_.size()) {
    return "more in the host tier than it has slots";
  }
  const bool out = move.kind == PageMove::Kind::kOut;
  Content& page = pages_[static_cast<size_t>(move.page)];
  Content& slot = slots_[static_cast<size_t>(move.slot)];
  Content& from = out ? page : slot;
  if (from.front() == 0) return out ? "moves out a page without content" : "moves in nothing";
  (out ? slot : page) = std::exchange(from, Content(page_tokens_));
  return "";
}

void SimulatedKv::spoil(const PageMove& move) {
  if (move.kind == PageMove::Kind::kIn) return spoil(move.page);
  slots_.at(static_cast<size_t>(move.slot)).assign(page_tokens_, kGarbage);
}

}  // namespace neuros::sched
