/// Plans as files: nothing is lost, and nothing that boot would have to trust blindly is read.

#include "plan/plan_file.h"

#include "base/xxh64.h"
#include "builder/fleet_builder.h"
#include "builder/synth.h"
#include "kernels/op_table.h"
#include "models/registry.h"
#include "plan/map_hash.h"
#include "plan/validate.h"
#include "tiny_model.h"

#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using ::testing::HasSubstr;
using testing::TinyModel;

constexpr int64_t kFrame = 4 << 10;

plan::FleetPlan plan_of(const std::vector<const formats::Checkpoint*>& checkpoints,
                        int64_t memory_bytes) {
  std::vector<builder::FleetModelRequest> requests;
  for (const formats::Checkpoint* checkpoint : checkpoints) {
    auto program = models::make_program(*checkpoint);
    CHECK(program.has_value());
    requests.push_back({checkpoint,
                        std::move(*program),
                        {.workers = 2,
                         .batch_tokens = 16,
                         .sequences = 4,
                         .machine = {.cpu_level = "avx2", .cores = 4, .host_bytes = 1 << 30}}});
  }
  auto fleet =
      builder::make_fleet_plan(std::move(requests), kernels::ref_ops(),
                               {.memory_bytes = memory_bytes, .least_frame_bytes = kFrame});
  CHECK(fleet.has_value());
  return std::move(*fleet);
}

plan::FleetPlan plan_of_specs(const std::vector<std::string>& specs, int64_t memory_bytes) {
  std::deque<builder::SynthOutline> outlines;
  std::vector<const formats::Checkpoint*> checkpoints;
  for (const std::string& spec : specs) {
    auto outline = builder::outline_synth(spec);
    CHECK(outline.has_value());
    outlines.push_back(std::move(*outline));
    checkpoints.push_back(&outlines.back().checkpoint);
  }
  return plan_of(checkpoints, memory_bytes);
}

/// Two tiny models.
plan::FleetPlan tiny_fleet(int64_t memory_bytes = int64_t{64} << 20) {
  static const TinyModel a, b(5);
  return plan_of({&a.checkpoint(), &b.checkpoint()}, memory_bytes);
}

/// With so little memory that they share frames.
plan::FleetPlan paged_fleet() {
  plan::FleetPlan fleet = tiny_fleet();
  while (!fleet.pages()) fleet = tiny_fleet(fleet.device_bytes() - 1);
  return fleet;
}

void expect_survives(const plan::FleetPlan& fleet) {
  const std::vector<std::byte> file = plan::write_plan(fleet);
  EXPECT_EQ(plan::write_plan(fleet), file);
  const auto read = plan::read_plan(file);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(plan::describe_json(*read), plan::describe_json(fleet));
  EXPECT_EQ(plan::map_hash(*read), plan::map_hash(fleet));
  EXPECT_EQ(plan::write_plan(*read), file) << "what a page does not show is there too";
}

TEST(PlanFile, GivesBackThePlan) {
  for (const char* spec : {"llama-1b:q4_k_m", "qwen2-7b:bf16", "qwen3-8b:q8_0", "llama-8b:tq2_0"}) {
    expect_survives(plan_of_specs({spec}, int64_t{1} << 40));
  }
  expect_survives(tiny_fleet());
}

TEST(PlanFile, GivesBackAFleetThatIsPaged) {
  const plan::FleetPlan fleet = paged_fleet();
  ASSERT_TRUE(fleet.pages());
  expect_survives(fleet);
}

TEST(PlanFile, GivesBackWhatNoModelHereHas) {
  plan::FleetPlan fleet = tiny_fleet();
  plan::Plan& plan = fleet.models.front();
  plan.program.name = "\xff\n";
  plan.device_kind = "sm_90/132";
  plan.machine.avx512_bf16 = true;
  plan.machine.gpu = plan::GpuFacts{"a card", "9.0", 1 << 30, 1 << 20};
  plan.kernel_choices.push_back({.op = "prompt",
                                 .dtype = base::DType::kQ4_K,
                                 .rows = 32,
                                 .cols = 64,
                                 .tokens = 128,
                                 .value = 256,
                                 .source = plan::KernelChoice::Source::kTable});
  expect_survives(fleet);
  const auto read = plan::read_plan(plan::write_plan(fleet));
  EXPECT_EQ(read->models.front().program.name, plan.program.name);
}

