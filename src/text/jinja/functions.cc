#include "text/jinja/functions.h"

#include "text/jinja/methods.h"
#include "text/jinja/print.h"

#include <array>
#include <cstdlib>
#include <ctime>
#include <string>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

/// The limit of Jinja2's sandbox.
constexpr int64_t kRangeLengthMax = 100'000;
constexpr int64_t kRangeBoundMax = int64_t{1} << 60;

Result<Value> range_function(Runtime& runtime, const Value&, const Arguments& arguments) {
  const size_t count = arguments.has(2) ? 3 : arguments.has(1) ? 2 : 1;
  Range range;
  range.start = count > 1 ? TRY(arguments.integer(0, 0)) : 0;
  range.stop = TRY(arguments.integer(count > 1 ? 1 : 0, 0));
  range.step = TRY(arguments.integer(2, 1));
  if (range.step == 0) return fail("range() arg 3 must not be zero");
  for (const int64_t bound : {range.start, range.stop, range.step}) {
    if (bound > kRangeBoundMax || bound < -kRangeBoundMax) return fail("range: bounds too large");
  }
  if (range.length() > kRangeLengthMax) {
    return fail("Range too big. The sandbox blocks ranges larger than " +
                std::to_string(kRangeLengthMax));
  }
  return runtime.range(range);
}

Result<Value> dict_function(Runtime& runtime, const Value&, const Arguments& arguments) {
  Dict* dict = TRY(runtime.dict());
  TRY(update_dict(runtime, *dict, arguments.raw()));
  return Value(dict);
}

Result<Value> namespace_function(Runtime& runtime, const Value&, const Arguments& arguments) {
  const Value names = TRY(runtime.names());
  TRY(update_dict(runtime, names.as<Namespace*>()->attributes, arguments.raw()));
  return names;
}

Result<Value> raise_exception(Runtime& runtime, const Value&, const Arguments& arguments) {
  const Value text = TRY(to_text(runtime, arguments[0]));
  return tl::unexpected(runtime.raised(std::string(text.string())));
}

Result<Value> strftime_now(Runtime& runtime, const Value&, const Arguments& arguments) {
  constexpr size_t kFormatMax = 200;
  const std::string format(TRY(arguments.string(0, "")));
  if (format.size() > kFormatMax) return fail("strftime_now: the format is too long");
  const std::time_t now = runtime.now_unix_s();
  std::tm utc = {};
  if (!gmtime_r(&now, &utc)) return fail("strftime_now: the time is out of range");
  std::array<char, 4096> buffer;
  // A blank at the end tells an empty result from one that does not fit.
  const size_t size = std::strftime(buffer.data(), buffer.size(), (format + " ").c_str(), &utc);
  if (size == 0) return fail("strftime_now: the result is too long");
  return runtime.string(std::string(buffer.data(), size - 1));
}

constexpr Builtin kFunctions[] = {
    {"range", "start stop= step=", range_function}, {"dict", "*", dict_function},
    {"namespace", "*", namespace_function},         {"raise_exception", "message", raise_exception},
    {"strftime_now", "format", strftime_now},
};

}  // namespace

std::span<const Builtin> global_functions() {
  return kFunctions;
}

}  // namespace neuros::text::jinja
