#include "runtime/kv_swap.h"

#include "base/check.h"

namespace neuros::runtime {

KvSwap::KvSwap(const plan::KvPlan& kv, device::Stream& stream, std::span<std::byte> pages,
               std::span<std::byte> slots)
    : page_bytes_(static_cast<size_t>(kv.page_bytes)),
      stream_(stream),
      pages_(pages),
      slots_(slots) {}

void KvSwap::carry_out(std::span<const sched::PageMove> moves) {
  for (const sched::PageMove& move : moves) {
    const size_t page_at = static_cast<size_t>(move.page) * page_bytes_;
    const size_t slot_at = static_cast<size_t>(move.slot) * page_bytes_;
    CHECK(page_at + page_bytes_ <= pages_.size() && slot_at + page_bytes_ <= slots_.size());
    std::byte* const page = pages_.data() + page_at;
    std::byte* const slot = slots_.data() + slot_at;
    const bool out = move.kind == sched::PageMove::Kind::kOut;
    stream_.copy(out ? slot : page, out ? page : slot, page_bytes_);
  }
}

}  // namespace neuros::runtime
