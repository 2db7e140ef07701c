/// How the models of a fleet come up: all at once, or the first and then the others behind it; and
/// that one which cannot leaves the others alone.

#include "base/testing/temporary_directory.h"
#include "device/cpu/cpu_device.h"
#include "runtime/fleet.h"
#include "runtime/host_packing.h"
#include "runtime/kept_weights.h"
#include "runtime/op_tables.h"
#include "tiny_model.h"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using runtime::EndReason;
using runtime::ModelState;
using runtime::WeightTier;
using sched::BootMode;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TinyModel;

constexpr size_t kFrameBytes = 64 << 10;
constexpr size_t kModels = 4;
/// One for each segment of a model.
constexpr size_t kFramesPerModel = 4;

class Greedy final : public runtime::ProcessClient {
 public:
  runtime::NextToken on_logits(std::span<float> logits) override {
    tokens.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
    return {.id = tokens.back(), .stop = false};
  }
  void on_end(const runtime::ProcessEnd& end) override { ended_.set_value(end); }
  runtime::ProcessEnd wait() { return ended_.get_future().get(); }

  std::vector<int32_t> tokens;

 private:
  std::promise<runtime::ProcessEnd> ended_;
};

/// Who prepares stops behind a model until it is let on.
class Gate {
 public:
  void hold_after(size_t model) { held_after_ = model; }
  void forget() {
    const std::lock_guard lock(mutex_);
    passed_.clear();
  }
  void pass(size_t model) {
    std::unique_lock lock(mutex_);
    passed_.push_back(model);
    changed_.notify_all();
    if (model == held_after_) changed_.wait(lock, [this] { return open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  /// Models in the order in which they were ready, or had failed, once there are so many.
  std::vector<size_t> wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return passed_.size() >= count; });
    return passed_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<size_t> passed_;  ///< guarded by mutex_, as the next
  bool open_ = false;
  size_t held_after_ = kModels;  ///< none; before boot
};

/// Tiny models of different weights, all on one device, which is theirs or too small for all.
class FleetBootTest : public ::testing::Test {
 protected:
  FleetBootTest() {
    for (size_t i = 0; i < kModels; ++i) {
      models_.push_back(std::make_unique<TinyModel>(static_cast<uint32_t>(100 + i)));
      const std::string file = files_.file("model-" + std::to_string(i) + ".gguf");
      models_.back()->write(file);
      members_.push_back({.plan = models_.back()->plan(ops(), {}, 2, kFrameBytes),
                          .checkpoint = std::make_shared<const formats::Checkpoint>(
                              formats::open_checkpoint(file).value()),
                          .home = WeightTier::kDisk});
      members_.back().plan.model_path = file;
    }
  }
  ~FleetBootTest() override { gate_.open(); }

  static const kernels::OpTable& ops() { return *runtime::find_op_table("ref"); }

  base::Result<> boot(BootMode mode, size_t frames = 0, std::vector<int32_t> order = {}) {
    gate_.forget();
    device_ = std::move(*device::open_cpu_device({.threads = 2, .memory_bytes = 256 << 20}));
    runtime::FleetOptions options;
    options.weights = {.frame_bytes = frames > 0 ? kFrameBytes : 0, .frames = frames};
    options.dwell_us = 500;
    options.folder = folder_.path();
    options.boot = mode;
    options.order = std::move(order);
    options.on_model_boot = [this](size_t model, const runtime::Engine&) { gate_.pass(model); };
    fleet_ = TRY(runtime::Fleet::boot(members_, *device_, std::move(options)));
    return {};
  }

  std::shared_ptr<Greedy> ask(size_t model, sched::Priority priority = sched::Priority::kMedium) {
    auto client = std::make_shared<Greedy>();
    const auto id = fleet_->engine(model).submit({.prompt = {3, 1, 4, 1, 5},
                                                  .max_new_tokens = 12,
                                                  .priority = priority,
                                                  .prompt_logits = false,
                                                  .client = client});
    EXPECT_TRUE(id.has_value()) << id.error().message;
    return client;
  }
  std::vector<int32_t> answer(size_t model) {
    const auto client = ask(model);
    const runtime::ProcessEnd end = client->wait();
    EXPECT_EQ(end.reason, EndReason::kLength) << end.error;
    return client->tokens;
  }
  std::vector<std::vector<int32_t>> answers() {
    std::vector<std::vector<int32_t>> all;
    for (size_t model = 0; model < kModels; ++model) all.push_back(answer(model));
    return all;
  }

