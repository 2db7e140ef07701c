/// Weights packed from a file, kept in a cache and read again: the same bytes, whatever happens to
/// the file and the folder in between.

#include "runtime/weight_loading.h"

#include "base/cpu_features.h"
#include "base/testing/temporary_directory.h"
#include "far_device.h"
#include "formats/gguf_writer.h"
#include "tiny_model.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace neuros {
namespace {

namespace fs = std::filesystem;

using runtime::LoadReport;
using ::testing::ElementsAre;
using testing::FarDevice;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TinyModel;

/// An arena as it was after loading, and what is told of that.
struct Loaded {
  std::vector<std::byte> arena;
  LoadReport report;
};

constexpr size_t kMemoryBytes = size_t{512} << 20;

/// A folder with a model file and a cache.
class WeightLoading : public ::testing::Test {
 protected:
  WeightLoading() {
    folder_ = own_.path();
    cache_ = (folder_ / "cache").string();
    model_ = (folder_ / "tiny.gguf").string();
    write_model();
  }

  void write_model() const { TinyModel().write(model_); }

  Loaded load(device::Device& device, const kernels::OpTable& ops, const std::string& cache) const {
    const auto checkpoint = formats::open_checkpoint(model_);
    CHECK(checkpoint.has_value());
    auto program = models::make_program(*checkpoint);
    const auto plan = builder::make_plan(*checkpoint, std::move(*program), ops,
                                         {.workers = 2, .memory_bytes = int64_t{64} << 20});
    CHECK(plan.has_value());
    const auto stream = std::move(*device.create_stream());
    const auto arena = device.reserve(static_cast<size_t>(plan->memory.weights), "weights");
    const auto report = runtime::load_weights(*plan, *checkpoint, ops,
                                              {device, *stream, arena->span()}, {cache, {}});
    CHECK(report.has_value());
    return {{arena->span().begin(), arena->span().end()}, *report};
  }
  Loaded load_near(const std::string& cache) const {
    const auto device = device::open_cpu_device({.threads = 2, .memory_bytes = kMemoryBytes});
    return load(**device, kernels::ref_ops(), cache);
  }
  Loaded load_near() const { return load_near(cache_); }

  /// The files of the cache.
  std::vector<fs::path> kept() const {
    std::vector<fs::path> files;
    if (!fs::exists(cache_)) return files;
    for (const auto& file : fs::directory_iterator(cache_)) files.push_back(file.path());
    return files;
  }
  fs::path only_kept() const {
    const std::vector<fs::path> files = kept();
    CHECK(files.size() == 1);
    return files.front();
  }
  void overwrite(const fs::path& path, int64_t at, char byte) const {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(at);
    file.put(byte);
  }
  /// What is wrong with the kept file is told, and the weights are packed and kept again.
  void expect_thrown_away(const std::string& why, const std::vector<std::byte>& weights) const {
    const Loaded again = load_near();
    EXPECT_EQ(again.report.from, LoadReport::From::kCheckpoint);
    ASSERT_EQ(again.report.warnings.size(), 1U);
    EXPECT_THAT(again.report.warnings.front(), HasSubstr("weight cache: " + cache_));
    EXPECT_THAT(again.report.warnings.front(), HasSubstr(why));
    EXPECT_EQ(again.arena, weights);
    EXPECT_EQ(load_near().report.from, LoadReport::From::kCache) << "it was written again";
  }

