#include "device/hardware_profile.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace neuros::device {
namespace {

constexpr std::array kSources{ProfileSource::kMeasured, ProfileSource::kPublished};
constexpr std::array kLevels{base::CpuLevel::kGeneric, base::CpuLevel::kAvx2,
                             base::CpuLevel::kAvx512, base::CpuLevel::kVnni, base::CpuLevel::kAmx};

template <typename T, size_t count>
bool find_spelled(const std::array<T, count>& all, std::string_view text, T& value) {
  const auto found = std::ranges::find_if(all, [&](const T& one) { return to_text(one) == text; });
  if (found != all.end()) value = *found;
  return found != all.end();
}

/// Up to two digits, and nothing else.
bool read_number(std::string_view text, int32_t& number) {
  if (text.empty() || text.size() > 2) return false;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stopped == end && number >= 0;
}

}  // namespace

base::CpuFeatures ProcessorProfile::features() const {
  base::CpuFeatures features;
  for (const base::CpuLevel level : levels) features.level = std::max(features.level, level);
  features.avx512_bf16 = avx512_bf16 && features.level >= base::CpuLevel::kVnni;
  features.brand = brand;
  return features;
}

std::string to_text(ProfileSource source) {
  return source == ProfileSource::kMeasured ? "measured" : "published";
}
std::string to_text(base::CpuLevel level) {
  return std::string(base::name(level));
}
std::string to_text(const ComputeCapability& capability) {
  return std::to_string(capability.major) + "." + std::to_string(capability.minor);
}

bool from_text(std::string_view text, ProfileSource& source) {
  return find_spelled(kSources, text, source);
}
bool from_text(std::string_view text, base::CpuLevel& level) {
  return find_spelled(kLevels, text, level);
}
bool from_text(std::string_view text, ComputeCapability& capability) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return false;
  return read_number(text.substr(0, dot), capability.major) &&
         read_number(text.substr(dot + 1), capability.minor);
}

std::string_view spelling(ProfileSource) {
  return "measured or published";
}
std::string_view spelling(base::CpuLevel) {
  return "generic, avx2, avx512, vnni or amx";
}
std::string_view spelling(const ComputeCapability&) {
  return "major.minor, as in 9.0";
}

}  // namespace neuros::device