  /// Waits until the fleet knows that somebody waits for a model; `ready` is one that answers.
  void wait_until_known(size_t model, size_t ready) {
    while (fleet_->engine(model).stats().scheduler.waiting == 0) std::this_thread::yield();
    answer(ready);  // what came before it was told
  }
  std::vector<sched::Residency::State> residency(size_t model) {
    return fleet_->snapshot().models[model].segments;
  }
  ModelState state(size_t model) { return fleet_->engine(model).boot_state().state; }

  /// Model 1 becomes one of weights that are packed already, in a file.
  std::filesystem::path pack_second();
  void check_only_second_failed(BootMode mode, size_t frames, const std::string& what);

  std::vector<std::unique_ptr<TinyModel>> models_;
  base::testing::TemporaryDirectory files_, folder_;
  std::vector<runtime::FleetMember> members_;
  Gate gate_;
  std::unique_ptr<device::Device> device_;
  std::unique_ptr<runtime::Fleet> fleet_;
};

TEST_F(FleetBootTest, EagerIsReadyWithAllOfThem) {
  ASSERT_TRUE(boot(BootMode::kEager));
  EXPECT_THAT(gate_.wait_for(kModels), ElementsAre(0, 1, 2, 3));
  for (size_t model = 0; model < kModels; ++model) EXPECT_EQ(state(model), ModelState::kReady);
}

TEST_F(FleetBootTest, EagerKeepsTheOrderThatWasAskedFor) {
  ASSERT_TRUE(boot(BootMode::kEager, 0, {2, 0, 3, 1}));
  EXPECT_THAT(gate_.wait_for(kModels), ElementsAre(2, 0, 3, 1));
}

TEST_F(FleetBootTest, OnDemandIsReadyWithTheFirst) {
  gate_.hold_after(3);
  ASSERT_TRUE(boot(BootMode::kOnDemand, 0, {2, 3, 0, 1}));
  EXPECT_THAT(gate_.wait_for(2), ElementsAre(2, 3)) << "and goes on in the order that was given";
  EXPECT_EQ(answer(2).size(), 12U) << "while others are on their way";
  EXPECT_EQ(state(2), ModelState::kReady);
  EXPECT_EQ(state(0), ModelState::kBooting);
  EXPECT_EQ(fleet_->engine(0).load_report().bytes, 0) << "nothing of it was read";
  gate_.open();
  EXPECT_THAT(gate_.wait_for(kModels), ElementsAre(2, 3, 0, 1));
}

TEST_F(FleetBootTest, WhoIsWaitedForIsPreparedFirstAndTheWaitIsSwap) {
  gate_.hold_after(1);
  ASSERT_TRUE(boot(BootMode::kOnDemand));
  gate_.wait_for(2);
  const auto client = ask(3);
  wait_until_known(3, 0);
  EXPECT_EQ(state(3), ModelState::kBooting);
  EXPECT_TRUE(client->tokens.empty());
  gate_.open();
  const runtime::ProcessEnd end = client->wait();
  EXPECT_EQ(end.reason, EndReason::kLength) << end.error;
  EXPECT_THAT(gate_.wait_for(kModels), ElementsAre(0, 1, 3, 2));
  EXPECT_GT(end.times.swap_us, 0);
  EXPECT_GE(end.times.queue_us, 0);
  EXPECT_EQ(client->tokens, answer(3)) << "as if nothing had been";
}

TEST_F(FleetBootTest, WhoIsExpectedComesBeforeTheOthers) {
  gate_.hold_after(1);
  ASSERT_TRUE(boot(BootMode::kOnDemand));
  gate_.wait_for(2);
  fleet_->expect(3, true);
  gate_.open();
  EXPECT_THAT(gate_.wait_for(kModels), ElementsAre(0, 1, 3, 2));
}

TEST_F(FleetBootTest, ARequestThatIsCancelledMeanwhileEnds) {
  gate_.hold_after(1);
  ASSERT_TRUE(boot(BootMode::kOnDemand));
  gate_.wait_for(2);
  auto client = std::make_shared<Greedy>();
  const auto id = fleet_->engine(2).submit({.prompt = {1},
                                            .max_new_tokens = 1,
                                            .priority = sched::Priority::kMedium,
                                            .prompt_logits = false,
                                            .client = client});
  ASSERT_TRUE(id);
  fleet_->engine(2).cancel(*id);
  EXPECT_EQ(client->wait().reason, EndReason::kCancelled) << "though its model is not there";
}

TEST_F(FleetBootTest, BothModesAnswerAlikeWithAllMemoryAndWithLess) {
  ASSERT_TRUE(boot(BootMode::kEager));
  const auto expected = answers();
  for (const WeightTier home : {WeightTier::kPageable, WeightTier::kDisk}) {
    for (runtime::FleetMember& member : members_) member.home = home;
    for (const size_t frames : {size_t{0}, 2 * kFramesPerModel}) {
      for (const BootMode mode : {BootMode::kOnDemand, BootMode::kEager}) {
        fleet_.reset();
        const auto booted = boot(mode, frames);
        ASSERT_TRUE(booted) << booted.error().message;
        EXPECT_EQ(answers(), expected) << name(mode) << ", " << frames << " frames";
      }
    }
  }
}

TEST_F(FleetBootTest, WeightsThatStayComeLateAsWell) {
  members_[2].stays = true;
  gate_.hold_after(1);
  ASSERT_TRUE(boot(BootMode::kOnDemand, 2 * kFramesPerModel));
  gate_.wait_for(2);
  answer(0);
  EXPECT_THAT(residency(2), Each(sched::Residency::State::kAbsent)) << "it is not prepared";
  gate_.open();
  answers();
  EXPECT_THAT(residency(2), Each(sched::Residency::State::kResident));
}

TEST_F(FleetBootTest, MemoryThatIsNotThereIsRefusedAtOnceInBothModes) {
  members_[3].plan.memory.kv = int64_t{1} << 30;
  for (const BootMode mode : {BootMode::kEager, BootMode::kOnDemand}) {
    const auto booted = boot(mode);
    ASSERT_FALSE(booted) << name(mode);
    EXPECT_EQ(booted.error().kind, base::ErrorKind::kOutOfMemory);
    EXPECT_THAT(booted.error().message, HasSubstr("KV pages"));
  }
}

TEST_F(FleetBootTest, EndsWhileModelsAreOnTheirWay) {
  for (const size_t frames : {size_t{0}, 2 * kFramesPerModel}) {
    ASSERT_TRUE(boot(BootMode::kOnDemand, frames));
    std::vector<std::shared_ptr<Greedy>> clients;
    for (size_t i = 0; i < 4 * kModels; ++i) clients.push_back(ask(i % kModels));
    fleet_.reset();
    for (const auto& client : clients) {
      const EndReason reason = client->wait().reason;
      EXPECT_TRUE(reason == EndReason::kCancelled || reason == EndReason::kLength);
    }
  }
}

// One model that cannot be prepared.

std::filesystem::path FleetBootTest::pack_second() {
  const std::filesystem::path path = files_.file("second.packed");
  runtime::FleetMember& second = members_[1];
  const runtime::PackedWeightsLabel label{.key = 7, .made_for = "test"};
  const plan::Plan packed = runtime::without_padding(second.plan);
  const auto file =
      base::DirectFile::create(path, runtime::packed_weights_file_bytes(label, packed)).value();
  CHECK(runtime::pack_to_file({file, 0}, label, second.plan, *second.checkpoint, ops(), {}));
  second.checkpoint = nullptr;
  second.packed = std::make_shared<const runtime::PackedWeightsFile>(
      runtime::PackedWeightsFile::open(path).value());
  return path;
}

void FleetBootTest::check_only_second_failed(BootMode mode, size_t frames,
                                             const std::string& what) {
  SCOPED_TRACE(std::string(name(mode)) + ", " + std::to_string(frames) + " frames");
  const auto booted = boot(mode, frames);
  ASSERT_TRUE(booted) << booted.error().message;
  for (const size_t model : {0, 2, 3}) answer(model);
  gate_.wait_for(kModels);
  const runtime::ModelBoot boot = fleet_->engine(1).boot_state();
  EXPECT_EQ(boot.state, ModelState::kFailed);
  EXPECT_THAT(boot.error, HasSubstr(what));
  const auto refused = fleet_->engine(1).submit({.prompt = {1},
                                                 .max_new_tokens = 1,
                                                 .priority = sched::Priority::kMedium,
                                                 .prompt_logits = false,
                                                 .client = std::make_shared<Greedy>()});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, boot.error);
  EXPECT_EQ(refused.error().kind, base::ErrorKind::kBroken);
  for (const size_t model : {0, 2, 3}) answer(model);
  fleet_.reset();
}