/// The same with the hash that damage would have been noticed by.
std::vector<std::byte> resealed(std::vector<std::byte> file) {
  const auto hashed = std::span(file).first(file.size() - sizeof(uint64_t));
  const uint64_t hash = base::xxh64(hashed);
  std::memcpy(file.data() + hashed.size(), &hash, sizeof hash);
  return file;
}

TEST(PlanFile, RefusesDamageWhereverItIs) {
  const std::vector<std::byte> file = plan::write_plan(tiny_fleet());
  for (size_t i = 0; i < file.size(); ++i) {
    std::vector<std::byte> damaged = file;
    damaged[i] ^= std::byte{0x10};
    ASSERT_FALSE(plan::read_plan(damaged).has_value()) << i;
  }
  for (size_t bytes = 0; bytes < file.size(); ++bytes) {
    ASSERT_FALSE(plan::read_plan(std::span(file).first(bytes)).has_value()) << bytes;
  }
}

TEST(PlanFile, WhateverIsReadIsSound) {
  const std::vector<std::byte> file = plan::write_plan(paged_fleet());
  int refused = 0;
  for (size_t i = 0; i + sizeof(uint64_t) < file.size(); ++i) {
    for (const auto flip : {std::byte{0xff}, std::byte{0x01}, std::byte{0x80}}) {
      std::vector<std::byte> damaged = file;
      damaged[i] ^= flip;
      const auto read = plan::read_plan(resealed(std::move(damaged)));
      refused += read ? 0 : 1;
      ASSERT_TRUE(!read || plan::validate(*read).has_value());
    }
  }
  EXPECT_GT(refused, static_cast<int>(file.size()));
}

TEST(PlanFile, SaysWhatItIsNot) {
  const std::vector<std::byte> zeros(64);
  EXPECT_EQ(plan::read_plan(zeros).error().message, "not a file of a plan");
  EXPECT_THAT(plan::read_plan({}).error().message, HasSubstr("0 bytes"));
}

struct Wrong {
  const char* what;
  std::function<void(plan::FleetPlan&)> make;
  const char* error;
};

plan::QkvRopeOp& qkv(plan::FleetPlan& fleet) {
  return std::get<plan::QkvRopeOp>(fleet.models[0].program.segments[1].ops[0]);
}
plan::LogitsOp& logits(plan::FleetPlan& fleet) {
  return std::get<plan::LogitsOp>(fleet.models[0].program.segments.back().ops[0]);
}

/// Values of a step, both alive while attention runs.
plan::ValuePlacement& query(plan::FleetPlan& fleet) {
  return fleet.models[0].values[static_cast<size_t>(qkv(fleet).out)];
}
plan::ValuePlacement& attended(plan::FleetPlan& fleet) {
  const auto& op = std::get<plan::AttentionOp>(fleet.models[0].program.segments[1].ops[1]);
  return fleet.models[0].values[static_cast<size_t>(op.out)];
}

