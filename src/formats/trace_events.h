#pragma once

/// Files of the Trace Event Format, which https://ui.perfetto.dev and chrome://tracing show: JSON,
/// an array of events. Google, "Trace Event Format", JSON Array Format.

#include "base/fd.h"
#include "base/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace neuros::formats {

/// No file becomes longer; what comes then is left out.
inline constexpr int64_t kTraceBytesMax = int64_t{1} << 30;

/// Written as it happens, and whole after close() or destruction; a viewer also takes what a
/// process that was killed has written.
class TraceEvents {
 public:
  /// Replaces what `path` names. Errors begin with the path.
  static base::Result<TraceEvents> create(const std::string& path);
  TraceEvents(TraceEvents&&) noexcept = default;
  TraceEvents& operator=(TraceEvents&&) noexcept = default;
  ~TraceEvents();

  using Number = std::pair<std::string_view, int64_t>;

  /// Tracks are rows of the picture, in the order of their numbers.
  void name_track(int32_t track, std::string_view name);
  /// Something that took from `begin_us` on, of any clock, so long; numbers are shown with it.
  void add(int32_t track, std::string_view name, int64_t begin_us, int64_t duration_us,
           std::span<const Number> numbers);
  /// The first error of any write, a full disk or a full trace: nothing was written after it.
  base::Result<> close();

 private:
  TraceEvents(std::string path, base::Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  void append(std::string event);
  void flush();

  std::string path_;
  base::Fd fd_;
  std::string buffer_;
  int64_t bytes_ = 0;
  bool any_ = false;
  std::optional<base::Error> error_;
};

}  // namespace neuros::formats
