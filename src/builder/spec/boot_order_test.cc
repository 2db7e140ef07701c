#include "builder/spec/boot_order.h"

#include "builder/spec/pipeline_yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> order_of(const std::string& rest) {
  const PipelineSpec spec =
      parse_pipeline(
          "models: {m: {file: m}, n: {file: n}, e: {file: e, class: embed}, z: {file: z}}\n" + rest,
          "p.yaml")
          .value();
  return boot_order(spec, StageGraph::create(spec).value());
}

TEST(BootOrder, WithoutStagesIsThatOfTheFile) {
  EXPECT_THAT(order_of(""), ElementsAre("m", "n", "e", "z"));
}

TEST(BootOrder, IsThatInWhichStagesNeedTheirModels) {
  EXPECT_THAT(order_of(R"(
stages:
  - {id: last, run: m, in: $docs}
  - {id: docs, tool: find, embed: e, in: $first}
  - {id: first, run: n, in: $request}
)"),
              ElementsAre("n", "e", "m", "z"))
      << "each once, and those that no stage uses at the end";
}

TEST(BootOrder, HasEveryModelThatARouteMayPick) {
  EXPECT_THAT(order_of(R"(
routes: {pick: 'if hour < 6 -> z; else -> n'}
stages:
  - {id: a, run: pick, in: $request}
  - {id: b, run: m, in: $a}
)"),
              ElementsAre("z", "n", "m", "e"));
}

}  // namespace
}  // namespace neuros::builder
