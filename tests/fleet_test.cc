/// Models that share less memory than their weights take: what they answer, and what goes wrong.

#include "runtime/fleet.h"

#include "base/process_memory.h"
#include "base/testing/sanitizers.h"
#include "base/testing/temporary_directory.h"
#include "device/cpu/cpu_device.h"
#include "runtime/op_tables.h"
#include "tiny_model.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <optional>
#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using runtime::EndReason;
using runtime::NextToken;
using ::testing::HasSubstr;
using testing::TinyModel;

constexpr size_t kFrameBytes = 64 << 10;

class Greedy : public runtime::ProcessClient {
 public:
  NextToken on_logits(std::span<float> logits) override {
    const auto best = std::ranges::max_element(logits);
    tokens.push_back(static_cast<int32_t>(best - logits.begin()));
    return {.id = tokens.back(), .stop = false};
  }
  void on_end(const runtime::ProcessEnd& end) override { ended.set_value(end); }
  runtime::ProcessEnd wait() { return ended.get_future().get(); }

  std::vector<int32_t> tokens;
  std::promise<runtime::ProcessEnd> ended;
};

/// Tiny models of different weights, all on one device.
class FleetTest : public ::testing::Test {
 protected:
  static constexpr size_t kModels = 3;

  FleetTest() {
    for (size_t i = 0; i < kModels; ++i) {
      models_.push_back(std::make_unique<TinyModel>(static_cast<uint32_t>(100 + i)));
      const std::string file = files_.file("model-" + std::to_string(i) + ".gguf");
      models_.back()->write(file);
      auto checkpoint = formats::open_checkpoint(file);
      CHECK(checkpoint.has_value());
      checkpoints_.push_back(std::move(*checkpoint));
    }
  }

  /// Weights of one model take `frames_per_model` frames: one for each of its segments.
  static constexpr size_t kFramesPerModel = 4;

  /// `stays`: a model whose weights never leave the device. Where weights share memory,
  /// activations do, too.
  base::Result<> boot(size_t frames, runtime::WeightTier home,
                      const testing::TinyLimits& given = {}, std::optional<size_t> stays = {}) {
    device_ = std::move(*device::open_cpu_device({.threads = 2, .memory_bytes = 256 << 20}));
    testing::TinyLimits limits = given;
    limits.step_memory = frames > 0 ? plan::Region::kShared : plan::Region::kOwn;
    std::vector<runtime::FleetMember> members;
    for (size_t i = 0; i < kModels; ++i) {
      members.push_back({.plan = plan_of(*models_[i], limits),
                         .checkpoint = {std::shared_ptr<void>(), &checkpoints_[i]},
                         .home = home,
                         .stays = stays == i});
      members.back().plan.model_path = checkpoints_[i].path;
    }
    runtime::FleetOptions options;
    options.weights = {.frame_bytes = frames > 0 ? kFrameBytes : 0, .frames = frames};
    options.dwell_us = 500;
    options.folder = folder_.path();
    options.observer = observer_;
    fleet_ = TRY(runtime::Fleet::boot(std::move(members), *device_, std::move(options)));
    return {};
  }

  static plan::Plan plan_of(const TinyModel& model, const testing::TinyLimits& limits) {
    return model.plan(*runtime::find_op_table("ref"), limits, 2, kFrameBytes);
  }

  std::shared_ptr<Greedy> start(size_t model, uint32_t seed,
                                sched::Priority priority = sched::Priority::kMedium) {
    std::mt19937 random(seed);
    std::vector<int32_t> prompt(1 + random() % 40);
    for (int32_t& id : prompt) id = static_cast<int32_t>(random() % 90);
    return ask(model, std::move(prompt), 1 + int32_t(random() % 12), priority);
  }

  std::shared_ptr<Greedy> ask(size_t model, std::vector<int32_t> prompt, int32_t max_new_tokens,
                              sched::Priority priority = sched::Priority::kMedium) {
    auto client = std::make_shared<Greedy>();
    const auto id = fleet_->engine(model).submit({.prompt = std::move(prompt),
                                                  .max_new_tokens = max_new_tokens,
                                                  .priority = priority,
                                                  .prompt_logits = false,
                                                  .client = client});
    CHECK(id.has_value());
    return client;
  }

  /// Answers to `count` requests, spread over the models.
  std::vector<std::vector<int32_t>> answers(uint32_t count) {
    std::vector<std::shared_ptr<Greedy>> clients;
    for (uint32_t i = 0; i < count; ++i) {
      clients.push_back(start(i % kModels, i, static_cast<sched::Priority>(i / 3 % 3)));
    }
    std::vector<std::vector<int32_t>> tokens;
    for (const auto& client : clients) {
      const runtime::ProcessEnd end = client->wait();
      EXPECT_EQ(end.reason, EndReason::kLength) << end.error;
      tokens.push_back(client->tokens);
    }
    return tokens;
  }

