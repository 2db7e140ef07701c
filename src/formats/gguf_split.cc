#include "formats/gguf_split.h"

#include "formats/gguf_reader.h"
#include "formats/printable.h"

#include <cstdio>
#include <string_view>
#include <utility>

namespace neuros::formats {
namespace {

using base::fail;
using base::Result;

constexpr std::string_view kNumberKey = "split.no";
constexpr std::string_view kCountKey = "split.count";
constexpr std::string_view kTensorsKey = "split.tensors.count";

/// "-00001-of-00003.gguf"
std::string part_suffix(int64_t number, int64_t count) {
  char text[64];
  std::snprintf(text, sizeof text, "-%05lld-of-%05lld.gguf", static_cast<long long>(number),
                static_cast<long long>(count));
  return text;
}

Result<> check_part(const Metadata& metadata, int64_t number, int64_t count) {
  const int64_t number_found = TRY(metadata.integer(kNumberKey)) + 1;
  const int64_t count_found = TRY(metadata.integer(kCountKey));
  if (number_found == number && count_found == count) return {};
  return fail("part " + std::to_string(number_found) + " of " + std::to_string(count_found) +
              ", expected part " + std::to_string(number) + " of " + std::to_string(count));
}

Result<> add_part(Checkpoint& whole, Checkpoint part) {
  for (auto& [name, view] : part.tensors) {
    if (!whole.tensors.emplace(name, std::move(view)).second)
      return fail("tensor " + printable(name) + " is in two parts");
  }
  for (base::MappedFile& file : part.files) whole.files.push_back(std::move(file));
  return {};
}

Result<> in_file(const std::string& path, Result<> result) {
  if (result) return result;
  return tl::unexpected(base::with_context(std::move(result).error(), path + ": gguf"));
}

Result<> open_and_add_part(Checkpoint& whole, int64_t number, int64_t count) {
  const std::string path = TRY(split_part_path(whole.path, number, count));
  Checkpoint part = TRY(open_gguf_file(path));
  TRY(in_file(path, check_part(part.metadata, number, count)));
  return in_file(path, add_part(whole, std::move(part)));
}

Result<> check_first_part(const Checkpoint& first, int64_t count) {
  const int64_t number = TRY(first.metadata.integer(kNumberKey)) + 1;
  if (number != 1) {
    return fail("part " + std::to_string(number) + " of " + std::to_string(count) +
                ": open the first part, ..." + part_suffix(1, count));
  }
  TRY(split_part_path(first.path, 1, count));
  return {};
}

Result<> check_total(const Checkpoint& whole, int64_t count) {
  const auto expected = whole.metadata.integer_or_none(kTensorsKey);
  const auto found = static_cast<int64_t>(whole.tensors.size());
  if (!expected || *expected == found) return {};
  return fail(std::to_string(found) + " tensors in " + std::to_string(count) + " parts, expected " +
              std::to_string(*expected));
}

}  // namespace

bool is_split(const Metadata& metadata) {
  return metadata.integer_or_none(kCountKey).value_or(1) > 1;
}

Result<std::string> split_part_path(const std::string& path, int64_t number, int64_t count) {
  const std::string first = part_suffix(1, count);
  if (!path.ends_with(first))
    return fail("first of " + std::to_string(count) + " parts, but its name does not end in " +
                first);
  return path.substr(0, path.size() - first.size()) + part_suffix(number, count);
}

Result<Checkpoint> open_gguf_file(const std::string& path) {
  base::MappedFile file = TRY(base::MappedFile::open(path));
  auto checkpoint = parse_gguf(file.bytes());
  if (!checkpoint) return tl::unexpected(base::with_context(checkpoint.error(), path));
  checkpoint->path = path;
  checkpoint->files.push_back(std::move(file));
  return checkpoint;
}

Result<Checkpoint> merge_split_gguf(Checkpoint first) {
  const std::string path = first.path;
  const int64_t count = first.metadata.integer_or_none(kCountKey).value_or(1);
  TRY(in_file(path, check_first_part(first, count)));
  for (int64_t i = 2; i <= count; ++i) TRY(open_and_add_part(first, i, count));
  TRY(in_file(path, check_total(first, count)));
  for (const auto key : {kNumberKey, kCountKey, kTensorsKey}) first.metadata.erase(key);
  return first;
}

}  // namespace neuros::formats
