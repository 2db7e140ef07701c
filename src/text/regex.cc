#include "text/regex.h"

#include "base/check.h"

#include <pcre2.h>

namespace neuros::text {
namespace {

constexpr size_t kPatternBytesMax = 64 * 1024;
constexpr uint32_t kMatchStepsMax = 10'000'000;
constexpr uint32_t kMatchHeapKibMax = 64 * 1024;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using CodePtr = std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>>;
using MatchDataPtr = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;
using MatchContextPtr = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct RegexScratch::Impl {
  MatchDataPtr data;
  MatchContextPtr context;
};

RegexScratch::RegexScratch() : impl_(std::make_unique<Impl>()) {
  impl_->data.reset(pcre2_match_data_create(1, nullptr));
  impl_->context.reset(pcre2_match_context_create(nullptr));
  CHECK(impl_->data && impl_->context, "out of memory");
  pcre2_set_match_limit(impl_->context.get(), kMatchStepsMax);
  pcre2_set_heap_limit(impl_->context.get(), kMatchHeapKibMax);
}
RegexScratch::RegexScratch(RegexScratch&&) noexcept = default;
RegexScratch& RegexScratch::operator=(RegexScratch&&) noexcept = default;
RegexScratch::~RegexScratch() = default;

struct Regex::Impl {
  CodePtr code;
};

Regex::Regex(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

base::Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax)
    return base::fail("regex: " + std::to_string(pattern.size()) + " bytes, limit " +
                      std::to_string(kPatternBytesMax));
  constexpr uint32_t kOptions =
      PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  PCRE2_SIZE where = 0;
  CodePtr code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions,
                             &error, &where, nullptr));
  if (!code)
    return base::fail("regex: " + error_text(error) + " at byte " + std::to_string(where) +
                      " of '" + std::string(pattern) + "'");
  // Without JIT (refused on this machine, or not built in) pcre2_match interprets: same result.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return Regex(std::make_unique<const Impl>(Impl{std::move(code)}));
}

std::optional<Regex::Match> Regex::find(std::string_view subject, size_t from,
                                        RegexScratch& scratch) const {
  const auto match = [&](uint32_t extra) {
    return pcre2_match(impl_->code.get(), reinterpret_cast<PCRE2_SPTR>(subject.data()),
                       subject.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | extra,
                       scratch.impl_->data.get(), scratch.impl_->context.get());
  };
  int found = match(0);
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(PCRE2_NO_JIT);
  if (found < 0) return std::nullopt;
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(scratch.impl_->data.get());
  // \K in a lookahead can put the begin after the end; such a match cuts nothing.
  if (ends[0] >= ends[1] || ends[0] < from) return std::nullopt;
  return Match{ends[0], ends[1]};
}

}  // namespace neuros::text
