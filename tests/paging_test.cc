/// Models whose weights come and go by segments: from every tier the same bytes as loaded at once,
/// whatever happens to the files.

#include "base/check.h"
#include "base/cpu_features.h"
#include "base/process_memory.h"
#include "base/testing/sanitizers.h"
#include "base/testing/temporary_directory.h"
#include "device/cuda_device.h"
#include "device/frame_pool.h"
#include "far_device.h"
#include "formats/gguf_writer.h"
#include "runtime/pager.h"
#include "tiny_model.h"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

namespace fs = std::filesystem;

using runtime::LoadReport;
using runtime::Pager;
using runtime::PagerReport;
using runtime::WeightTier;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kMemoryBytes = size_t{1} << 30;
constexpr WeightTier kTiers[]{WeightTier::kPinned, WeightTier::kPageable, WeightTier::kDisk};

void write_file(const formats::Checkpoint& checkpoint, const std::string& path) {
  std::vector<formats::TensorDeclaration> declared;
  for (const auto& [name, view] : checkpoint.tensors) {
    declared.push_back({name, view.dtype, view.shape});
  }
  auto writer = formats::GgufWriter::create(path, checkpoint.metadata, declared);
  CHECK(writer.has_value());
  for (const auto& [name, view] : checkpoint.tensors) {
    CHECK(writer->append(name, view.bytes).has_value());
  }
  CHECK(writer->finish().has_value());
}

/// The arena of a plan, loaded at once; what lies between weights is zero.
std::vector<std::byte> load_whole(const plan::Plan& plan, const formats::Checkpoint& checkpoint,
                                  const kernels::OpTable& ops, const std::string& cache = "") {
  const auto device = *device::open_cpu_device({.threads = 2, .memory_bytes = kMemoryBytes});
  const auto stream = *device->create_stream();
  const auto arena = *device->reserve(static_cast<size_t>(plan.memory.weights), "weights");
  const auto report =
      runtime::load_weights(plan, checkpoint, ops, {*device, *stream, arena.span()}, {cache, {}});
  CHECK(report.has_value());
  return {arena.span().begin(), arena.span().end()};
}

/// A device, its frames, and a pager.
class Paging {
 public:
  Paging(device::Device& device, size_t frame_bytes, size_t frames)
      : device_(device),
        pool_(*device.create_frame_pool({frame_bytes, frames}, "weights")),
        pager_(*Pager::create(device, [this](const PagerReport& report) { note(report); })) {}

  device::FramePool& pool() { return *pool_; }
  Pager& pager() { return *pager_; }

  std::vector<PagerReport> wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return reports_.size() >= count; });
    return std::exchange(reports_, {});
  }
  /// All of a model's segments, in and out.
  std::vector<PagerReport> load_all(int32_t model, const plan::Plan& plan) {
    for (size_t i = 0; i < plan.segments.size(); ++i) {
      pager_->load(model, static_cast<int32_t>(i));
    }
    return wait_for(plan.segments.size());
  }
  std::vector<PagerReport> drop_all(int32_t model, const plan::Plan& plan) {
    for (size_t i = 0; i < plan.segments.size(); ++i) {
      pager_->drop(model, static_cast<int32_t>(i));
    }
    return wait_for(plan.segments.size());
  }
  /// Where each segment's bytes differ from those of the arena loaded at once.
  void expect_same(const plan::Plan& plan, const device::AddressRange& range,
                   const std::vector<std::byte>& arena) {
    const auto stream = *device_.create_stream();
    for (const plan::SegmentPlacement& segment : plan.segments) {
      std::vector<std::byte> bytes(static_cast<size_t>(segment.bytes));
      stream->copy(bytes.data(), range.data() + segment.offset, bytes.size());
      ASSERT_TRUE(stream->synchronize().has_value());
      EXPECT_TRUE(std::ranges::equal(
          bytes, std::span(arena).subspan(static_cast<size_t>(segment.offset), bytes.size())))
          << segment.name;
    }
  }

 private:
  void note(const PagerReport& report) {
    const std::lock_guard lock(mutex_);
    reports_.push_back(report);
    came_.notify_all();
  }

  device::Device& device_;
  std::unique_ptr<device::FramePool> pool_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<PagerReport> reports_;
  std::unique_ptr<Pager> pager_;  ///< its threads use the rest
};

