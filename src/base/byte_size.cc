#include "base/byte_size.h"

#include <algorithm>
#include <charconv>

namespace neuros::base {
namespace {

constexpr std::string_view kPrefixes = "KMGT";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

Result<int64_t> unit_of(std::string unit) {
  for (char& c : unit) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  if (unit.empty() || unit == "B") return 1;
  const size_t power = kPrefixes.find(unit.front());
  const std::string_view rest = std::string_view(unit).substr(1);
  if (power == std::string_view::npos || (!rest.empty() && rest != "B" && rest != "IB")) {
    return fail("unit " + unit + ", expected B, K, M, G or T, with B or iB");
  }
  int64_t bytes = 1;
  for (size_t i = 0; i <= power; ++i) bytes *= rest == "IB" ? 1024 : 1000;
  return bytes;
}

}  // namespace

Result<int64_t> parse_bytes(std::string_view text) {
  double number = 0.0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number, std::chars_format::fixed);
  if (error != std::errc() || !is_digit(text.front())) {
    return fail("size " + std::string(text) + ": expected a number with a unit, as in 24GB");
  }
  const int64_t unit = TRY(unit_of(std::string(end, last)));
  if (number * static_cast<double>(unit) > static_cast<double>(kByteSizeMax)) {
    return fail("size " + std::string(text) + ": too large");
  }
  int64_t whole = 0;  // a double would round from 2^53 on
  if (std::from_chars(text.data(), last, whole).ptr == end) {
    return std::min(whole * unit, kByteSizeMax);
  }
  return static_cast<int64_t>(number * static_cast<double>(unit));
}

std::string bytes_text(int64_t bytes) {
  std::string shortest = std::to_string(bytes);
  for (const int64_t base : {1000, 1024}) {
    int64_t unit = 1;
    for (const char prefix : kPrefixes) {
      unit *= base;
      if (bytes == 0 || bytes % unit != 0) break;
      std::string text = std::to_string(bytes / unit) + prefix + (base == 1000 ? "B" : "iB");
      if (text.size() < shortest.size()) shortest = std::move(text);
    }
  }
  return shortest;
}

std::string mebibytes(int64_t bytes) {
  constexpr int64_t kMebibyte = int64_t{1} << 20;
  if (bytes > 10 * kMebibyte - kMebibyte / 10) {
    return std::to_string((bytes + kMebibyte - 1) / kMebibyte) + " MiB";
  }
  const int64_t tenths = (bytes * 10 + kMebibyte - 1) / kMebibyte;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

}  // namespace neuros::base
