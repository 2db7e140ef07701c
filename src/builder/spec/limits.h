#pragma once

/// What a specification may hold; docs/formats/pipeline.md and its schema say the same.

#include <cstddef>
#include <cstdint>

namespace neuros::builder::limits {

inline constexpr size_t kFileBytesMax = size_t{1} << 20;
inline constexpr int64_t kValuesMax = 65'536;  ///< aliases count as what they stand for
inline constexpr int kDepthMax = 16;

inline constexpr size_t kModelsMax = 64;
inline constexpr size_t kRoutesMax = 64;
inline constexpr size_t kStagesMax = 256;
inline constexpr size_t kPrecisionsMax = 16;
inline constexpr size_t kListMax = 64;       ///< references, stages, words of a command
inline constexpr size_t kArgumentsMax = 32;  ///< of a tool
inline constexpr size_t kBranchesMax = 16;   ///< conditions of a route

inline constexpr size_t kIdCharactersMax = 64;
inline constexpr size_t kTextCharactersMax = 4096;
inline constexpr size_t kPromptCharactersMax = 65'536;

inline constexpr int64_t kTokensMax = 8192 * 1024;
inline constexpr int64_t kParallelMax = 4096;
inline constexpr int64_t kTopMax = 1000;
inline constexpr int64_t kRoundsMax = 1000;
inline constexpr int64_t kTimeUsMax = int64_t{3600} * 1'000'000;
inline constexpr double kRateMax = 1e9;

inline constexpr int kExpressionDepthMax = 32;
inline constexpr size_t kExpressionPartsMax = 256;

}  // namespace neuros::builder::limits