  base::testing::TemporaryDirectory own_;
  fs::path folder_;
  std::string cache_, model_;
};

TEST_F(WeightLoading, KeepsNothingWithoutACache) {
  const Loaded loaded = load_near("");
  EXPECT_EQ(loaded.report.from, LoadReport::From::kCheckpoint);
  EXPECT_EQ(loaded.report.path, model_);
  EXPECT_GT(loaded.report.bytes, 0);
  EXPECT_EQ(loaded.report.kept_as, "");
  EXPECT_THAT(kept(), IsEmpty());
}

TEST_F(WeightLoading, ReadsTheBitsThatWerePacked) {
  for (const kernels::OpTable* ops : {&kernels::ref_ops(), &kernels::cpu_ops(base::detect_cpu())}) {
    const auto near = device::open_cpu_device({.threads = 2, .memory_bytes = kMemoryBytes});
    const Loaded packed = load(**near, *ops, cache_);
    EXPECT_EQ(packed.report.from, LoadReport::From::kCheckpoint);
    const Loaded read = load(**near, *ops, cache_);
    EXPECT_EQ(read.report.from, LoadReport::From::kCache) << ops->name;
    EXPECT_EQ(read.report.path, packed.report.kept_as);
    EXPECT_EQ(read.report.bytes, std::ssize(read.arena));
    EXPECT_THAT(read.report.warnings, IsEmpty());
    EXPECT_EQ(read.arena, packed.arena);
  }
  EXPECT_EQ(kept().size(), 2U) << "one for each layout";
}

TEST_F(WeightLoading, OfADeviceWithMemoryOfItsOwnIsTheSame) {
  FarDevice far(kMemoryBytes);
  const Loaded packed = load(far, kernels::ref_ops(), cache_);
  const Loaded read = load(far, kernels::ref_ops(), cache_);
  EXPECT_EQ(read.report.from, LoadReport::From::kCache);
  EXPECT_EQ(read.arena, packed.arena);
  EXPECT_EQ(load_near().arena, packed.arena);
}

TEST_F(WeightLoading, NoticesAFlippedByteAnywhere) {
  const Loaded packed = load_near();
  const fs::path file = only_kept();
  const auto data = static_cast<int64_t>(fs::file_size(file) - packed.arena.size());
  for (const int64_t at :
       {int64_t{0}, std::ssize(packed.arena) / 2, std::ssize(packed.arena) - 1}) {
    const auto byte = static_cast<char>(packed.arena[static_cast<size_t>(at)] ^ std::byte{1});
    overwrite(file, data + at, byte);
    expect_thrown_away("is damaged", packed.arena);
  }
  overwrite(file, 50, '\xff');
  expect_thrown_away("header is damaged", packed.arena);
}

TEST_F(WeightLoading, NoticesATruncatedFile) {
  const Loaded packed = load_near();
  fs::resize_file(only_kept(), fs::file_size(only_kept()) - 4096);
  expect_thrown_away("bytes, expected", packed.arena);
  fs::resize_file(only_kept(), 5);
  expect_thrown_away("needs 8 bytes", packed.arena);
}

TEST_F(WeightLoading, NoticesAnotherVersion) {
  const Loaded packed = load_near();
  overwrite(only_kept(), 8, 2);
  expect_thrown_away("version 2, expected 1", packed.arena);
}

TEST_F(WeightLoading, PacksAChangedCheckpointAnew) {
  const Loaded first = load_near();
  fs::last_write_time(model_, fs::last_write_time(model_) + std::chrono::seconds(1));
  EXPECT_EQ(load_near().report.from, LoadReport::From::kCheckpoint) << "written to";
  fs::remove(model_);
  write_model();
  const Loaded replaced = load_near();
  EXPECT_EQ(replaced.report.from, LoadReport::From::kCheckpoint);
  EXPECT_EQ(replaced.arena, first.arena);
  EXPECT_EQ(kept().size(), 3U);
}

TEST_F(WeightLoading, BootsWhereTheFolderCannotBeMade) {
  const std::string inside_a_file = model_ + "/cache";
  const Loaded loaded = load_near(inside_a_file);
  EXPECT_EQ(loaded.report.from, LoadReport::From::kCheckpoint);
  EXPECT_EQ(loaded.report.kept_as, "");
  ASSERT_EQ(loaded.report.warnings.size(), 2U) << "it can be neither looked into nor made";
  EXPECT_THAT(loaded.report.warnings.back(), HasSubstr("the weights are not kept"));
}

TEST_F(WeightLoading, BootsWhereTheDiskIsFull) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{8192, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Loaded loaded = load_near();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_THAT(loaded.report.warnings, ElementsAre(HasSubstr("the weights are not kept")));
  EXPECT_THAT(kept(), IsEmpty()) << "nothing is left of the attempt";
}

TEST_F(WeightLoading, ManyAtOnceKeepOneFile) {
  const Loaded packed = load_near("");
  std::vector<std::thread> threads;
  std::vector<Loaded> loaded(4);
  for (Loaded& one : loaded) threads.emplace_back([&] { one = load_near(); });
  for (std::thread& thread : threads) thread.join();
  for (const Loaded& one : loaded) {
    EXPECT_EQ(one.arena, packed.arena);
    EXPECT_THAT(one.report.warnings, IsEmpty());
  }
  EXPECT_EQ(kept().size(), 1U);
  EXPECT_EQ(load_near().report.from, LoadReport::From::kCache);
}

/// A checkpoint of one matrix that is larger than all memory that weights pass through.
struct OneLargeMatrix {
  static constexpr int64_t kCols = 1024, kRows = (plan::kUploadBytes / 4 + (1 << 23)) / kCols + 7;

  explicit OneLargeMatrix(const std::string& path) {
    std::vector<float> values(static_cast<size_t>(kRows * kCols));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 1000003);
    auto writer =
        formats::GgufWriter::create(path, {}, {{"big", base::DType::kF32, {kRows, kCols}}});
    CHECK(writer && writer->append("big", std::as_bytes(std::span(values))) && writer->finish());
    checkpoint = std::move(*formats::open_checkpoint(path));
    plan.op_table = "ref";
    const int64_t bytes = kRows * kCols * 4;
    plan.memory.weights =
        bytes / plan::kSegmentAlignment * plan::kSegmentAlignment + plan::kSegmentAlignment;
    plan.segments.push_back({"all", 0, plan.memory.weights});
    plan.weights.push_back({.name = "big",
                            .kind = plan::WeightPlacement::Kind::kMatrix,
                            .dtype = base::DType::kF32,
                            .rows = kRows,
                            .cols = kCols,
                            .segment = 0,
                            .offset = 0,
                            .bytes = bytes,
                            .file_bytes = bytes,
                            .kernel = ""});
  }
  Loaded load(device::Device& device, const std::string& cache) const {
    const auto stream = std::move(*device.create_stream());
    const auto arena = device.reserve(static_cast<size_t>(plan.memory.weights), "weights");
    const auto report = runtime::load_weights(plan, checkpoint, kernels::ref_ops(),
                                              {device, *stream, arena->span()}, {cache, {}});
    CHECK(report.has_value());
    return {{arena->span().begin(), arena->span().end()}, *report};
  }

  formats::Checkpoint checkpoint;
  plan::Plan plan;
};

TEST_F(WeightLoading, UsesMemoryAgainOnlyWhenItIsFree) {
  const OneLargeMatrix model(model_);
  const auto near = device::open_cpu_device({.threads = 2, .memory_bytes = kMemoryBytes});
  const Loaded expected = model.load(**near, "");
  FarDevice far(kMemoryBytes);
  const Loaded packed = model.load(far, cache_);
  EXPECT_TRUE(packed.arena == expected.arena);
  const Loaded read = model.load(far, cache_);
  EXPECT_EQ(read.report.from, LoadReport::From::kCache);
  EXPECT_TRUE(read.arena == expected.arena);
}

}  // namespace
}  // namespace neuros
