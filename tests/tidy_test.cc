/// The repository's own rules, checked on its text: floors, forbidden arrows, files that no CMake
/// list names, banned calls with their replacement, and lengths as a ratchet.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = NEUROS_SOURCE_DIR;

/// docs/ARCHITECTURE.md, "Floors": a folder may include only folders on lower floors.
const std::map<std::string, int> kFloors{
    {"base", 0},    {"device", 1},  {"formats", 1},  {"text", 1},  {"plan", 1},
    {"kernels", 2}, {"models", 2},  {"sched", 2},    {"builder", 3}, {"runtime", 3},
    {"pipeline", 4}, {"serve", 5},  {"grid", 5},     {"cli", 6}};

/// Arrows that point down and are forbidden all the same: from -> to.
const std::vector<std::pair<std::string, std::string>> kForbiddenArrows{
    {"kernels", "formats"}, {"kernels", "plan"},  {"kernels", "text"}, {"models", "device"},
    {"sched", "device"},    {"sched", "formats"}, {"sched", "text"},   {"sched", "plan"}};

struct Ban {
  std::string pattern;      ///< regular expression
  std::string replacement;
  std::set<std::string> allowed;  ///< folders or files it is allowed in
};
const std::vector<Ban> kBans{
    {R"(#if(def)?\s+.*NEUROS_CUDA)", "a cuda/ and a no_cuda/ folder chosen by CMake", {}},
    {R"(cuda_runtime\.h)", "device/device.h", {"src/device/cuda", "src/kernels/cuda"}},
    {R"(\bassert\()", "CHECK", {}},
    {R"(std::cout)", "the command's output helpers", {"src/cli"}},
    {R"(\bstd::rand\b|\bsrand\()", "a seeded std::mt19937_64", {}},
    {R"(\bsprintf\(|\bstrcpy\(|\bstrcat\()", "std::string or snprintf", {}},
    {R"(\batoi\(|\batof\()", "std::from_chars", {}},
};

constexpr int kFileLinesMax = 600;
constexpr int kFunctionLinesMax = 60;

struct SourceFile {
  std::string path;  ///< from the root, with forward slashes
  std::vector<std::string> lines;
};

