#include "kernels/cuda/decode_shape.h"

#include "kernels/cuda/decode_parameters.h"

#include <vector>

#include <gtest/gtest.h>

namespace neuros::kernels::cuda {
namespace {

/// What a block may have (CUDA C++ programming guide, "Technical specifications per compute
/// capability"), and whether copies to it are asynchronous.
struct Card {
  const char* name;
  int shared_bytes;
  bool asynchronous;
};
constexpr Card kTuring{"sm_75", 64 << 10, false};
constexpr Card kAmpere{"sm_80", 163 << 10, true};
constexpr Card kAda{"sm_86, sm_89", 99 << 10, true};
constexpr Card kHopper{"sm_90", 227 << 10, true};

std::vector<base::DType> decode_types() {
  std::vector<base::DType> types;
  for (size_t i = 0; i < size_t{base::kWeightDTypeCount}; ++i) {
    const auto dtype = static_cast<base::DType>(i);
    if (activation_kind(dtype) != ActivationKind::kF32) types.push_back(dtype);
  }
  return types;
}

bool own_fits(Blocks blocks, base::DType dtype, const Card& card, int tokens, int64_t cols) {
  const ActivationKind kind = activation_kind(dtype);
  return decode_shared(blocks, 1, chunk_bytes_of(dtype), card.asynchronous,
                       own_activations(kind, tokens, padded_columns(kind, cols)))
      .fits(card.shared_bytes);
}

/// What always is a way: activations prepared by a kernel of their own, four tiles of tokens.
TEST(DecodeShape, LeanBlocksFitEveryCard) {
  for (const Card& card : {kTuring, kAmpere, kAda, kHopper}) {
    for (const base::DType dtype : decode_types()) {
      EXPECT_TRUE(decode_shared(Blocks::kLean, 4, chunk_bytes_of(dtype), card.asynchronous)
                      .fits(card.shared_bytes))
          << card.name << " " << base::name(dtype);
    }
  }
}

TEST(DecodeShape, LeanBlocksPrepareTheRowsOfUsualModels) {
  constexpr int64_t kWide = 14336;
  for (const Card& card : {kTuring, kAmpere, kAda, kHopper}) {
    for (const base::DType dtype : decode_types()) {
      EXPECT_TRUE(own_fits(Blocks::kLean, dtype, card, 1, kWide))
          << card.name << " " << base::name(dtype);
      EXPECT_TRUE(own_fits(Blocks::kLean, dtype, card, kTileTokens, 1024))
          << card.name << " " << base::name(dtype);
    }
  }
}

TEST(DecodeShape, HopperTakesTheBest) {
  for (const base::DType dtype : decode_types()) {
    const ActivationKind kind = activation_kind(dtype);
    EXPECT_TRUE(own_fits(own_blocks(kind, kNarrowColumns), dtype, kHopper, 1, kNarrowColumns));
    EXPECT_TRUE(own_fits(own_blocks(kind, kOwnColumnsMax), dtype, kHopper, 1, kOwnColumnsMax));
  }
}

TEST(DecodeShape, RingsKeepEnoughBytesOnTheirWay) {
  for (const base::DType dtype : decode_types()) {
    const int slots = ring_slots(Blocks::kLarge, chunk_bytes_of(dtype), true);
    EXPECT_GE((slots - 1) * chunk_bytes_of(dtype), kBytesOnTheirWay);
    EXPECT_EQ(ring_slots(Blocks::kLarge, chunk_bytes_of(dtype), false), 1);
    EXPECT_EQ(ring_slots(Blocks::kLean, chunk_bytes_of(dtype), true), 2);
  }
}

}  // namespace
}  // namespace neuros::kernels::cuda
