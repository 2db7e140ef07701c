#pragma once

/// Helpers of this folder's tests: small files made by hand, in memory and on disk.

#include "base/testing/temporary_directory.h"
#include "formats/checkpoint.h"
#include "formats/gguf.h"
#include "formats/gguf_header.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace neuros::formats::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Bytes whose values tell where they are.
inline std::string pattern(size_t count, size_t seed) {
  std::string text(count, '\0');
  for (size_t i = 0; i < count; ++i)
    text[i] = static_cast<char>((i * 7 + seed * 31 + i / 251) & 255);
  return text;
}

/// A whole GGUF file in memory, tensor i filled with pattern(bytes, i).
inline std::string gguf_image(const Metadata& metadata,
                              const std::vector<TensorDeclaration>& tensors) {
  auto header = encode_gguf_header(metadata, tensors);
  EXPECT_TRUE(header.has_value()) << header.error().message;
  if (!header) return {};
  std::string file = header->bytes;
  for (size_t i = 0; i < tensors.size(); ++i) {
    file += pattern(header->tensor_bytes[i], i);
    file.resize(align_up(file.size(), kGgufAlignment), '\0');
  }
  return file;
}

/// Little-endian values one after the other, for files that are wrong on purpose.
class RawFile {
 public:
  template <typename T>
  RawFile& put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  RawFile& text(std::string_view text) {
    put(static_cast<uint64_t>(text.size()));
    bytes_ += text;
    return *this;
  }
  RawFile& raw(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  RawFile& pad(size_t alignment) {
    bytes_.resize(align_up(bytes_.size(), alignment), '\0');
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

using base::testing::TemporaryDirectory;

/// Reads every byte of every tensor; the sum keeps the compiler from leaving it out.
inline uint64_t touch(const std::map<std::string, base::TensorView, std::less<>>& tensors) {
  uint64_t sum = 0;
  for (const auto& [name, view] : tensors) {
    for (const std::byte byte : view.bytes) sum += static_cast<uint64_t>(byte);
  }
  return sum;
}

/// The error text of a Result that must be an error.
template <typename T>
std::string error_of(const base::Result<T>& result) {
  return result.has_value() ? std::string("(no error)") : result.error().message;
}

inline std::string shared_data(std::string_view name) {
  return std::string(NEUROS_SOURCE_DIR "/../shared/data/") + std::string(name);
}

}  // namespace neuros::formats::test
