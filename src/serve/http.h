#pragma once

/// HTTP as handlers see it: plain structs and one seam to answer through. No socket in sight.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace neuros::serve {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// A whole request. `path` is percent-decoded, `query` is not.
struct Request {
  std::string method, path, query;
  Headers headers;
  std::string body;
  std::string id;  ///< of this request, goes out as x-request-id

  /// The first header of that name (ASCII case ignored), or nullptr.
  const std::string* header(std::string_view name) const;
  /// A decoded query parameter.
  std::optional<std::string> query_value(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  Headers headers{};
  std::string body{};
};

/// Where an answer goes. All functions but post() are called on the connection's own thread of
/// execution: from the handler itself or from a function given to post(). An answer is either one
/// send(), or start_stream(), any number of write() and one finish(). Dropping a writer before that
/// answers 500 (or breaks the stream off). After the client is gone every call does nothing.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;

  virtual void send(Response response) = 0;
  /// Sends the head; `head.body` is the first chunk unless empty. While the stream is silent for
  /// the server's keepalive interval, `keepalive` is written (SSE comments; "": nothing).
  virtual void start_stream(Response head, std::string keepalive) = 0;
  virtual void write(std::string chunk) = 0;
  virtual void finish() = 0;

  /// Called once when the client went away before the answer was complete.
  virtual void on_client_gone(std::function<void()> callback) = 0;

  /// Runs `task` on the connection's thread of execution, in order of posting. Any thread.
  virtual void post(std::function<void()> task) = 0;
};

using WriterPtr = std::shared_ptr<ResponseWriter>;

/// "Not Found" for 404; "" for codes this server never sends.
std::string_view reason_phrase(int status);
/// %41 and, in queries, + decoded; nullopt for a broken escape.
std::optional<std::string> percent_decode(std::string_view text, char plus);
bool equals_ignoring_case(std::string_view a, std::string_view b);
/// Takes as long for equal as for different texts of one length.
bool equals_in_constant_time(std::string_view a, std::string_view b);
/// "req-" and 24 random hexadecimal digits; other prefixes likewise.
std::string random_id(std::string_view prefix);

}  // namespace neuros::serve
