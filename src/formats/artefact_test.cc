#include "formats/artefact.h"

#include "base/xxh64.h"

#include <cstring>
#include <functional>

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::formats {
namespace {

using ::testing::HasSubstr;

ArtefactIndex two_models() {
  return {.plan = {8192, 100, 1},
          .specification = {12288, 10, 2},
          .weights_file = "",
          .models = {{"a", {16384, 5000, 3}, {28672, 8192, 4}},
                     {"b", {24576, 1, 5}, {36864, 4096, 6}}}};
}

struct End {
  std::vector<std::byte> index;
  ArtefactTrailer trailer;
};

End end_of(const ArtefactIndex& index) {
  End end{.index = encode_artefact_index(index), .trailer = {}};
  end.trailer = {.file_bytes = 40960 + end.index.size() + kArtefactTrailerBytes,
                 .payload_offset = 8192,
                 .index_offset = 40960,
                 .index_bytes = end.index.size(),
                 .index_hash = base::xxh64(end.index)};
  return end;
}

std::string error_of(const std::function<void(ArtefactIndex&)>& change) {
  ArtefactIndex index = two_models();
  change(index);
  const End end = end_of(index);
  const auto read = parse_artefact_index(end.index, end.trailer);
  return read ? "" : read.error().message;
}

TEST(Artefact, SurvivesWritingAndReading) {
  const End end = end_of(two_models());
  const auto trailer =
      parse_artefact_trailer(encode_artefact_trailer(end.trailer), end.trailer.file_bytes);
  ASSERT_TRUE(trailer && *trailer);
  EXPECT_EQ((*trailer)->payload_offset, 8192U);
  const auto index = parse_artefact_index(end.index, **trailer);
  ASSERT_TRUE(index.has_value()) << index.error().message;
  EXPECT_EQ(encode_artefact_index(*index), end.index);
  EXPECT_EQ(index->models[1].weights.offset, 36864U);
}

TEST(Artefact, OfOtherFilesThereIsNone) {
  const std::array<std::byte, kArtefactTrailerBytes> zeros{};
  const auto trailer = parse_artefact_trailer(zeros, 64);
  ASSERT_TRUE(trailer.has_value());
  EXPECT_FALSE(trailer->has_value());
}

TEST(Artefact, NoticesEveryDamagedBitOfTrailerAndIndex) {
  const End end = end_of(two_models());
  const auto good = encode_artefact_trailer(end.trailer);
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    auto damaged = good;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    const auto read = parse_artefact_trailer(damaged, end.trailer.file_bytes);
    EXPECT_FALSE(read && *read) << bit;
  }
  for (size_t bit = 0; bit < 8 * end.index.size(); ++bit) {
    auto damaged = end.index;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(parse_artefact_index(damaged, end.trailer).has_value()) << bit;
  }
}

TEST(Artefact, TrailerFitsItsFile) {
  const End end = end_of(two_models());
  const auto longer =
      parse_artefact_trailer(encode_artefact_trailer(end.trailer), end.trailer.file_bytes + 1);
  ASSERT_FALSE(longer.has_value());
  EXPECT_THAT(longer.error().message, HasSubstr("bytes, expected"));
  ArtefactTrailer other = end.trailer;
  other.index_offset += 8;
  EXPECT_FALSE(parse_artefact_trailer(encode_artefact_trailer(other), other.file_bytes));
  other = end.trailer;
  other.payload_offset = 4;
  EXPECT_FALSE(parse_artefact_trailer(encode_artefact_trailer(other), other.file_bytes));
}

TEST(Artefact, PartsLieInOrderAndInTheirFile) {
  EXPECT_EQ(error_of([](ArtefactIndex&) {}), "");
  EXPECT_THAT(error_of([](auto& i) { i.plan.offset = 4096; }),
              HasSubstr("plan: 100 bytes at 4096"));
  EXPECT_THAT(error_of([](auto& i) { i.plan.bytes = 5000; }), HasSubstr("specification"));
  EXPECT_THAT(error_of([](auto& i) { i.plan.offset = 8200; }), HasSubstr("multiple of 4096"));
  EXPECT_THAT(error_of([](auto& i) { i.models[1].weights.bytes = 4097; }),
              HasSubstr("model b, weights"));
  EXPECT_THAT(error_of([](auto& i) { i.models[1].weights.bytes = ~uint64_t{0}; }),
              HasSubstr("model b, weights"));
  EXPECT_THAT(error_of([](auto& i) { i.models[0].metadata.offset = ~uint64_t{4095}; }),
              HasSubstr("model a, metadata"));
  EXPECT_THAT(error_of([](auto& i) { i.models[1].id = "a"; }), HasSubstr("there twice"));
  EXPECT_THAT(error_of([](auto& i) { i.models.clear(); }), HasSubstr("0 models"));
}

TEST(Artefact, WeightsMayLieInAFileBesideIt) {
  const auto split = [](ArtefactIndex& index) {
    index.weights_file = "app.weights";
    index.weights_file_bytes = 12288;
    index.models[0].weights.offset = 0;
    index.models[1].weights.offset = 8192;
  };
  EXPECT_EQ(error_of(split), "");
  for (const char* name : {"../app.weights", "..", "/etc/passwd"}) {
    EXPECT_THAT(error_of([&](auto& i) { split(i), i.weights_file = name; }),
                HasSubstr("no name of a file"));
  }
  EXPECT_THAT(error_of([&](auto& i) { split(i), i.weights_file_bytes = 8192; }),
              HasSubstr("model b, weights"));
  EXPECT_THAT(error_of([](auto& i) { i.weights_file_bytes = 1; }), HasSubstr("weights file of 1"));
}

TEST(Artefact, KnowsHowLongAnExecutableIs) {
  std::array<std::byte, kElfHeaderBytes> header{};
  EXPECT_FALSE(executable_bytes(header).has_value());
  Elf64_Ehdr elf{};
  std::memcpy(elf.e_ident, ELFMAG, SELFMAG);
  elf.e_ident[EI_CLASS] = ELFCLASS64;
  elf.e_ident[EI_DATA] = ELFDATA2LSB;
  elf.e_shoff = 1000;
  elf.e_shentsize = 64;
  elf.e_shnum = 3;
  std::memcpy(header.data(), &elf, sizeof elf);
  EXPECT_EQ(executable_bytes(header), 1192U);
}

}  // namespace
}  // namespace neuros::formats