TEST_F(FleetBootTest, AFlippedByteIsItsModelsFailure) {
  const std::filesystem::path path = pack_second();
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-1, std::ios::end);
  const int byte = file.get();
  file.seekp(-1, std::ios::end);
  file.put(static_cast<char>(byte ^ 1));
  file.close();
  for (runtime::FleetMember& member : members_) member.home = WeightTier::kPageable;
  for (const BootMode mode : {BootMode::kEager, BootMode::kOnDemand}) {
    for (const size_t frames : {size_t{0}, 2 * kFramesPerModel}) {
      check_only_second_failed(mode, frames, path.string() + ": segment ");
    }
  }
}

TEST_F(FleetBootTest, AFileThatBecameShorterIsItsModelsFailure) {
  const std::filesystem::path path = pack_second();
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  check_only_second_failed(BootMode::kEager, 0, path.string());
  check_only_second_failed(BootMode::kOnDemand, 0, path.string());
}

TEST_F(FleetBootTest, WeightsThatAreNotThePlansAreTheirModelsFailure) {
  auto other = std::make_shared<formats::Checkpoint>();
  other->path = "other.gguf";
  members_[1].checkpoint = other;
  check_only_second_failed(BootMode::kEager, 0, "other.gguf: no tensor");
  check_only_second_failed(BootMode::kOnDemand, 2 * kFramesPerModel, "other.gguf: ");
}

