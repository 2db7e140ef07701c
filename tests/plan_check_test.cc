/// Plans that agree with themselves, and not with the kernels of this program: boot refuses them.

#include "runtime/plan_check.h"

#include "device/cpu/cpu_device.h"
#include "kernels/op_table.h"
#include "runtime/engine.h"
#include "tiny_model.h"

#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using ::testing::HasSubstr;
using testing::TinyModel;

class PlanCheck : public ::testing::Test {
 protected:
  PlanCheck() : plan_(tiny_.plan(kernels::ref_ops(), {})) {}

  /// The error of the plan, changed, at boot.
  std::string refused(const std::function<void(plan::Plan&)>& change) const {
    plan::Plan plan = plan_;
    change(plan);
    const auto device = device::open_cpu_device({.threads = 2});
    auto engine = runtime::Engine::boot(std::move(plan), tiny_.checkpoint(), **device, {});
    return engine ? "" : engine.error().message;
  }

  TinyModel tiny_;
  plan::Plan plan_;
};

TEST_F(PlanCheck, AcceptsWhatTheBuilderMade) {
  EXPECT_EQ(refused([](plan::Plan&) {}), "");
}

TEST_F(PlanCheck, KnowsItsKernels) {
  EXPECT_THAT(refused([](plan::Plan& p) { p.weights[0].kernel = "another q8_0"; }),
              HasSubstr("tensor token_embd.weight: packed for kernel another q8_0"));
  EXPECT_THAT(refused([](plan::Plan& p) { p.weights[0].bytes += 64; }),
              HasSubstr("bytes packed, expected"));
  EXPECT_THAT(refused([](plan::Plan& p) { p.op_table = "abacus"; }), HasSubstr("kernels abacus"));
}

TEST_F(PlanCheck, GivesKernelsTheScratchTheyNeed) {
  EXPECT_THAT(refused([](plan::Plan& p) { p.memory.scratch = 256; }),
              HasSubstr("256 bytes of scratch, kernels ref need"));
}

TEST_F(PlanCheck, KnowsWhatKernelsKeepApartFromWhatModelsTakeInTurn) {
  const plan::Plan shared = tiny_.plan(kernels::ref_ops(), {.step_memory = plan::Region::kShared});
  EXPECT_EQ(refused([&](plan::Plan& p) { p = shared; }), "");
  EXPECT_THAT(refused([&](plan::Plan& p) { p = shared, p.memory.scratch = 256; }),
              HasSubstr("256 bytes of scratch of its own, kernels ref keep 0"));
  EXPECT_THAT(refused([&](plan::Plan& p) { p = shared, p.memory.shared -= 256; }),
              HasSubstr("bytes of scratch that models take in turn, kernels ref need"));
}

TEST_F(PlanCheck, KnowsNoChoiceThatTheKernelsHaveNot) {
  EXPECT_THAT(refused([](plan::Plan& p) {
                p.kernel_choices.push_back({.op = "prompt",
                                            .rows = 1,
                                            .cols = 1,
                                            .tokens = 1,
                                            .value = 7,
                                            .source = plan::KernelChoice::Source::kTable});
              }),
              HasSubstr("no choice 7 of prompt"));
}

TEST_F(PlanCheck, KnowsItsLimits) {
  EXPECT_THAT(refused([](plan::Plan& p) { p.kv.pages += 1; }), HasSubstr("KV pages"));
  EXPECT_THAT(refused([](plan::Plan& p) { p.limits.context = 0; }), HasSubstr("not positive"));
}

}  // namespace
}  // namespace neuros