/// A model file and a folder for packed weights.
class PagingTest : public ::testing::Test {
 protected:
  PagingTest() : folder(own.file("packed")) {
    write_file(testing::TinyModel().checkpoint(), own.file("tiny.gguf"));
    checkpoint = *formats::open_checkpoint(own.file("tiny.gguf"));
  }

  plan::Plan plan_for(const kernels::OpTable& ops, size_t alignment) const {
    auto program = models::make_program(checkpoint);
    CHECK(program.has_value());
    auto plan = builder::make_plan(checkpoint, std::move(*program), ops,
                                   {.workers = 2,
                                    .memory_bytes = int64_t{256} << 20,
                                    .segment_alignment = static_cast<int64_t>(alignment)});
    CHECK(plan.has_value());
    return std::move(*plan);
  }
  runtime::PreparedSegments prepare(const plan::Plan& plan, device::Device& device,
                                    WeightTier tier) const {
    const std::string place = tier == WeightTier::kDisk ? folder : "";
    auto prepared = runtime::prepare_segments(plan, checkpoint, kernels::ref_ops(), device,
                                              {.tier = tier, .folder = place, .on_progress = {}});
    CHECK(prepared.has_value(), prepared ? "" : prepared.error().message.c_str());
    return std::move(*prepared);
  }
  fs::path only_kept() const {
    std::vector<fs::path> files;
    for (const auto& file : fs::directory_iterator(folder)) files.push_back(file.path());
    CHECK(files.size() == 1);
    return files.front();
  }

  base::testing::TemporaryDirectory own;
  std::string folder;
  formats::Checkpoint checkpoint;
};

/// Loads a model on a device from every tier, twice.
void expect_same_from_every_tier(device::Device& device, size_t frame, const plan::Plan& plan,
                                 const formats::Checkpoint& checkpoint, const kernels::OpTable& ops,
                                 const std::string& folder) {
  const std::vector<std::byte> arena = load_whole(plan, checkpoint, ops);
  for (const WeightTier tier : kTiers) {
    SCOPED_TRACE(device.name() + " from " + std::string(name(tier)));
    auto prepared = runtime::prepare_segments(
        plan, checkpoint, ops, device,
        {.tier = tier, .folder = tier == WeightTier::kDisk ? folder : "", .on_progress = {}});
    ASSERT_TRUE(prepared.has_value()) << prepared.error().message;
    Paging paging(device, frame, static_cast<size_t>(plan.memory.weights) / frame);
    const auto range =
        *paging.pool().reserve_addresses(static_cast<size_t>(plan.memory.weights), "weights");
    const int32_t model = *paging.pager().add({range.get(), &plan, prepared->source.get()});
    for (int round = 0; round < 2; ++round) {
      for (const PagerReport& report : paging.load_all(model, plan)) {
        EXPECT_TRUE(report.result.has_value()) << report.result.error().message;
      }
      paging.expect_same(plan, *range, arena);
      paging.drop_all(model, plan);
    }
    EXPECT_EQ(paging.pool().free_frames(), paging.pool().frames());
    paging.pager().stop(Pager::Stop::kFinish);
  }
}

TEST_F(PagingTest, BringsTheBytesThatLoadingAtOnceDoes) {
  const auto near = *device::open_cpu_device({.threads = 2, .memory_bytes = kMemoryBytes});
  testing::FarDevice far(kMemoryBytes);
  constexpr size_t kFrame = size_t{64} << 10;
  for (const kernels::OpTable* ops : {&kernels::ref_ops(), &kernels::cpu_ops(base::detect_cpu())}) {
    const plan::Plan plan = plan_for(*ops, kFrame);
    expect_same_from_every_tier(*near, kFrame, plan, checkpoint, *ops, folder);
    expect_same_from_every_tier(far, kFrame, plan, checkpoint, *ops, folder);
  }
}

