#include "text/pre_tokenizer.h"

#include "text/unicode.h"

namespace neuros::text {
namespace {

constexpr size_t kStepsMax = 64;

/// Joins matched and unmatched ranges into parts as a SplitBehaviour says. Ranges come in order and
/// without holes; a part is always one contiguous view.
class PartJoiner {
 public:
  PartJoiner(SplitBehaviour behaviour, PreTokenizer::Sink sink)
      : behaviour_(behaviour), sink_(sink) {}

  void add(std::string_view range, bool matched) {
    switch (behaviour_) {
      case SplitBehaviour::kIsolated:
        sink_(range);
        break;
      case SplitBehaviour::kRemoved:
        if (!matched) sink_(range);
        break;
      case SplitBehaviour::kMergedWithPrevious:
        extend(range);
        if (matched) flush();
        break;
      case SplitBehaviour::kMergedWithNext:
        if (matched) flush();
        extend(range);
        break;
      case SplitBehaviour::kContiguous:
        if (matched != last_matched_) flush();
        extend(range);
        last_matched_ = matched;
        break;
    }
  }

  void flush() {
    if (!open_.empty()) sink_(open_);
    open_ = {};
  }

 private:
  void extend(std::string_view range) {
    open_ = open_.empty() ? range : std::string_view(open_.data(), open_.size() + range.size());
  }

  SplitBehaviour behaviour_;
  PreTokenizer::Sink sink_;
  std::string_view open_;
  bool last_matched_ = false;
};

}  // namespace

base::Result<PreTokenizer> PreTokenizer::create(std::span<const SplitStep> steps) {
  if (steps.size() > kStepsMax)
    return base::fail("pre-tokenizer: " + std::to_string(steps.size()) + " steps, limit " +
                      std::to_string(kStepsMax));
  PreTokenizer result;
  for (const SplitStep& step : steps)
    result.steps_.push_back({TRY(Regex::compile(step.pattern)), step.behaviour, step.invert});
  return result;
}

void PreTokenizer::find_ranges(
    const Step& step, std::string_view text, RegexScratch& scratch,
    base::FunctionRef<void(std::string_view range, bool matched)> range) const {
  size_t done = 0;
  while (done < text.size()) {
    const auto match = step.regex.find(text, done, scratch);
    if (!match) break;
    if (match->begin > done) range(text.substr(done, match->begin - done), step.invert);
    range(text.substr(match->begin, match->end - match->begin), !step.invert);
    done = match->end;
  }
  if (done < text.size()) range(text.substr(done), step.invert);
}

void PreTokenizer::run_step(size_t index, std::string_view text, RegexScratch& scratch,
                            Sink sink) const {
  if (index == steps_.size()) return sink(text);
  const auto next = [&](std::string_view part) { run_step(index + 1, part, scratch, sink); };
  PartJoiner joiner(steps_[index].behaviour, next);
  find_ranges(steps_[index], text, scratch,
              [&](std::string_view range, bool matched) { joiner.add(range, matched); });
  joiner.flush();
}

void PreTokenizer::split(std::string_view text, RegexScratch& scratch, Sink sink) const {
  while (!text.empty()) {
    const size_t good = valid_utf8_prefix(text);
    if (good > 0) run_step(0, text.substr(0, good), scratch, sink);
    text.remove_prefix(good);
    if (text.empty()) break;
    sink(text.substr(0, 1));
    text.remove_prefix(1);
  }
}

}  // namespace neuros::text
