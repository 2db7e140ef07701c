#include "sched/kv_memory.h"

#include "base/check.h"

#include <algorithm>
#include <span>

namespace neuros::sched {
namespace {

/// Tokens of full page `index` of a process.
std::span<const TokenId> page_of(const Process& process, size_t index, int32_t page_tokens) {
  const auto tokens = static_cast<size_t>(page_tokens);
  return std::span(process.tokens).subspan(index * tokens, tokens);
}

std::span<const TokenId> tokens_of(const Process& process, int32_t begin, int32_t end) {
  return std::span(process.tokens)
      .subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

PageId parent_of(const Process& process, size_t index) {
  return index == 0 ? kNoPage : process.pages[index - 1];
}

}  // namespace

KvMemory::KvMemory(const KvLimits& limits, ContentForest::Hash hash)
    : pages_(limits.pages),
      slots_(limits.host_pages),
      page_tokens_(limits.page_tokens),
      cache_(pages_, slots_, limits.page_tokens, hash) {}

int32_t KvMemory::demand(const Process& process) const {
  const auto found = cache_.match(tokens_of(process, 0, process.owed_from));
  const auto shared =
      std::ranges::count_if(found, [&](PageId page) { return pages_.holders(page) > 0; });
  return pages_for(process.size()) - static_cast<int32_t>(shared);
}

KvMemory::Known KvMemory::next_known(const Process& process) const {
  const int32_t begin = process.computed;
  if (begin % page_tokens_ != 0) return {.end = begin};
  const PageId parent = parent_of(process, static_cast<size_t>(begin / page_tokens_));
  const int32_t full = begin + page_tokens_;
  for (const int32_t end : {full, process.parked}) {
    const bool possible = end > begin && end <= std::min(full, process.owed_from);
    if (!possible) continue;
    const PrefixCache::Place place = cache_.find(parent, tokens_of(process, begin, end));
    if (place.on_device() || place.on_host()) return {.end = end, .on_host = place.on_host()};
  }
  return {.end = begin};
}

void KvMemory::take(Process& process, const Known& known) {
  const auto index = static_cast<size_t>(process.computed / page_tokens_);
  const PageId parent = parent_of(process, index);
  const auto tokens = tokens_of(process, process.computed, known.end);
  if (known.on_host) {
    cache_.bring_in(parent, tokens, process.pages.at(index));
  } else {
    process.pages.push_back(cache_.find(parent, tokens).page);
    cache_.hold(process.pages.back());
  }
  process.computed = known.end;
  if (known.end % page_tokens_ != 0) cache_.disown(process.pages.back());
}

PrefixCache::Pin KvMemory::pin(const Process& process) {
  return {cache_,
          {tokens_of(process, 0, process.owed_from), tokens_of(process, 0, process.parked)}};
}

bool KvMemory::grow(Process& process, int32_t tokens) {
  const auto wanted = static_cast<size_t>(pages_for(tokens));
  while (process.pages.size() < wanted) {
    if (pages_.free_count() == 0 && !cache_.evict()) return false;
    process.pages.push_back(*pages_.take());
  }
  return true;
}

void KvMemory::computed(Process& process, int32_t computed) {
  const auto full_before = static_cast<size_t>(process.computed / page_tokens_);
  const auto full = static_cast<size_t>(computed / page_tokens_);
  for (size_t index = full_before; index < full; ++index) {
    process.pages[index] = cache_.insert(
        parent_of(process, index), page_of(process, index, page_tokens_), process.pages[index]);
  }
  process.computed = computed;
  process.reached = std::max(process.reached, computed);
}

void KvMemory::release(Process& process) {
  for (; !process.pages.empty(); process.pages.pop_back()) cache_.release(process.pages.back());
  process.computed = process.parked = 0;
}

void KvMemory::park(Process& process) {
  const int32_t computed = process.computed;
  const int32_t full = computed - computed % page_tokens_;
  if (computed > full) {
    const auto index = static_cast<size_t>(full / page_tokens_);
    process.pages[index] = cache_.insert(parent_of(process, index),
                                         tokens_of(process, full, computed), process.pages[index]);
  }
  release(process);
  process.parked = computed;
}

void KvMemory::forget_parked(const Process& process) {
  cache_.forget_part(tokens_of(process, 0, process.parked));
}

std::string KvMemory::check_invariants() const {
  const std::string wrong = pages_.check_invariants();
  return wrong.empty() ? cache_.check_invariants() : wrong;
}

std::string KvMemory::check_invariants(const Process& process) const {
  const auto held = static_cast<int32_t>(process.pages.size());
  if (held < pages_for(process.computed)) return "computed tokens without a page";
  if (!process.in_flight && held > pages_for(process.computed)) return "pages held for nothing";
  if (process.in_flight && next_known(process).end == process.computed + page_tokens_) {
    return "a known page is computed again";
  }
  for (size_t index = 0; index < process.pages.size(); ++index) {
    const PageId page = process.pages[index];
    const bool full = static_cast<int32_t>(index) < process.computed / page_tokens_;
    if (pages_.kept(page) != full) return "only full pages are known, and all of them";
    if (!full && pages_.holders(page) != 1) return "a page that is not full is shared";
    if (full &&
        cache_.find(parent_of(process, index), page_of(process, index, page_tokens_)).page !=
            page) {
      return "page of a process is known for other tokens";
    }
  }
  return "";
}

}  // namespace neuros::sched
