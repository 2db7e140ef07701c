#include "base/new_file.h"

#include "base/mapped_file.h"

#include <array>
#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace neuros::base {
namespace {

namespace fs = std::filesystem;

class NewFileTest : public ::testing::Test {
 protected:
  NewFileTest() { fs::create_directories(folder_); }
  ~NewFileTest() override { fs::remove_all(folder_); }

  size_t files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  const fs::path folder_ =
      fs::path(::testing::TempDir()) / ("new_file_test-" + std::to_string(::getpid()));
  const std::string path_ = folder_ / "app";
};

TEST_F(NewFileTest, AppearsWhenItIsComplete) {
  auto file = NewFile::create(path_, 5);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  const std::array text{std::byte{'h'}, std::byte{'e'}, std::byte{'y'}};
  ASSERT_TRUE(file->file().write(0, text).has_value());
  EXPECT_FALSE(fs::exists(path_));
  ASSERT_TRUE(file->synchronise(NewFile::Mode::kExecutable).has_value());
  ASSERT_TRUE(file->publish().has_value());
  EXPECT_EQ(*read_text_file(path_), std::string("hey\0\0", 5));
  EXPECT_EQ(::access(path_.c_str(), X_OK), 0);
  EXPECT_EQ(files(), 1U);
}

TEST_F(NewFileTest, LeavesNothingBehindWhenItIsNot) {
  {
    auto file = NewFile::create(path_, 4096);
    ASSERT_TRUE(file.has_value());
    const NewFile moved = std::move(*file);
    EXPECT_EQ(files(), 1U);
  }
  EXPECT_EQ(files(), 0U);
}

TEST_F(NewFileTest, DataIsNotExecutable) {
  auto file = NewFile::create(path_, 1);
  ASSERT_TRUE(file.has_value());
  ASSERT_TRUE(file->synchronise(NewFile::Mode::kData) && file->publish());
  EXPECT_EQ(fs::status(path_).permissions() & fs::perms::owner_exec, fs::perms::none);
}

TEST_F(NewFileTest, NeedsAFolderRoomAndAName) {
  EXPECT_THAT(NewFile::create(folder_ / "none" / "app", 1).error().message,
              ::testing::HasSubstr("none/app"));
  EXPECT_THAT(NewFile::create(folder_, 1).error().message, ::testing::HasSubstr("no regular file"));
  const auto huge = NewFile::create(path_, uint64_t{1} << 60);
  ASSERT_FALSE(huge.has_value());
  EXPECT_THAT(huge.error().message, ::testing::HasSubstr("no room for 1152921504606846976 bytes"));
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace neuros::base
