#include "base/direct_file.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace neuros::base {
namespace {

constexpr size_t kPage = DirectFile::kAlignment;

/// Memory that begins at a page.
class Pages {
 public:
  explicit Pages(size_t count)
      : memory_(static_cast<std::byte*>(::mmap(nullptr, count * kPage, PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))),
        bytes_(count * kPage) {}
  ~Pages() { ::munmap(memory_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::span<std::byte> span() const { return {memory_, bytes_}; }

 private:
  std::byte* memory_;
  size_t bytes_;
};

std::string fresh_path(const std::string& folder) {
  static int counter = 0;
  return folder + "/direct_file_test-" + std::to_string(::getpid()) + "-" +
         std::to_string(counter++);
}

void write_and_read_back(const std::string& path) {
  const Pages out(3), in(3);
  for (size_t i = 0; i < out.span().size(); ++i) out.span()[i] = static_cast<std::byte>(i * 7 / 5);
  {
    const auto file = DirectFile::create(path, 4 * kPage);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    ASSERT_TRUE(file->write(kPage, out.span()).has_value());
    ASSERT_TRUE(file->write(100, out.span().subspan(1, 50)).has_value()) << "not aligned";
  }
  const auto file = DirectFile::open(path);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->size(), 4 * kPage);
  ASSERT_TRUE(file->read(kPage, in.span()).has_value());
  EXPECT_TRUE(std::ranges::equal(in.span(), out.span()));
  std::vector<std::byte> some(50);
  ASSERT_TRUE(file->read(100, some).has_value());
  EXPECT_TRUE(std::ranges::equal(some, out.span().subspan(1, 50)));
  EXPECT_EQ(file->read(2 * kPage, in.span()).error().message,
            path + ": ends at 16384, 4096 bytes before what was to be read");
  std::filesystem::remove(path);
}

TEST(DirectFile, GivesBackWhatWasWritten) {
  write_and_read_back(fresh_path(::testing::TempDir()));
}

TEST(DirectFile, WorksWhereThePageCacheCannotBePassed) {
  write_and_read_back(fresh_path("/dev/shm"));
}

TEST(DirectFile, SaysWhyItCannot) {
  const std::string path = fresh_path(::testing::TempDir());
  EXPECT_EQ(DirectFile::open(path).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(DirectFile::open("/").error().message, "/: not a regular file");
  EXPECT_EQ(DirectFile::create("/nowhere/file", 1).error().kind, ErrorKind::kNotFound);
  const auto huge = DirectFile::create(path, uint64_t{1} << 60);
  ASSERT_FALSE(huge.has_value());
  EXPECT_EQ(huge.error().kind, ErrorKind::kIo);
  EXPECT_FALSE(std::filesystem::exists(path)) << "nothing is left of it";
}

}  // namespace
}  // namespace neuros::base
