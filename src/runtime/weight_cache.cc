#include "runtime/weight_cache.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

namespace neuros::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".neuros-weights";
/// What the cache may take of what would be free without it: one part in so many.
constexpr uint64_t kShareOfFree = 4;
/// A temporary file this old was left by a process that is gone.
constexpr std::chrono::hours kAbandoned{24};

struct Entry {
  fs::path path;
  uint64_t bytes = 0;
  fs::file_time_type used;
};

bool is_temporary(const fs::path& path) {
  return path.filename().string().find(std::string(kExtension) + ".part-") != std::string::npos;
}

/// What the folder holds, the file used longest ago first; files that others remove meanwhile are
/// left out. Removes abandoned temporary files.
std::vector<Entry> list(const std::string& folder) {
  std::vector<Entry> entries;
  std::error_code ignored;
  for (const fs::directory_entry& file : fs::directory_iterator(folder, ignored)) {
    std::error_code error;
    if (!file.is_regular_file(error) || error) continue;
    Entry entry{file.path(), file.file_size(error), {}};
    if (!error) entry.used = file.last_write_time(error);
    if (error) continue;
    if (is_temporary(entry.path) && fs::file_time_type::clock::now() - entry.used > kAbandoned) {
      fs::remove(entry.path, error);
    } else if (entry.path.extension() == kExtension) {
      entries.push_back(std::move(entry));
    }
  }
  std::ranges::sort(entries, {}, &Entry::used);
  return entries;
}

std::string gigabytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

}  // namespace

std::string default_weight_cache() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::string(cache) + "/neuros/weights";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/neuros/weights";
  return "";
}

std::string WeightCache::path_of(const std::string& model, uint64_t key) const {
  char number[32];
  std::snprintf(number, sizeof number, "-%016llx", static_cast<unsigned long long>(key));
  fs::path name = fs::path(model).lexically_normal();
  if (!name.has_filename()) name = name.parent_path();
  return (fs::path(folder_) / (name.stem().string() + number + std::string(kExtension))).string();
}

base::Result<> WeightCache::make_room(uint64_t bytes) const {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return base::fail(folder_ + ": " + error.message(), base::ErrorKind::kIo);
  const fs::space_info space = fs::space(folder_, error);
  if (error) return base::fail(folder_ + ": " + error.message(), base::ErrorKind::kIo);
  const std::vector<Entry> entries = list(folder_);
  uint64_t held = 0;
  for (const Entry& entry : entries) held += entry.bytes;
  const uint64_t limit = (space.available + held) / kShareOfFree;
  if (bytes > limit) {
    return base::fail(folder_ + ": " + gigabytes(bytes) +
                          " of weights, a quarter of the free disk " + "is " + gigabytes(limit),
                      base::ErrorKind::kUnavailable);
  }
  for (const Entry& entry : entries) {
    if (held + bytes <= limit) break;
    if (fs::remove(entry.path, error)) held -= entry.bytes;
  }
  return {};
}

void WeightCache::touch(const std::string& path) {
  std::error_code ignored;
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
}

}  // namespace neuros::runtime