  std::map<size_t, std::string> failures(uint32_t seed);

  std::vector<std::unique_ptr<TinyModel>> models_;
  base::testing::TemporaryDirectory files_, folder_;
  std::vector<formats::Checkpoint> checkpoints_;
  std::unique_ptr<device::Device> device_;
  runtime::FleetObserver* observer_ = nullptr;
  std::unique_ptr<runtime::Fleet> fleet_;
};

TEST_F(FleetTest, AnswersAsModelsThatStayDo) {
  ASSERT_TRUE(boot(0, runtime::WeightTier::kPageable));
  const auto expected = answers(60);
  EXPECT_EQ(fleet_->snapshot().stats.drops, 0U);
  for (const runtime::WeightTier home :
       {runtime::WeightTier::kPinned, runtime::WeightTier::kPageable, runtime::WeightTier::kDisk}) {
    for (const size_t frames : {2 * kFramesPerModel, kFramesPerModel, kFramesPerModel - 1}) {
      fleet_.reset();
      const auto booted = boot(frames, home);
      ASSERT_TRUE(booted) << booted.error().message;
      EXPECT_EQ(answers(60), expected) << name(home) << ", " << frames << " frames";
      const runtime::FleetSnapshot snapshot = fleet_->snapshot();
      EXPECT_GT(snapshot.stats.drops, 0U);
      EXPECT_GT(snapshot.pager.of(runtime::PagerJob::kLoad, home).bytes, 0);
    }
  }
}

TEST_F(FleetTest, TimesOfAProcessAddUpAndSwapIsOneOfThem) {
  ASSERT_TRUE(boot(kFramesPerModel, runtime::WeightTier::kDisk));
  std::vector<std::shared_ptr<Greedy>> clients;
  for (uint32_t i = 0; i < 30; ++i) clients.push_back(start(i % kModels, i));
  int64_t swap_us = 0;
  for (const auto& client : clients) {
    const runtime::ProcessTimes times = client->wait().times;
    for (const int64_t part : {times.queue_us, times.swap_us, times.prefill_us, times.decode_us}) {
      EXPECT_GE(part, 0);
    }
    swap_us += times.swap_us;
  }
  EXPECT_GT(swap_us, 0);
}

/// The packed file of one model, as the pager reads it.
std::filesystem::path any_packed_file(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  CHECK(!files.empty());
  return *std::ranges::max_element(files);
}

/// For each model whether a request to it failed, and with what.
std::map<size_t, std::string> FleetTest::failures(uint32_t seed) {
  std::map<size_t, std::string> errors;
  for (size_t model = 0; model < kModels; ++model) {
    const runtime::ProcessEnd end = start(model, seed)->wait();
    if (end.reason == EndReason::kFailed) errors[model] = end.error;
  }
  return errors;
}

/// Flips the last byte of a file, or flips it back.
void damage(const std::filesystem::path& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-1, std::ios::end);
  const int byte = file.get();
  file.seekp(-1, std::ios::end);
  file.put(static_cast<char>(byte ^ 0x5a));
}

TEST_F(FleetTest, ADamagedSegmentEndsItsModelsRequestsAndNoOthers) {
  ASSERT_TRUE(boot(kFramesPerModel, runtime::WeightTier::kDisk));
  const std::filesystem::path damaged = any_packed_file(folder_.path());
  damage(damaged);
  const auto errors = failures(7);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_THAT(errors.begin()->second, HasSubstr("segment"));
  const auto again = failures(8);
  ASSERT_EQ(again.size(), 1U) << "tried again";
  EXPECT_TRUE(again.contains(errors.begin()->first));
}

TEST_F(FleetTest, AFileThatBecameShorterEndsItsModelsRequestsAndNoOthers) {
  ASSERT_TRUE(boot(kFramesPerModel, runtime::WeightTier::kDisk));
  const std::filesystem::path file = any_packed_file(folder_.path());
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 4);
  const auto errors = failures(7);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_THAT(errors.begin()->second, HasSubstr(file.filename().string()));
}

TEST_F(FleetTest, FilesThatAreGoneAreStillReadWhileTheyAreOpen) {
  ASSERT_TRUE(boot(kFramesPerModel, runtime::WeightTier::kDisk));
  const auto expected = answers(12);
  std::filesystem::remove_all(folder_.path());
  EXPECT_EQ(answers(12), expected);
  for (const std::string& path : {checkpoints_[0].path, checkpoints_[1].path}) {
    std::filesystem::remove(path);
  }
  EXPECT_EQ(answers(12), expected);
}

