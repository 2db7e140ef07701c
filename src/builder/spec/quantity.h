#pragma once

/// Counts of tokens and times as a specification writes them.

#include "base/result.h"
#include "builder/spec/pipeline_spec.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace neuros::builder {

/// Microseconds in "us", "ms", "s" or "min"; nullopt for anything else.
std::optional<int64_t> us_in_unit(std::string_view unit);

/// "8192" or "8k" (1024 each), 1 to limits::kTokensMax.
base::Result<int32_t> parse_tokens(std::string_view text);
/// "1.5s" in microseconds, up to limits::kTimeUsMax.
base::Result<int64_t> parse_time(std::string_view text);
/// "20ms", "5-20ms", "5ms-2s".
base::Result<LatencyRange> parse_latency(std::string_view text);

/// Texts that read back as the same: "8k", "1500us", "5ms-2s".
std::string tokens_text(int32_t tokens);
std::string time_text(int64_t us);
std::string latency_text(const LatencyRange& latency);

}  // namespace neuros::builder
