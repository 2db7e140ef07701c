#include "kernels/testing/sequences.h"

#include "kernels/quantise.h"

#include <algorithm>
#include <numeric>

namespace neuros::kernels::testing {

Sequences::Sequences(Random& random, std::vector<Part> parts, int32_t page_tokens) {
  int32_t row = 0;
  for (const Part& part : parts) {
    const int32_t end = part.first_position + part.rows;
    page_tables_.emplace_back(static_cast<size_t>((end + page_tokens - 1) / page_tokens));
    slices_.push_back({row, part.rows, part.first_position, page_tables_.back(), part.decodes});
    row += part.rows;
    page_count_ += static_cast<int32_t>(page_tables_.back().size());
  }
  page_count_ += 2;  // two that nobody has
  std::vector<int32_t> numbers(static_cast<size_t>(page_count_));
  std::iota(numbers.begin(), numbers.end(), 0);
  for (size_t i = numbers.size() - 1; i > 0; --i) {
    std::swap(numbers[i], numbers[static_cast<size_t>(random.between(0, static_cast<int64_t>(i)))]);
  }
  for (std::vector<int32_t>& table : page_tables_) {
    for (int32_t& page : table) {
      page = numbers.back();
      numbers.pop_back();
    }
  }
}

Sequences Sequences::random(Random& random, int32_t page_tokens) {
  std::vector<Part> parts(static_cast<size_t>(random.between(1, 4)));
  for (Part& part : parts) {
    part.rows = static_cast<int32_t>(random.coin() ? 1 : random.between(1, 40));
    part.first_position = static_cast<int32_t>(random.coin() ? 0 : random.between(0, 150));
  }
  return Sequences(random, std::move(parts), page_tokens);
}

int32_t Sequences::rows() const {
  return slices_.back().first_row + slices_.back().rows;
}

int32_t Sequences::context() const {
  int32_t longest = 0;
  for (const SequenceSlice& slice : slices_) {
    longest = std::max(longest, slice.first_position + slice.rows);
  }
  return longest;
}

Pages::Pages(const KvLayout& layout, int32_t count)
    : layout_(layout), size_(count * layout.page_bytes()), bytes_(size_) {}

void Pages::write(std::byte* head, int64_t index, float value) {
  quantise(layout_.dtype, {&value, 1}, {}, head + base::bytes_of(layout_.dtype, index));
}

void Pages::fill(Random& random, std::span<const SequenceSlice> sequences) {
  for (const SequenceSlice& sequence : sequences) {
    for (int32_t at = 0; at < sequence.first_position + sequence.rows; ++at) {
      const int32_t page = sequence.pages[static_cast<size_t>(at / layout_.page_tokens)];
      const int32_t place = at % layout_.page_tokens;
      for (int32_t layer = 0; layer < layout_.layers; ++layer) {
        for (int32_t head = 0; head < layout_.kv_heads; ++head) {
          for (int32_t i = 0; i < layout_.head_dim; ++i) {
            write(cache().keys(page, layer, head), layout_.key_index(place, i), random.normal(1));
            write(cache().values(page, layer, head), layout_.value_index(place, i),
                  random.normal(1));
          }
        }
      }
    }
  }
}

std::vector<float> Pages::elements() const {
  std::vector<float> out(static_cast<size_t>(size_ / base::bytes_of(layout_.dtype, 1)));
  dequantise(layout_.dtype, bytes_.data(), out);
  return out;
}

}  // namespace neuros::kernels::testing