TEST_F(FleetTest, WeightsThatStayAreNeverDropped) {
  ASSERT_TRUE(boot(2 * kFramesPerModel, runtime::WeightTier::kDisk, {}, 1));
  const auto tokens = answers(60);
  const auto segments = fleet_->snapshot().models[1].segments;
  for (const auto state : segments) EXPECT_EQ(state, sched::Residency::State::kResident);
  EXPECT_GT(fleet_->snapshot().stats.drops, 0U) << "of the others";
  EXPECT_EQ(start(1, 3)->wait().times.swap_us, 0);
  fleet_.reset();
  ASSERT_TRUE(boot(0, runtime::WeightTier::kPageable));
  EXPECT_EQ(answers(60), tokens);
}

TEST_F(FleetTest, AThousandSwapsLeaveMemoryAndFilesAsTheyWere) {
  const auto open_files = [] {
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return std::distance(begin(files), end(files));
  };
  ASSERT_TRUE(boot(kFramesPerModel, runtime::WeightTier::kDisk));
  const auto swap = [&](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      auto client = std::make_shared<Greedy>();
      ASSERT_TRUE(fleet_->engine(static_cast<size_t>(i) % 2)
                      .submit({.prompt = {1},
                               .max_new_tokens = 1,
                               .priority = sched::Priority::kMedium,
                               .prompt_logits = false,
                               .client = client}));
      ASSERT_EQ(client->wait().reason, EndReason::kLength);
    }
  };
  swap(200);
  const auto files_before = open_files();
  const int64_t memory_before = base::process_memory().resident;
  const uint64_t drops_before = fleet_->snapshot().stats.drops;
  swap(1000);
  EXPECT_GE(fleet_->snapshot().stats.drops - drops_before, 1000U * kFramesPerModel / 2);
  EXPECT_EQ(open_files(), files_before);
  if (!base::testing::kSanitized) {
    EXPECT_LT(base::process_memory().resident - memory_before, 1 << 20);
  }
}

TEST_F(FleetTest, APassThatFailedHalfwayLeavesNothingToReuse) {
  // The last segment has no room beside the others: its load fails behind steps that ran.
  ASSERT_TRUE(boot(kFramesPerModel - 1, runtime::WeightTier::kDisk));
  const std::vector<int32_t> prompt(40, 7);
  const std::filesystem::path damaged = any_packed_file(folder_.path());
  damage(damaged);
  std::vector<bool> failed;
  for (size_t model = 0; model < kModels; ++model) {
    failed.push_back(ask(model, prompt, 4)->wait().reason == EndReason::kFailed);
  }
  damage(damaged);
  ASSERT_EQ(std::ranges::count(failed, true), 1);
  for (size_t model = 0; model < kModels; ++model) {
    EXPECT_EQ(ask(model, prompt, 4)->wait().cached_tokens, failed[model] ? 0 : 32);
  }
}

/// A conversation of three turns with one model, and what happens between them.
struct Conversation {
  std::vector<int32_t> tokens;
  std::vector<int32_t> cached;  ///< tokens of each turn's prompt
};

template <typename Ask, typename Between>
Conversation converse(Ask ask, Between between) {
  Conversation conversation;
  for (int32_t turn = 0; turn < 3; ++turn) {
    conversation.tokens.insert(conversation.tokens.end(), 12, 40 + turn);
    const auto answer = ask(conversation.tokens);
    conversation.cached.push_back(answer->wait().cached_tokens);
    auto& tokens = conversation.tokens;
    tokens.insert(tokens.end(), answer->tokens.begin(), answer->tokens.end());
    between();
  }
  return conversation;
}

TEST_F(FleetTest, AConversationGoesOnThoughWeightsAndPagesWereAway) {
  const auto ask_first = [&](const std::vector<int32_t>& prompt) { return ask(0, prompt, 10); };
  ASSERT_TRUE(boot(0, runtime::WeightTier::kPageable));
  const Conversation stayed = converse(ask_first, [] {});

  fleet_.reset();
  ASSERT_TRUE(boot(kFramesPerModel, runtime::WeightTier::kDisk, {.pages = 5, .host_pages = 16}));
  uint64_t others = 0;
  const Conversation swapped = converse(ask_first, [&] {
    // Somebody else fills the first model's pages, then other models take its weights' memory.
    EXPECT_EQ(ask(0, std::vector<int32_t>(70, static_cast<int32_t>(80 + others)), 4)->wait().reason,
              EndReason::kLength);
    ++others;
    for (const size_t model : {1, 2}) ask(model, {1, 2, 3}, 2)->wait();
    const auto segments = fleet_->snapshot().models[0].segments;
    EXPECT_EQ(std::ranges::count(segments, sched::Residency::State::kResident), 0);
  });
  EXPECT_EQ(swapped.tokens, stayed.tokens);
  EXPECT_EQ(swapped.cached, stayed.cached);
  EXPECT_EQ(stayed.cached, (std::vector<int32_t>{0, 16, 32})) << "all full pages";
  const runtime::EngineStats stats = fleet_->engine(0).stats();
  EXPECT_GT(stats.scheduler.pages_swapped_in, 0U);
  EXPECT_EQ(stats.tokens_prefilled, 12 + (34 - 16) + (56 - 32) + 70 * others) << "no prefill again";
}

