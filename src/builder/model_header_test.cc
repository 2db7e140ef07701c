#include "builder/model_header.h"

#include "builder/synth.h"
#include "formats/gguf_reader.h"

#include <span>
#include <string>

#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

TEST(ModelHeader, HasAllMetadataAndNoTensors) {
  auto outline = outline_synth("llama-tiny:q8_0");
  ASSERT_TRUE(outline.has_value());
  formats::Metadata& metadata = outline->checkpoint.metadata;
  const formats::Metadata given = metadata;
  metadata.set("split.count", int64_t{3});
  metadata.set("split.no", int64_t{0});
  metadata.set("split.tensors.count", int64_t{38});
  const auto header = model_header(outline->checkpoint);
  ASSERT_TRUE(header.has_value()) << header.error().message;
  const auto read = formats::parse_gguf(std::as_bytes(std::span(*header)));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_TRUE(read->tensors.empty());
  ASSERT_EQ(read->metadata.all().size(), given.all().size());
  for (const auto& [key, value] : given.all()) {
    const formats::MetadataValue* found = read->metadata.find(key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_EQ(formats::describe_type(*found), formats::describe_type(value)) << key;
  }
  EXPECT_EQ(*read->metadata.texts("tokenizer.ggml.tokens"), *given.texts("tokenizer.ggml.tokens"));
}

}  // namespace
}  // namespace neuros::builder
