#include "kernels/cuda/device_batch.h"

#include "base/check.h"
#include "kernels/cuda/halves_plan.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/read_host.h"

#include <algorithm>

namespace neuros::kernels::cuda {
namespace {

/// The least page there is (kernels/kv_layout.h); decides how many a sequence may have.
constexpr int64_t kPageTokensMin = 16;

int64_t aligned(int64_t bytes) {
  return (bytes + 255) / 256 * 256;
}

/// Offsets of the arrays, in the order of DeviceBatch; `pages` last, as far as a pass has any.
struct Layout {
  int64_t ids, positions, sequence_of_row, logit_rows, first_row, rows, first_position, page_start,
      pages, end;

  explicit Layout(const OpLimits& limits) {
    int64_t at = 0;
    const auto place = [&](int64_t count) {
      const int64_t offset = at;
      at += aligned(count * static_cast<int64_t>(sizeof(int32_t)));
      return offset;
    };
    ids = place(limits.tokens);
    positions = place(limits.tokens);
    sequence_of_row = place(limits.tokens);
    logit_rows = place(std::max(limits.logit_rows, limits.tokens));
    first_row = place(limits.sequences);
    rows = place(limits.sequences);
    first_position = place(limits.sequences);
    page_start = place(limits.sequences);
    pages = place(limits.sequences * (limits.context / kPageTokensMin + 1));
    end = at;
  }
};

/// Writes the batch to host memory; returns the bytes written from the start on.
int64_t write(const BatchView& view, const Layout& layout, std::byte* host) {
  const auto at = [&](int64_t offset) { return reinterpret_cast<int32_t*>(host + offset); };
  std::copy(view.ids.begin(), view.ids.end(), at(layout.ids));
  std::copy(view.logit_rows.begin(), view.logit_rows.end(), at(layout.logit_rows));
  int32_t page = 0;
  for (size_t s = 0; s < view.sequences.size(); ++s) {
    const SequenceSlice& slice = view.sequences[s];
    at(layout.first_row)[s] = slice.first_row;
    at(layout.rows)[s] = slice.rows;
    at(layout.first_position)[s] = slice.first_position;
    at(layout.page_start)[s] = page;
    for (int32_t i = 0; i < slice.rows; ++i) {
      at(layout.positions)[slice.first_row + i] = slice.first_position + i;
      at(layout.sequence_of_row)[slice.first_row + i] = static_cast<int32_t>(s);
    }
    std::copy(slice.pages.begin(), slice.pages.end(), at(layout.pages) + page);
    page += static_cast<int32_t>(slice.pages.size());
  }
  return layout.pages + page * static_cast<int64_t>(sizeof(int32_t));
}

}  // namespace

int64_t batch_bytes(const OpLimits& limits) {
  return Layout(limits).end;
}

DeviceBatch batch_of(const OpContext& context) {
  const Layout layout(context.limits);
  const auto at = [&](int64_t offset) {
    return reinterpret_cast<const int32_t*>(context.scratch.data() + offset);
  };
  return {.ids = at(layout.ids),
          .positions = at(layout.positions),
          .sequence_of_row = at(layout.sequence_of_row),
          .logit_rows = at(layout.logit_rows),
          .first_row = at(layout.first_row),
          .rows = at(layout.rows),
          .first_position = at(layout.first_position),
          .page_start = at(layout.page_start),
          .pages = at(layout.pages)};
}

int64_t meetings_bytes(const OpLimits& limits) {
  const int64_t counts = kMeetingsMax + limits.sequences * limits.heads + 1;
  return aligned(counts * static_cast<int64_t>(sizeof(uint32_t)));
}

Meetings meetings_of(const OpContext& context) {
  const int64_t before = batch_bytes(context.limits);
  CHECK(before + meetings_bytes(context.limits) <= std::ssize(context.scratch));
  auto* const counts = reinterpret_cast<uint32_t*>(context.scratch.data() + before);
  auto* const of_heads = counts + kMeetingsMax;
  return {.of_rows = counts,
          .of_heads = of_heads,
          .of_units = of_heads + context.limits.sequences * context.limits.heads};
}

std::span<std::byte> pass_state(const OpContext& context) {
  const auto before =
      static_cast<size_t>(batch_bytes(context.limits) + meetings_bytes(context.limits));
  const auto bytes = static_cast<size_t>(pass_state_bytes(context.limits));
  CHECK(before + bytes <= context.scratch.size());
  return context.scratch.subspan(before, bytes);
}

std::span<std::byte> op_scratch(const OpContext& context) {
  const auto bytes = static_cast<size_t>(op_scratch_bytes(context.limits));
  CHECK(bytes <= context.scratch.size());
  return context.scratch.last(bytes);
}

void stage_batch(const OpContext& context, const BatchView& view) {
  const Layout layout(context.limits);
  CHECK(layout.end <= std::ssize(context.host) && layout.end <= std::ssize(context.scratch));
  CHECK(std::ssize(view.sequences) <= context.limits.sequences);
  const int64_t bytes = write(view, layout, context.host.data());
  CHECK(bytes <= layout.end, "more pages than the context has");
  read_host(context, context.scratch.data(), context.host.data(), bytes);
}

}  // namespace neuros::kernels::cuda