TEST_F(FleetTest, CancelsWhileWeightsAreOnTheirWay) {
  ASSERT_TRUE(boot(kFramesPerModel, runtime::WeightTier::kDisk));
  for (uint32_t round = 0; round < 20; ++round) {
    auto client = std::make_shared<Greedy>();
    const auto id = fleet_->engine(round % kModels)
                        .submit({.prompt = {1, 2, 3},
                                 .max_new_tokens = 100,
                                 .priority = sched::Priority::kMedium,
                                 .prompt_logits = false,
                                 .client = client});
    ASSERT_TRUE(id);
    fleet_->engine(round % kModels).cancel(*id);
    const EndReason reason = client->wait().reason;
    EXPECT_TRUE(reason == EndReason::kCancelled || reason == EndReason::kLength);
  }
  EXPECT_EQ(start(0, 1)->wait().reason, EndReason::kLength);
}

TEST_F(FleetTest, EndsWhileEverybodyWorks) {
  for (uint32_t requests = 0; requests < 40; ++requests) {
    ASSERT_TRUE(boot(kFramesPerModel, runtime::WeightTier::kDisk));
    std::vector<std::shared_ptr<Greedy>> clients;
    for (uint32_t i = 0; i < requests; ++i) clients.push_back(start(i % kModels, i));
    fleet_.reset();
    for (const auto& client : clients) {
      const EndReason reason = client->wait().reason;
      EXPECT_TRUE(reason == EndReason::kCancelled || reason == EndReason::kLength);
    }
  }
}

TEST_F(FleetTest, RefusesLessMemoryThanALayerNeeds) {
  const auto booted = boot(1, runtime::WeightTier::kDisk);
  ASSERT_FALSE(booted);
  EXPECT_THAT(booted.error().message, HasSubstr("frames"));
}

/// Remembers what a fleet did; read when that is over.
struct Diary final : runtime::FleetObserver {
  void on_run(const runtime::RunReport& run) override { runs.push_back(run); }
  void on_transfer(const runtime::PagerReport& transfer) override {
    (transfer.job == runtime::PagerJob::kLoad ? loads : drops) += transfer.result ? 1 : 0;
  }
  std::vector<runtime::RunReport> runs;
  int64_t loads = 0, drops = 0;
};

TEST_F(FleetTest, TellsWhatRanAndWhatMoved) {
  Diary diary;
  observer_ = &diary;
  ASSERT_TRUE(boot(kFramesPerModel, runtime::WeightTier::kDisk));
  int64_t prompt_rows = 0, decode_rows = 0, tokens = 0;
  for (const auto& answer : answers(30)) tokens += std::ssize(answer);
  const uint64_t loads = fleet_->snapshot().stats.loads;
  fleet_.reset();
  EXPECT_EQ(diary.loads, static_cast<int64_t>(loads));
  EXPECT_GT(diary.drops, 0);
  ASSERT_FALSE(diary.runs.empty());
  for (size_t i = 0; i < diary.runs.size(); ++i) {
    const runtime::RunReport& run = diary.runs[i];
    EXPECT_LT(run.first_step, run.end_step);
    EXPECT_LE(run.end_step, run.steps);
    EXPECT_LE(run.begin_us, run.end_us);
    if (i > 0) {
      EXPECT_GE(run.begin_us, diary.runs[i - 1].end_us) << "one at a time";
    }
    if (run.end_step != run.steps) continue;
    prompt_rows += run.prompt_rows;
    decode_rows += run.decode_rows;
  }
  EXPECT_GT(prompt_rows, 0);
  EXPECT_EQ(decode_rows, tokens - 30) << "the first token of each comes of its prompt";
}

TEST_F(FleetTest, WhoIsExpectedIsThere) {
  ASSERT_TRUE(boot(2 * kFramesPerModel, runtime::WeightTier::kDisk));
  fleet_->expect(1, true);
  const auto all_there = [&] {
    const auto segments = fleet_->snapshot().models[1].segments;
    return std::ranges::all_of(
        segments, [](auto state) { return state == sched::Residency::State::kResident; });
  };
  for (int i = 0; i < 2000 && !all_there(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(all_there());
  EXPECT_EQ(start(1, 3)->wait().times.swap_us, 0);
}

}  // namespace
}  // namespace neuros
