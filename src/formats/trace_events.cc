#include "formats/trace_events.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace neuros::formats {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kBufferBytes = 64 << 10;
constexpr int64_t kClosingBytes = 8;

std::string line_of(const Json& event) {
  return event.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

base::Result<TraceEvents> TraceEvents::create(const std::string& path) {
  base::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (fd.is_open()) return TraceEvents(path, std::move(fd));
  return base::fail(path + ": cannot write: " + std::strerror(errno), base::ErrorKind::kIo);
}

TraceEvents::~TraceEvents() {
  static_cast<void>(close());
}

void TraceEvents::name_track(int32_t track, std::string_view name) {
  append(line_of({{"ph", "M"},
                  {"name", "thread_name"},
                  {"pid", 1},
                  {"tid", track},
                  {"args", {{"name", name}}}}));
}

void TraceEvents::add(int32_t track, std::string_view name, int64_t begin_us, int64_t duration_us,
                      std::span<const Number> numbers) {
  Json args = Json::object();
  for (const auto& [key, value] : numbers) args[std::string(key)] = value;
  append(line_of({{"ph", "X"},
                  {"name", name},
                  {"pid", 1},
                  {"tid", track},
                  {"ts", begin_us},
                  {"dur", duration_us},
                  {"args", std::move(args)}}));
}

void TraceEvents::append(std::string event) {
  if (!fd_.is_open() || error_) return;
  bytes_ += static_cast<int64_t>(event.size()) + 2;
  if (bytes_ > kTraceBytesMax - kClosingBytes) {
    error_ = base::Error{base::ErrorKind::kOutOfMemory, path_ + ": the trace is full, at " +
                                                            std::to_string(kTraceBytesMax) +
                                                            " bytes; what came later is not in it"};
    return;
  }
  buffer_ += std::exchange(any_, true) ? ",\n" : "[\n";
  buffer_ += event;
  if (buffer_.size() >= kBufferBytes) flush();
}

void TraceEvents::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t written = ::write(fd_.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      error_ = base::Error{base::ErrorKind::kIo, path_ + ": cannot write: " + std::strerror(errno)};
      break;
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
  buffer_.clear();
}

base::Result<> TraceEvents::close() {
  if (fd_.is_open()) {
    const bool is_full = error_ && error_->kind == base::ErrorKind::kOutOfMemory;
    buffer_ += any_ ? "\n]\n" : "[]\n";
    if (!error_ || is_full) flush();
    fd_ = base::Fd();
  }
  if (error_) return tl::unexpected(*error_);
  return {};
}

}  // namespace neuros::formats
