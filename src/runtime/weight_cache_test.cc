#include "runtime/weight_cache.h"

#include "base/testing/temporary_directory.h"

#include <chrono>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::runtime {
namespace {

namespace fs = std::filesystem;

using testing::HasSubstr;

class WeightCacheTest : public testing::Test {
 protected:
  WeightCacheTest() : folder_(own_.path()), available_(fs::space(folder_).available) {}

  /// A file with a hole of so many bytes, last used so long ago.
  fs::path add(const std::string& name, uint64_t bytes, std::chrono::hours age) const {
    const fs::path path = folder_ / name;
    std::ofstream(path).put('x');
    fs::resize_file(path, bytes);
    fs::last_write_time(path, fs::file_time_type::clock::now() - age);
    return path;
  }

  base::testing::TemporaryDirectory own_;
  fs::path folder_;
  uint64_t available_;
};

TEST_F(WeightCacheTest, NamesAFileAfterItsModelAndKey) {
  const WeightCache cache("/c");
  EXPECT_EQ(cache.path_of("/models/tiny.gguf", 0xAB), "/c/tiny-00000000000000ab.neuros-weights");
  EXPECT_EQ(cache.path_of("hf-directory/", 1), "/c/hf-directory-0000000000000001.neuros-weights");
}

TEST_F(WeightCacheTest, RemovesWhatWasUsedLongestAgo) {
  const fs::path oldest = add("a.neuros-weights", available_ / 10, std::chrono::hours(3));
  const fs::path newer = add("b.neuros-weights", available_ / 10, std::chrono::hours(2));
  const fs::path other = add("somebody's.gguf", available_ / 10, std::chrono::hours(9));
  const WeightCache cache(folder_.string());
  ASSERT_TRUE(cache.make_room(available_ / 100).has_value());
  EXPECT_TRUE(fs::exists(oldest)) << "there is room for all";
  WeightCache::touch(oldest.string());
  ASSERT_TRUE(cache.make_room(available_ / 10 * 3 / 2).has_value());
  EXPECT_FALSE(fs::exists(newer)) << "the other one was used since";
  EXPECT_TRUE(fs::exists(oldest));
  EXPECT_TRUE(fs::exists(other)) << "not ours";
}

TEST_F(WeightCacheTest, RefusesMoreThanItsShare) {
  const fs::path kept = add("a.neuros-weights", 4096, std::chrono::hours(1));
  const auto room = WeightCache(folder_.string()).make_room(available_ / 2);
  ASSERT_FALSE(room.has_value());
  EXPECT_THAT(room.error().message, HasSubstr("a quarter of the free disk is"));
  EXPECT_TRUE(fs::exists(kept)) << "in vain";
}

TEST_F(WeightCacheTest, RemovesWhatADeadProcessLeft) {
  const fs::path left = add("a.neuros-weights.part-1-0", 4096, std::chrono::hours(30));
  const fs::path written = add("a.neuros-weights.part-2-0", 4096, std::chrono::hours(1));
  ASSERT_TRUE(WeightCache(folder_.string()).make_room(4096).has_value());
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(written));
}

}  // namespace
}  // namespace neuros::runtime
