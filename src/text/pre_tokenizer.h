#pragma once

#include "base/function_ref.h"
#include "base/result.h"
#include "text/regex.h"
#include "text/tokenizer.h"

#include <span>
#include <string_view>
#include <vector>

namespace neuros::text {

/// Cuts a text into the parts that are tokenised on their own. Immutable.
class PreTokenizer {
 public:
  using Sink = base::FunctionRef<void(std::string_view part)>;

  /// Fails on a pattern that does not compile and on more than 64 steps. No steps: one part.
  static base::Result<PreTokenizer> create(std::span<const SplitStep> steps);

  /// Calls `sink` for every part in order. Any bytes are allowed: each maximal run of valid UTF-8
  /// is cut on its own, and each invalid byte is a part.
  void split(std::string_view text, RegexScratch& scratch, Sink sink) const;

  bool cuts() const { return !steps_.empty(); }

 private:
  struct Step {
    Regex regex;
    SplitBehaviour behaviour;
    bool invert;
  };

  void run_step(size_t step, std::string_view text, RegexScratch& scratch, Sink sink) const;
  void find_ranges(const Step& step, std::string_view text, RegexScratch& scratch,
                   base::FunctionRef<void(std::string_view range, bool matched)> range) const;

  std::vector<Step> steps_;
};

}  // namespace neuros::text