/// Packing for a GPU needs none.
TEST_F(PagingTest, PacksOnTheHostAsForAGpu) {
  const kernels::OpTable* ops = kernels::cuda_ops();
  if (ops == nullptr) GTEST_SKIP() << "built without CUDA";
  constexpr size_t kFrame = size_t{2} << 20;
  const plan::Plan plan = plan_for(*ops, kFrame);
  testing::FarDevice far(kMemoryBytes);
  expect_same_from_every_tier(far, kFrame, plan, checkpoint, *ops, folder);
  if (device::cuda_devices().empty()) return;
  const auto gpu = *device::open_cuda_device({});
  expect_same_from_every_tier(*gpu, kFrame, plan, checkpoint, *ops, folder);
}

/// Two matrices that together exceed the memory that weights pass through.
struct TwoLargeMatrices {
  static constexpr int64_t kCols = 1024, kRows = plan::kUploadBytes / 4 / kCols * 5 / 8 + 3;

  explicit TwoLargeMatrices(const std::string& path) {
    std::vector<float> values(static_cast<size_t>(kRows * kCols));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 1000003);
    auto writer = formats::GgufWriter::create(path, {},
                                              {{"first", base::DType::kF32, {kRows, kCols}},
                                               {"second", base::DType::kF32, {kRows, kCols}}});
    CHECK(writer && writer->append("first", std::as_bytes(std::span(values))));
    std::ranges::reverse(values);
    CHECK(writer->append("second", std::as_bytes(std::span(values))) && writer->finish());
    checkpoint = std::move(*formats::open_checkpoint(path));
    plan.model_path = path;
    plan.op_table = "ref";
    add("first"), add("second");
  }
  void add(const std::string& name) {
    constexpr int64_t kBytes = kRows * kCols * 4;
    plan.weights.push_back({.name = name,
                            .kind = plan::WeightPlacement::Kind::kMatrix,
                            .dtype = base::DType::kF32,
                            .rows = kRows,
                            .cols = kCols,
                            .segment = static_cast<int32_t>(plan.segments.size()),
                            .offset = plan.memory.weights,
                            .bytes = kBytes,
                            .file_bytes = kBytes,
                            .kernel = ""});
    const int64_t up = plan::kSegmentAlignment;
    plan.segments.push_back({name, plan.memory.weights, (kBytes + up - 1) / up * up});
    constexpr int64_t kFrame = int64_t{2} << 20;
    plan.memory.weights += (kBytes + kFrame - 1) / kFrame * kFrame;
  }

  formats::Checkpoint checkpoint;
  plan::Plan plan;
};

TEST_F(PagingTest, UsesPinnedMemoryAgainOnlyWhenItIsFree) {
  const TwoLargeMatrices model(own.file("large.gguf"));
  testing::FarDevice far(kMemoryBytes);
  expect_same_from_every_tier(far, size_t{2} << 20, model.plan, model.checkpoint,
                              kernels::ref_ops(), folder);
}

TEST_F(PagingTest, SharesTheFilesOfTheWeightCache) {
  const plan::Plan dense = plan_for(kernels::ref_ops(), plan::kSegmentAlignment);
  const plan::Plan paged = plan_for(kernels::ref_ops(), size_t{64} << 10);
  EXPECT_GT(paged.memory.weights, dense.memory.weights);
  load_whole(dense, checkpoint, kernels::ref_ops(), folder);
  testing::FarDevice far(kMemoryBytes);
  const auto found = prepare(paged, far, WeightTier::kDisk);
  EXPECT_EQ(found.report.from, LoadReport::From::kCache);
  EXPECT_EQ(found.report.path, only_kept().string());
  EXPECT_EQ(load_whole(paged, checkpoint, kernels::ref_ops(), folder),
            load_whole(paged, checkpoint, kernels::ref_ops()));
}

/// One model on disk, of whose file something is wrong.
class DamagedFile : public PagingTest {
 protected:
  DamagedFile()
      : device(*device::open_cpu_device({.threads = 2, .memory_bytes = kMemoryBytes})),
        paging(*device, kFrame, 64),
        plan(plan_for(kernels::ref_ops(), kFrame)),
        range(*paging.pool().reserve_addresses(static_cast<size_t>(plan.memory.weights), "w")),
        prepared(prepare(plan, *device, WeightTier::kDisk)),
        model(*paging.pager().add({range.get(), &plan, prepared.source.get()})) {}
  ~DamagedFile() override { paging.pager().stop(Pager::Stop::kAbandon); }

