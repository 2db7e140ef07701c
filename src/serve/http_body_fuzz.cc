/// Any bytes as the body of every endpoint that takes one. The first byte picks the endpoint.

#include "serve/routes.h"
#include "serve/testing/fake_model.h"
#include "serve/testing/recording_writer.h"

#include <array>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuros::serve;
  constexpr std::array kPaths = {"/v1/chat/completions", "/v1/completions", "/tokenize",
                                 "/detokenize"};
  static const FakeBackend backend(
      {.context = 64,
       .answer = [](const std::string&) { return "<think>a</think>b"; },
       .tokens_per_piece = 5,
       .chat_template = "</think>",
       .on_caller = true});
  static Api api{backend, {}};
  if (size == 0) return 0;
  Request request;
  request.method = "POST";
  request.path = kPaths[data[0] % kPaths.size()];
  request.body.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto writer = std::make_shared<RecordingWriter>();
  dispatch(api, request, writer);
  writer->run();
  writer->drop_tasks();
  if (!writer->done) __builtin_trap();
  return 0;
}
