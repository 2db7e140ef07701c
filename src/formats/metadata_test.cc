#include "formats/checkpoint.h"
#include "formats/test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::formats {
namespace {

using test::error_of;
using ::testing::HasSubstr;

Metadata sample() {
  Metadata metadata;
  metadata.set("count", int64_t{7});
  metadata.set("share", 0.5);
  metadata.set("name", std::string("tiny"));
  metadata.set("flag", true);
  metadata.set("ids", MetadataArray{std::vector<int64_t>{1, 2, 3}});
  metadata.set("words", MetadataArray{std::vector<std::string>{"a"}});
  return metadata;
}

TEST(Metadata, GivesValuesByType) {
  const Metadata metadata = sample();
  EXPECT_EQ(*metadata.integer("count"), 7);
  EXPECT_EQ(*metadata.number("count"), 7.0);
  EXPECT_EQ(*metadata.number("share"), 0.5);
  EXPECT_EQ(*metadata.text("name"), "tiny");
  EXPECT_EQ(metadata.boolean_or_none("flag"), true);
  EXPECT_EQ(metadata.integers("ids")->size(), 3u);
  EXPECT_EQ(metadata.texts("words")->front(), "a");
}

TEST(Metadata, AbsentAndOtherTypesGiveNone) {
  const Metadata metadata = sample();
  EXPECT_EQ(metadata.integer_or_none("share"), std::nullopt);
  EXPECT_EQ(metadata.number_or_none("name"), std::nullopt);
  EXPECT_EQ(metadata.text_or_none("absent"), std::nullopt);
  EXPECT_EQ(metadata.boolean_or_none("count"), std::nullopt);
  EXPECT_EQ(metadata.integers("words"), nullptr);
  EXPECT_EQ(metadata.numbers("count"), nullptr);
}

TEST(Metadata, ErrorsNameKeyWantedAndFound) {
  const Metadata metadata = sample();
  EXPECT_EQ(error_of(metadata.integer("name")), "metadata key name: text, expected integer");
  EXPECT_EQ(error_of(metadata.text("ids")), "metadata key ids: array of 3 integers, expected text");
  EXPECT_EQ(error_of(metadata.number("flag")), "metadata key flag: boolean, expected number");
  EXPECT_EQ(error_of(metadata.integer("absent")), "metadata key absent is missing");
  EXPECT_EQ(metadata.integer("absent").error().kind, base::ErrorKind::kNotFound);
}

TEST(Metadata, EraseRemovesOneKey) {
  Metadata metadata = sample();
  metadata.erase("count");
  metadata.erase("count");
  EXPECT_FALSE(metadata.contains("count"));
  EXPECT_EQ(metadata.all().size(), 5u);
}

TEST(Checkpoint, MissingTensorIsNamedWithTheFile) {
  Checkpoint checkpoint;
  checkpoint.path = "model.gguf";
  checkpoint.tensors["a"] = {base::DType::kF32, {0}, {}};
  EXPECT_TRUE(checkpoint.tensor("a").has_value());
  EXPECT_EQ(error_of(checkpoint.tensor("output.weight")), "model.gguf: no tensor output.weight");
  EXPECT_EQ(checkpoint.tensor("b").error().kind, base::ErrorKind::kNotFound);
  EXPECT_EQ(checkpoint.find_tensor("b"), nullptr);
}

TEST(OpenCheckpoint, SaysWhatAPathIsInstead) {
  const test::TemporaryDirectory directory;
  const auto error = [&](std::string_view name, std::string_view bytes) {
    return error_of(open_checkpoint(directory.write(name, bytes)));
  };
  EXPECT_THAT(error("a.bin", "PK\x03\x04..."), HasSubstr("zip file"));
  EXPECT_THAT(error("b.bin", "lmgg...."), HasSubstr("older than GGUF"));
  EXPECT_THAT(error("c.bin", ""), HasSubstr("is empty"));
  EXPECT_THAT(error("d.txt", "hello"), HasSubstr("begins with \"hell\""));
  EXPECT_THAT(error("e.safetensors", "hello"), HasSubstr("no config.json"));
  EXPECT_THAT(error_of(open_checkpoint(directory.file("none.gguf"))), HasSubstr("none.gguf: No"));
  EXPECT_EQ(open_checkpoint(directory.file("none")).error().kind, base::ErrorKind::kNotFound);
  EXPECT_THAT(error_of(open_checkpoint(directory.path())), HasSubstr("no config.json"));
}

}  // namespace
}  // namespace neuros::formats