  /// Where a segment begins in the file.
  uint64_t offset_of(size_t segment) const {
    uint64_t after = 0;
    for (size_t i = segment; i < plan.segments.size(); ++i) {
      after += static_cast<uint64_t>(plan.segments[i].bytes);
    }
    return fs::file_size(only_kept()) - after;
  }
  void flip(uint64_t at) const {
    std::fstream file(only_kept(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<int64_t>(at));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<int64_t>(at));
    file.put(byte);
  }
  void expect_failure(const PagerReport& report, const std::string& why) const {
    ASSERT_FALSE(report.result.has_value());
    const std::string& text = report.result.error().message;
    EXPECT_THAT(text, HasSubstr("tiny.gguf: "));
    EXPECT_THAT(text,
                HasSubstr("segment " + plan.segments[static_cast<size_t>(report.segment)].name));
    EXPECT_THAT(text, HasSubstr(only_kept().string()));
    EXPECT_THAT(text, HasSubstr(why));
  }

  static constexpr size_t kFrame = size_t{64} << 10;
  std::unique_ptr<device::Device> device;
  Paging paging;
  plan::Plan plan;
  std::unique_ptr<device::AddressRange> range;
  runtime::PreparedSegments prepared;
  int32_t model;
};

TEST_F(DamagedFile, AFlippedByteFailsItsSegmentOnly) {
  flip(offset_of(1) + 100);
  const auto done = paging.load_all(model, plan);
  for (const PagerReport& report : done) {
    if (report.segment == 1) {
      expect_failure(report, "is damaged");
    } else {
      EXPECT_TRUE(report.result.has_value());
    }
  }
  const auto offset = static_cast<size_t>(plan.segments[1].offset);
  EXPECT_FALSE(range->is_mapped(offset, kFrame));
  flip(offset_of(1) + 100);
  paging.pager().load(model, 1);
  EXPECT_TRUE(paging.wait_for(1)[0].result.has_value()) << "it is whole again";
}

TEST_F(DamagedFile, ATruncatedOneFailsWhatItLacks) {
  const auto last = static_cast<int32_t>(plan.segments.size()) - 1;
  fs::resize_file(only_kept(), fs::file_size(only_kept()) - 4096);
  paging.pager().load(model, 0);
  paging.pager().load(model, last);
  const auto done = paging.wait_for(2);
  EXPECT_TRUE(done[0].result.has_value());
  expect_failure(done[1], "bytes before what was to be read");
}

TEST_F(DamagedFile, ARemovedOneIsReadToTheEndAndThenMadeAgain) {
  fs::remove(only_kept());
  for (const PagerReport& report : paging.load_all(model, plan)) {
    EXPECT_TRUE(report.result.has_value()) << "it is still open";
  }
  const auto again = prepare(plan, *device, WeightTier::kDisk);
  EXPECT_EQ(again.report.from, LoadReport::From::kCheckpoint);
  EXPECT_EQ(again.report.kept_as, only_kept().string());
  EXPECT_THAT(again.report.warnings, IsEmpty());
}

TEST_F(DamagedFile, OneWithABrokenHeaderIsMadeAgain) {
  flip(50);
  const auto again = prepare(plan, *device, WeightTier::kDisk);
  ASSERT_EQ(again.report.warnings.size(), 1U);
  EXPECT_THAT(again.report.warnings.front(), HasSubstr("header is damaged"));
  EXPECT_EQ(prepare(plan, *device, WeightTier::kDisk).report.from, LoadReport::From::kCache);
}

size_t open_files() {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

TEST_F(DamagedFile, AWholeOneIsReadWithoutEnd) {
  const auto cycle = [&](int count) {
    for (int i = 0; i < count; ++i) {
      for (const PagerReport& report : paging.load_all(model, plan)) {
        ASSERT_TRUE(report.result.has_value());
      }
      paging.drop_all(model, plan);
    }
  };
  cycle(20);
  const int64_t resident = base::process_memory().resident;
  const size_t files = open_files();
  cycle(250);  // of four segments
  EXPECT_EQ(paging.pool().free_frames(), 64U);
  EXPECT_EQ(open_files(), files);
  if (!base::testing::kSanitized) {
    EXPECT_LT(base::process_memory().resident, resident + (int64_t{4} << 20));
  }
}

}  // namespace
}  // namespace neuros