TEST_F(FleetBootTest, AWeightsFileThatCannotBeWrittenIsItsModelsFailure) {
  const auto& second = members_[1];
  const auto kept = runtime::KeptWeights::find(runtime::without_padding(second.plan),
                                               *second.checkpoint, ops(), folder_.path());
  ASSERT_TRUE(kept);
  std::filesystem::create_directories(kept->path);  // nothing can be renamed to it
  check_only_second_failed(BootMode::kEager, 2 * kFramesPerModel, kept->path);
  check_only_second_failed(BootMode::kOnDemand, 2 * kFramesPerModel, kept->path);
}

TEST_F(FleetBootTest, WhoWaitsForAModelThatFailsHearsWhy) {
  members_[3].broken = base::Error{base::ErrorKind::kIo, "weights.bin: gone"};
  gate_.hold_after(1);
  ASSERT_TRUE(boot(BootMode::kOnDemand));
  gate_.wait_for(2);
  const auto client = ask(3);
  wait_until_known(3, 0);
  gate_.open();
  const runtime::ProcessEnd end = client->wait();
  EXPECT_EQ(end.reason, EndReason::kFailed);
  EXPECT_EQ(end.error, "weights.bin: gone");
  answer(2);
}

TEST_F(FleetBootTest, WhereTheFirstFailsTheNextIsTheFirst) {
  members_[0].broken = base::Error{base::ErrorKind::kIo, "weights.bin: gone"};
  gate_.hold_after(2);
  ASSERT_TRUE(boot(BootMode::kOnDemand));
  answer(1);
  EXPECT_EQ(state(0), ModelState::kFailed);
  EXPECT_EQ(state(3), ModelState::kBooting);
}

TEST_F(FleetBootTest, WhereAllFailBootDoes) {
  for (size_t i = 0; i < kModels; ++i) {
    members_[i].broken = base::Error{base::ErrorKind::kNotFound, std::to_string(i) + ".bin: gone"};
  }
  for (const BootMode mode : {BootMode::kEager, BootMode::kOnDemand}) {
    const auto booted = boot(mode);
    ASSERT_FALSE(booted);
    EXPECT_EQ(booted.error().kind, base::ErrorKind::kNotFound);
    EXPECT_THAT(booted.error().message, AllOf(HasSubstr("no model can be prepared"),
                                              HasSubstr("0.bin: gone; 1.bin: gone; 2.bin")));
  }
  members_.resize(1);
  EXPECT_EQ(boot(BootMode::kOnDemand).error().message, "0.bin: gone") << "as it was";
}

}  // namespace
}  // namespace neuros