std::vector<Wrong> wrongs() {
  using Fleet = plan::FleetPlan&;
  constexpr int64_t kHuge = int64_t{1} << 62;
  return {
      {"no model", [](Fleet f) { f.models.clear(); }, "models 0"},
      {"weights overlap", [](Fleet f) { f.models[0].weights[2].offset -= 64; }, "offset"},
      {"unaligned", [](Fleet f) { f.models[0].weights.back().offset += 4; }, "offset"},
      {"before all", [](Fleet f) { f.models[0].weights[0].offset = -64; }, "offset -64"},
      {"huge offset", [=](Fleet f) { f.models[0].weights[0].offset = kHuge; }, "offset"},
      {"huge weight", [=](Fleet f) { f.models[0].weights[0].bytes = kHuge; }, "bytes"},
      {"no segment", [](Fleet f) { f.models[0].weights[0].segment = 99; }, "segment 99"},
      {"negative segment", [](Fleet f) { f.models[0].weights[0].segment = -1; }, "segment -1"},
      {"same name", [](Fleet f) { f.models[0].weights[1].name = f.models[0].weights[0].name; },
       "placed twice"},
      {"other shape", [](Fleet f) { f.models[0].weights[0].rows += 1; }, "expected [90, 32]"},
      {"type of a matrix", [](Fleet f) { f.models[0].weights[0].dtype = base::DType::kI32; },
       "type i32 for a matrix"},
      {"half a block", [](Fleet f) { f.models[0].weights[0].cols = 33; }, "whole blocks"},
      {"a segment more", [](Fleet f) { f.models[0].segments.emplace_back(); }, "segments 5"},
      {"a gap", [](Fleet f) { f.models[0].segments[1].offset += 4096; }, "offset of segment"},
      {"long segment", [=](Fleet f) { f.models[0].segments[1].bytes = kHuge; }, "bytes of segment"},
      {"weights", [](Fleet f) { f.models[0].memory.weights += 4096; }, "bytes of weights"},
      {"value", [](Fleet f) { f.models[0].values[0].offset = 1 << 30; }, "value hidden: offset"},
      {"value's bytes", [](Fleet f) { f.models[0].values[0].bytes -= 64; }, "value hidden: bytes"},
      {"values", [](Fleet f) { f.models[0].values.pop_back(); }, "placed values 5"},
      {"shared value", [](Fleet f) { f.models[0].values[1].offset = f.models[0].values[0].offset; },
       "shares memory"},
      {"lifetime", [](Fleet f) { f.models[0].values[0].last_op = 1; }, "last op 1"},
      {"no value", [](Fleet f) { qkv(f).in = 6; }, "value 6, the program has 6"},
      {"negative value", [](Fleet f) { qkv(f).out = -1; }, "value -1"},
      {"other value", [](Fleet f) { qkv(f).out = 5; }, "value logits"},
      {"no such weight", [](Fleet f) { qkv(f).wq.name = "nowhere"; }, "weight nowhere"},
      {"no weight", [](Fleet f) { qkv(f).wk = {}; }, "has no place"},
      {"a matrix as vector", [](Fleet f) { qkv(f).norm = qkv(f).wq; }, "expected [32]"},
      {"layer", [](Fleet f) { qkv(f).layer = 2; }, "layer 2 of 2"},
      {"heads", [](Fleet f) { qkv(f).heads = 8; }, "heads 8/2 x 8"},
      {"rope", [](Fleet f) { qkv(f).rope_dims = 7; }, "rope_dims 7"},
      {"no number", [](Fleet f) { qkv(f).epsilon = std::nanf(""); }, "not finite"},
      {"no logits", [](Fleet f) { f.models[0].program.segments.back().ops.clear(); }, "no ops"},
      {"logits of tokens", [](Fleet f) { logits(f).out = 0; }, "value hidden"},
      {"layers", [](Fleet f) { f.models[0].program.layers = 3; }, "bytes of a KV page"},
      {"no heads", [](Fleet f) { f.models[0].program.kv_heads = 0; }, "key and value heads 0"},
      {"KV type", [](Fleet f) { f.models[0].kv.dtype = base::DType::kQ8_0; }, "kv type q8_0"},
      {"KV page", [](Fleet f) { f.models[0].kv.page_tokens = 24; }, "24 tokens"},
      {"KV pages", [](Fleet f) { f.models[0].kv.pages += 1; }, "bytes of KV pages"},
      {"context", [](Fleet f) { f.models[0].limits.context = 0; }, "context 0"},
      {"batch", [](Fleet f) { f.models[0].limits.batch_tokens = INT32_MAX; }, "batch tokens"},
      {"logit rows", [](Fleet f) { f.models[0].limits.logit_rows = 17; }, "logit rows 17"},
      {"workers", [](Fleet f) { f.models[0].workers = 0; }, "workers 0"},
      {"scratch", [](Fleet f) { f.models[0].memory.scratch = -1; }, "bytes of memory -1"},
      {"sum", [](Fleet f) { f.memory.kv += 1; }, "KV pages of all models"},
      {"device", [](Fleet f) { f.models[1].device = "cuda:0"; }, "different devices"},
      {"frames", [](Fleet f) { f.frames = 1; }, "bytes of a frame 0"},
      {"frames of no power", [](Fleet f) { f.frames = 1, f.frame_bytes = 12288; }, "power of two"},
  };
}

