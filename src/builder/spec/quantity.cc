#include "builder/spec/quantity.h"

#include "builder/spec/limits.h"
#include "formats/printable.h"

#include <array>
#include <charconv>
#include <cmath>

namespace neuros::builder {
namespace {

struct TimeUnit {
  std::string_view name;
  int64_t us;
};
constexpr std::array<TimeUnit, 4> kTimeUnits{
    {{"min", 60'000'000}, {"s", 1'000'000}, {"ms", 1000}, {"us", 1}}};

/// Digits with an optional fraction at the front, and what follows.
struct NumberAndUnit {
  double number = 0.0;
  std::string_view unit;
};

std::optional<NumberAndUnit> split_number(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  NumberAndUnit split;
  const char* last = text.data() + text.size();
  const auto [end, error] =
      std::from_chars(text.data(), last, split.number, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  split.unit = text.substr(static_cast<size_t>(end - text.data()));
  return split;
}

base::Result<int64_t> time_in(std::string_view text, std::string_view default_unit) {
  const auto split = split_number(text);
  const auto unit =
      split ? us_in_unit(split->unit.empty() ? default_unit : split->unit) : std::nullopt;
  if (!unit) {
    return base::fail(formats::printable(text) +
                      ", expected a time with its unit: us, ms, s or min");
  }
  const double us = std::round(split->number * static_cast<double>(*unit));
  if (us > static_cast<double>(limits::kTimeUsMax)) {
    return base::fail(formats::printable(text) + ", expected at most 60min");
  }
  return static_cast<int64_t>(us);
}

}  // namespace

std::optional<int64_t> us_in_unit(std::string_view unit) {
  for (const TimeUnit& known : kTimeUnits) {
    if (known.name == unit) return known.us;
  }
  return std::nullopt;
}

base::Result<int32_t> parse_tokens(std::string_view text) {
  int64_t count = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, count);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  const bool known = error != std::errc::invalid_argument && (unit.empty() || unit == "k");
  const bool fits = error == std::errc() && count >= 1 && count <= limits::kTokensMax;
  const int64_t tokens = fits && unit == "k" ? count * 1024 : count;
  if (!known || !fits || tokens > limits::kTokensMax) {
    return base::fail(formats::printable(text) + ", expected 1 to 8192k tokens");
  }
  return static_cast<int32_t>(tokens);
}

base::Result<int64_t> parse_time(std::string_view text) {
  return time_in(text, "");
}

base::Result<LatencyRange> parse_latency(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    const int64_t us = TRY(parse_time(text));
    return LatencyRange{us, us};
  }
  const std::string_view longest = text.substr(dash + 1);
  const auto split = split_number(longest);
  LatencyRange latency;
  latency.max_us = TRY(parse_time(longest));
  latency.min_us = TRY(time_in(text.substr(0, dash), split->unit));
  if (latency.min_us > latency.max_us) {
    return base::fail(formats::printable(text) + ", expected the shorter time first");
  }
  return latency;
}

std::string tokens_text(int32_t tokens) {
  return tokens % 1024 == 0 ? std::to_string(tokens / 1024) + "k" : std::to_string(tokens);
}

std::string time_text(int64_t us) {
  for (const TimeUnit& unit : kTimeUnits) {
    if (us % unit.us == 0 && us > 0) return std::to_string(us / unit.us) + std::string(unit.name);
  }
  return "0us";
}

std::string latency_text(const LatencyRange& latency) {
  if (latency.min_us == latency.max_us) return time_text(latency.max_us);
  return time_text(latency.min_us) + "-" + time_text(latency.max_us);
}

}  // namespace neuros::builder
