#pragma once

/// All that the conditions, routes and prompts of one request may speak of.

#include "base/result.h"
#include "builder/spec/pipeline_spec.h"
#include "pipeline/stages/stage_value.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::pipeline {

/// What was true when the request arrived.
struct RequestFacts {
  int64_t prompt_tokens = 0;       ///< `prompt_len`
  int64_t context_tokens = 0;      ///< `context_len`
  int64_t queue_depth = 0;         ///< requests waiting
  int hour = 0;                    ///< of the day, local time
  int64_t first_token_us_p50 = 0;  ///< `latency`: of the last minute; 0: there were none
};

/// Most bytes of a prompt or an input, its references filled in.
inline constexpr size_t kStageInputBytesMax = size_t{64} << 20;

class RequestValues {
 public:
  RequestValues(StageValue request, RequestFacts facts)
      : request_(std::move(request)), facts_(facts) {}

  void set(const std::string& stage, StageValue value) { stages_[stage] = std::move(value); }
  /// The stage gave nothing.
  void clear(const std::string& stage) { stages_.erase(stage); }
  const std::string& request_text() const { return request_.text(); }

  /// "" where there is nothing.
  std::string text(const builder::Reference& reference) const;
  /// Fails over kStageInputBytesMax.
  base::Result<std::string> render(const builder::PromptTemplate& prompt) const;
  /// The texts of all, joined by blank lines. Fails over kStageInputBytesMax.
  base::Result<std::string> join(const std::vector<builder::Reference>& references) const;

  /// For conditions; `iteration` is 0 outside of loops. Refers to this object.
  builder::ValueSource source(int32_t iteration = 0) const;

 private:
  builder::Value variable(std::string_view name, int32_t iteration) const;
  builder::Value value(const builder::Reference& reference) const;
  const StageValue& find(const builder::Reference& reference) const;

  StageValue request_;
  RequestFacts facts_;
  std::map<std::string, StageValue> stages_;  ///< by id; absent: nothing
};

}  // namespace neuros::pipeline