std::string read(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool is_source(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".h" || extension == ".cc" || extension == ".cu" || extension == ".cuh";
}

const std::vector<SourceFile>& sources() {
  static const std::vector<SourceFile> all = [] {
    std::vector<SourceFile> found;
    for (const char* folder : {"src", "tests", "bench"}) {
      if (!fs::exists(kRoot / folder)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
        if (!entry.is_regular_file() || !is_source(entry.path())) continue;
        if (entry.path().string().find("node_modules") != std::string::npos) continue;
        SourceFile source{fs::relative(entry.path(), kRoot).generic_string(), {}};
        std::istringstream text(read(entry.path()));
        for (std::string line; std::getline(text, line);) source.lines.push_back(line);
        found.push_back(std::move(source));
      }
    }
    return found;
  }();
  return all;
}

/// "src/kernels/cpu/x.cc" -> "kernels"; "" outside src/.
std::string folder_of(const std::string& path) {
  if (!path.starts_with("src/")) return "";
  const size_t end = path.find('/', 4);
  return end == std::string::npos ? "" : path.substr(4, end - 4);
}

/// Folders that a file's includes name.
std::vector<std::pair<int, std::string>> included_folders(const SourceFile& source) {
  static const std::regex include(R"re(^\s*#\s*include\s+"([a-z_]+)/)re");
  std::vector<std::pair<int, std::string>> folders;
  for (size_t i = 0; i < source.lines.size(); ++i) {
    std::smatch match;
    if (std::regex_search(source.lines[i], match, include)) {
      folders.emplace_back(static_cast<int>(i) + 1, match[1].str());
    }
  }
  return folders;
}

bool is_test(const std::string& path) {
  return path.find("_test.cc") != std::string::npos || path.find("_fuzz.cc") != std::string::npos ||
         path.find("/testing/") != std::string::npos;
}

TEST(Tidy, IncludesGoStrictlyDown) {
  for (const SourceFile& source : sources()) {
    const std::string from = folder_of(source.path);
    if (from.empty() || is_test(source.path)) continue;
    ASSERT_TRUE(kFloors.contains(from)) << source.path << ": folder without a floor";
    for (const auto& [line, to] : included_folders(source)) {
      if (to == from || !kFloors.contains(to)) continue;
      EXPECT_LT(kFloors.at(to), kFloors.at(from))
          << source.path << ":" << line << ": " << from << " may not include " << to;
      EXPECT_EQ(std::count(kForbiddenArrows.begin(), kForbiddenArrows.end(),
                           std::make_pair(from, to)),
                0)
          << source.path << ":" << line << ": forbidden arrow " << from << " -> " << to;
    }
  }
}

TEST(Tidy, EveryFileIsInACMakeList) {
  std::string lists;
  for (const char* folder : {"src", "tests", "bench"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      const fs::path& path = entry.path();
      if (path.filename() == "CMakeLists.txt" || path.extension() == ".cmake") lists += read(path);
    }
  }
  for (const SourceFile& source : sources()) {
    const fs::path path(source.path);
    if (path.extension() == ".h" || path.extension() == ".cuh") continue;
    EXPECT_NE(lists.find(path.filename().string()), std::string::npos)
        << source.path << " is in no CMakeLists.txt";
  }
}

TEST(Tidy, BannedCallsHaveAReplacement) {
  for (const Ban& ban : kBans) {
    const std::regex pattern(ban.pattern);
    for (const SourceFile& source : sources()) {
      if (source.path == "tests/tidy_test.cc") continue;
      const bool allowed = std::any_of(ban.allowed.begin(), ban.allowed.end(), [&](const auto& at) {
        return source.path.starts_with(at);
      });
      if (allowed) continue;
      for (size_t i = 0; i < source.lines.size(); ++i) {
        EXPECT_FALSE(std::regex_search(source.lines[i], pattern))
            << source.path << ":" << i + 1 << ": use " << ban.replacement;
      }
    }
  }
}

/// A ratchet: what is longer today is listed with its length and may only shrink.
std::map<std::string, int> ratchet() {
  std::map<std::string, int> limits;
  std::istringstream text(read(kRoot / "tests/length_ratchet.txt"));
  std::string path;
  for (int lines = 0; text >> path >> lines;) limits[path] = lines;
  return limits;
}

TEST(Tidy, FilesStayShort) {
  const auto limits = ratchet();
  for (const SourceFile& source : sources()) {
    const auto found = limits.find(source.path);
    const int limit = found == limits.end() ? kFileLinesMax : found->second;
    EXPECT_LE(static_cast<int>(source.lines.size()), limit)
        << source.path << ": split it by concept";
  }
}

/// Length of the function whose opening line is `first`, by the brace in the first column.
int function_length(const std::vector<std::string>& lines, size_t first) {
  for (size_t i = first; i < lines.size(); ++i) {
    if (lines[i].starts_with("}")) return static_cast<int>(i - first) + 1;
  }
  return 0;
}

TEST(Tidy, FunctionsStayShort) {
  static const std::regex not_a_function(
      R"(^(namespace|struct|class|enum|union|extern|inline constexpr|constexpr|const|static const|template)\b|=)");
  const auto limits = ratchet();
  for (const SourceFile& source : sources()) {
    for (size_t i = 0; i < source.lines.size(); ++i) {
      const std::string& line = source.lines[i];
      const bool opens = !line.empty() && line.front() != ' ' && line.front() != '#' &&
                         line.front() != '}' && line.ends_with("{") &&
                         line.find('(') != std::string::npos;
      if (!opens || std::regex_search(line, not_a_function)) continue;
      const auto found = limits.find(source.path + ":" + line.substr(0, line.find('(')));
      const int limit = found == limits.end() ? kFunctionLinesMax : found->second;
      EXPECT_LE(function_length(source.lines, i), limit) << source.path << ":" << i + 1;
    }
  }
}

TEST(Tidy, HeadersAreGuarded) {
  for (const SourceFile& source : sources()) {
    if (!source.path.ends_with(".h")) continue;
    ASSERT_FALSE(source.lines.empty()) << source.path;
    const bool guarded = std::any_of(source.lines.begin(), source.lines.end(),
                                     [](const std::string& l) { return l == "#pragma once"; });
    const bool once_per_target = source.path.ends_with("-inl.h");
    EXPECT_TRUE(guarded || once_per_target) << source.path << ": #pragma once is missing";
  }
}

}  // namespace