/// Of the memory in which passes work.
std::vector<Wrong> wrong_work() {
  using Fleet = plan::FleetPlan&;
  return {
      {"left to the next step",
       [](Fleet f) { f.models[0].values[0].region = plan::Region::kShared; },
       "value hidden: in the memory that models take in turn, though layer 0 reads "
       "what an earlier step left there"},
      {"at once in turn", [](Fleet f) { query(f).offset = attended(f).offset; }, "shares memory"},
      {"beyond the region", [](Fleet f) { query(f).offset = f.models[0].memory.shared; }, "offset"},
      {"small region", [](Fleet f) { f.models[0].memory.shared = 256; }, "offset 4096"},
      {"region of all", [](Fleet f) { f.memory.shared += 256; }, "memory that models take in turn"},
      {"half a part", [](Fleet f) { f.models[0].memory.scratch += 64; }, "beyond whole 256"},
      {"half a region", [](Fleet f) { f.models[0].memory.shared += 64; }, "beyond whole 256"},
  };
}

void expect_refused(const std::vector<Wrong>& wrongs) {
  for (const Wrong& wrong : wrongs) {
    plan::FleetPlan fleet = tiny_fleet();
    wrong.make(fleet);
    const auto read = plan::read_plan(plan::write_plan(fleet));
    ASSERT_FALSE(read.has_value()) << wrong.what;
    EXPECT_THAT(read.error().message, HasSubstr(wrong.error)) << wrong.what;
    EXPECT_THAT(read.error().message, HasSubstr("plan: ")) << wrong.what;
  }
}

TEST(PlanFile, NamesWhatIsWrong) {
  expect_refused(wrongs());
}

TEST(PlanFile, NamesWhatModelsCannotTakeInTurn) {
  expect_refused(wrong_work());
}

TEST(MapHash, ChangesWithEveryOffsetAndNotWithNames) {
  const plan::FleetPlan fleet = paged_fleet();
  const uint64_t hash = plan::map_hash(fleet);
  EXPECT_EQ(plan::map_hash_text(0xf00d), "000000000000f00d");
  const auto changes = [&](const std::function<void(plan::FleetPlan&)>& change) {
    plan::FleetPlan other = fleet;
    change(other);
    return plan::map_hash(other) != hash;
  };
  EXPECT_TRUE(changes([](auto& f) { f.models[1].weights[3].offset += 64; }));
  EXPECT_TRUE(changes([](auto& f) { f.models[1].segments[1].offset += 4096; }));
  EXPECT_TRUE(changes([](auto& f) { f.models[0].values[2].offset += 64; }));
  EXPECT_TRUE(changes([](auto& f) { f.models[0].kv.pages -= 1; }));
  EXPECT_TRUE(changes([](auto& f) { f.frames -= 1; }));
  EXPECT_TRUE(changes([](auto& f) { f.memory.scratch += 64; }));
  EXPECT_TRUE(changes([](auto& f) { f.memory.shared += 256; }));
  EXPECT_TRUE(changes([](auto& f) { f.models[0].values[0].region = plan::Region::kShared; }));
  EXPECT_FALSE(changes([](auto& f) { f.models[0].program.name = "other"; }));
}

TEST(MapHash, OfAModelAloneIsThatOfItsFleet) {
  static const TinyModel tiny;
  const plan::FleetPlan fleet = plan_of({&tiny.checkpoint()}, int64_t{64} << 20);
  EXPECT_EQ(plan::map_hash(fleet.models.front()), plan::map_hash(fleet));
}

}  // namespace
}  // namespace neuros
