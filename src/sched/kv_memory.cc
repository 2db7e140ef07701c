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

PageId parent_of(const Process& process, size_t index) {
  return index == 0 ? kNoPage : process.pages[index - 1];
}

}  // namespace

KvMemory::KvMemory(int32_t pages, int32_t page_tokens, PrefixCache::Hash hash)
    : pages_(pages), page_tokens_(page_tokens), cache_(pages_, page_tokens, hash) {}

int32_t KvMemory::demand(const Process& process) const {
  const auto reusable = std::span(process.tokens).first(static_cast<size_t>(process.owed_from));
  const auto found = cache_.match(reusable);
  const auto shared =
      std::ranges::count_if(found, [&](PageId page) { return pages_.holders(page) > 0; });
  return pages_for(process.size()) - static_cast<int32_t>(shared);
}

int32_t KvMemory::reuse(Process& process) {
  const int32_t before = process.computed;
  if (before % page_tokens_ != 0) return 0;
  while (process.computed + page_tokens_ <= process.owed_from) {
    const size_t index = process.pages.size();
    const PageId page =
        cache_.find(parent_of(process, index), page_of(process, index, page_tokens_));
    if (page == kNoPage) break;
    cache_.hold(page);
    process.pages.push_back(page);
    process.computed += page_tokens_;
  }
  return process.computed - before;
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
  process.computed = 0;
}

std::string KvMemory::check_invariants() const {
  const std::string wrong = pages_.check_invariants();
  return wrong.empty() ? cache_.check_invariants() : wrong;
}

std::string KvMemory::check_invariants(const Process& process) const {
  const auto held = static_cast<int32_t>(process.pages.size());
  if (held < pages_for(process.computed)) return "computed tokens without a page";
  if (!process.in_flight && held > pages_for(process.computed)) return "pages held for nothing";
  for (size_t index = 0; index < process.pages.size(); ++index) {
    const PageId page = process.pages[index];
    const bool full = static_cast<int32_t>(index) < process.computed / page_tokens_;
    if (pages_.kept(page) != full) return "only full pages are known, and all of them";
    if (!full && pages_.holders(page) != 1) return "a page that is not full is shared";
    if (full &&
        cache_.find(parent_of(process, index), page_of(process, index, page_tokens_)) != page) {
      return "page of a process is known for other tokens";
    }
  }
  return "";
}

}  // namespace neuros::sched
