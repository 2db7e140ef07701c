#pragma once

/// What plain and streamed answers of both completion endpoints have in common.

#include "serve/generation_job.h"
#include "serve/json_body.h"

#include <string>

namespace neuros::serve {

/// The fields every body or chunk of one answer begins with.
struct AnswerHead {
  std::string id{};      ///< "chatcmpl-..."
  std::string object{};  ///< "chat.completion"
  std::string model{};
  int64_t created_unix_s = 0;
  Json json() const;
};

const char* finish_name(pipeline::FinishReason reason);
/// The fields "usage" and, where the times were asked for, "timings".
void add_usage(Json& body, const Usage& usage);

/// Server-sent events over a writer
/// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
class EventStream {
 public:
  explicit EventStream(WriterPtr writer) : writer_(std::move(writer)) {}
  /// Headers go out; until the first event and in every long silence ": waiting" comments.
  void start();
  void event(const Json& data);
  /// "[DONE]" and the end of the response.
  void finish();
  /// Before start(): a plain error response. After: an event that clients raise, and the end.
  void fail(const ApiError& error);

 private:
  WriterPtr writer_;
  bool started_ = false;
};

}  // namespace neuros::serve
