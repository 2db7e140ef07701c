#include "formats/gguf_split.h"

#include "formats/gguf_reader.h"
#include "formats/test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::formats {
namespace {

using base::DType;
using test::error_of;
using ::testing::HasSubstr;

struct Part {
  int64_t number = 0;  ///< from 0, as in the file
  int64_t count = 3;
  int64_t tensors_total = 3;
  std::string tensor;
};

std::string part_bytes(const Part& part) {
  Metadata metadata;
  metadata.set("split.no", part.number);
  metadata.set("split.count", part.count);
  metadata.set("split.tensors.count", part.tensors_total);
  if (part.number == 0) metadata.set("general.architecture", std::string("llama"));
  return test::gguf_image(metadata, {{part.tensor, DType::kF32, {8}}});
}

class GgufSplit : public ::testing::Test {
 protected:
  std::string write(const Part& part) {
    return directory_.write(name(part.number + 1), part_bytes(part));
  }
  static std::string name(int64_t number) {
    return "m-0000" + std::to_string(number) + "-of-00003.gguf";
  }
  std::string write_good() {
    write({.number = 1, .tensor = "b"});
    write({.number = 2, .tensor = "c"});
    return write({.number = 0, .tensor = "a"});
  }

  test::TemporaryDirectory directory_;
};

TEST_F(GgufSplit, PartsBecomeOne) {
  const auto whole = open_gguf(write_good());
  ASSERT_TRUE(whole.has_value()) << error_of(whole);
  EXPECT_EQ(whole->tensors.size(), 3u);
  EXPECT_EQ(whole->files.size(), 3u);
  EXPECT_FALSE(whole->metadata.contains("split.count"));
  EXPECT_EQ(*whole->metadata.text("general.architecture"), "llama");
  EXPECT_EQ(static_cast<char>(whole->tensor("c")->bytes[1]), test::pattern(2, 0)[1]);
}

TEST_F(GgufSplit, OnlyTheFirstPartOpens) {
  write_good();
  EXPECT_THAT(error_of(open_gguf(directory_.file(name(2)))),
              HasSubstr("part 2 of 3: open the first part, ...-00001-of-00003.gguf"));
}

TEST_F(GgufSplit, AMissingPartIsNamed) {
  const std::string first = write_good();
  std::filesystem::remove(directory_.file(name(3)));
  EXPECT_THAT(error_of(open_gguf(first)), HasSubstr(name(3) + ": No such file"));
}

TEST_F(GgufSplit, PartsMustAgree) {
  const std::string first = write_good();
  write({.number = 1, .count = 4, .tensor = "b"});
  EXPECT_THAT(error_of(open_gguf(first)),
              HasSubstr(name(2) + ": gguf: part 2 of 4, expected part 2 of 3"));
  write({.number = 1, .tensor = "a"});
  EXPECT_THAT(error_of(open_gguf(first)), HasSubstr("tensor a is in two parts"));
  write({.number = 1, .tensor = "b"});
  write({.number = 0, .tensors_total = 5, .tensor = "a"});
  EXPECT_THAT(error_of(open_gguf(first)), HasSubstr("3 tensors in 3 parts, expected 5"));
}

TEST_F(GgufSplit, TheNameMustSayTheCount) {
  const std::string path = directory_.write("other.gguf", part_bytes({.tensor = "a"}));
  EXPECT_THAT(error_of(open_gguf(path)),
              HasSubstr("its name does not end in -00001-of-00003.gguf"));
}

}  // namespace
}  // namespace neuros::formats
