#include "base/xxh64.h"

#include <array>
#include <bit>
#include <cstring>

namespace neuros::base {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;
constexpr size_t kStripeBytes = 32;

static_assert(std::endian::native == std::endian::little, "words are read in place");

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

uint64_t round(uint64_t lane, uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

uint64_t merge(uint64_t hash, uint64_t lane) {
  return (hash ^ round(0, lane)) * kPrime1 + kPrime4;
}

/// Four lanes of 8 bytes over all whole stripes.
uint64_t hash_stripes(const std::byte* at, size_t stripes) {
  std::array<uint64_t, 4> lanes{kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1};
  for (; stripes > 0; --stripes, at += kStripeBytes) {
    lanes[0] = round(lanes[0], load<uint64_t>(at));
    lanes[1] = round(lanes[1], load<uint64_t>(at + 8));
    lanes[2] = round(lanes[2], load<uint64_t>(at + 16));
    lanes[3] = round(lanes[3], load<uint64_t>(at + 24));
  }
  uint64_t hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) +
                  std::rotl(lanes[3], 18);
  for (const uint64_t lane : lanes) hash = merge(hash, lane);
  return hash;
}

uint64_t hash_rest(uint64_t hash, std::span<const std::byte> rest) {
  const std::byte* at = rest.data();
  const std::byte* end = at + rest.size();
  for (; end - at >= 8; at += 8) {
    hash = std::rotl(hash ^ round(0, load<uint64_t>(at)), 27) * kPrime1 + kPrime4;
  }
  for (; end - at >= 4; at += 4) {
    hash = std::rotl(hash ^ load<uint32_t>(at) * kPrime1, 23) * kPrime2 + kPrime3;
  }
  for (; at != end; ++at) {
    hash = std::rotl(hash ^ std::to_integer<uint64_t>(*at) * kPrime5, 11) * kPrime1;
  }
  return hash;
}

uint64_t avalanche(uint64_t hash) {
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

}  // namespace

uint64_t xxh64(std::span<const std::byte> bytes) {
  const size_t stripes = bytes.size() / kStripeBytes;
  uint64_t hash = stripes > 0 ? hash_stripes(bytes.data(), stripes) : kPrime5;
  hash += bytes.size();
  return avalanche(hash_rest(hash, bytes.subspan(stripes * kStripeBytes)));
}

}  // namespace neuros::base
