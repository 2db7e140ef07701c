#pragma once

/// HTTP/1.x requests from bytes (RFC 9112), a piece at a time. No socket, so that it can be fuzzed.

#include "serve/http.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace neuros::serve {

struct RequestLimits {
  uint32_t head_bytes = 32 << 10;
  uint64_t body_bytes = 32 << 20;
};

/// Parses one request; make a new one for the next.
class RequestParser {
 public:
  struct Failure {
    int status = 400;  ///< 400, 413, 431 or 505
    std::string message;
  };

  explicit RequestParser(RequestLimits limits);
  ~RequestParser();

  /// Takes bytes off the front of what has arrived and not been taken yet; returns how many. Give
  /// the rest again, with more behind it, next time. Takes none after done() or a failure.
  size_t put(std::string_view bytes);

  const std::optional<Failure>& failure() const;
  bool head_done() const;
  bool done() const;

  // After head_done():
  Request head() const;  ///< without a body
  bool expects_continue() const;
  bool keep_alive() const;  ///< what the client wants
  bool is_http_1_0() const;
  /// After done(): the request with its body, once.
  Request take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace neuros::serve
