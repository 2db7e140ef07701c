/// Any bytes as the body of every endpoint that takes one. The first byte picks the endpoint, and
/// whether a model or a pipeline is asked.

#include "serve/routes.h"
#include "serve/testing/fake_model.h"
#include "serve/testing/fake_pipeline.h"
#include "serve/testing/recording_writer.h"

#include <array>
#include <cstdint>

namespace {

using namespace neuros::serve;

const FakeBackend& backend(bool with_pipeline) {
  const auto create = [](bool pipeline) {
    FakeBackend created({.context = 64,
                         .answer = [](const std::string&) { return "<think>a</think>b"; },
                         .tokens_per_piece = 5,
                         .chat_template = "</think>",
                         .on_caller = true});
    if (pipeline)
      created.served_pipelines = {std::make_shared<FakePipeline>(
          FakePipeline::Options{.texts = {{.content = "a", .reasoning = "b"}}})};
    return created;
  };
  static const FakeBackend alone = create(false), piped = create(true);
  return with_pipeline ? piped : alone;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr std::array kPaths = {"/v1/chat/completions", "/v1/completions", "/tokenize",
                                 "/detokenize"};
  static Api alone{backend(false), {}}, piped{backend(true), {}};
  if (size == 0) return 0;
  Request request;
  request.method = "POST";
  request.path = kPaths[data[0] % kPaths.size()];
  request.body.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto writer = std::make_shared<RecordingWriter>();
  dispatch(data[0] >= 0x80 ? piped : alone, request, writer);
  writer->run();
  writer->drop_tasks();
  if (!writer->done) __builtin_trap();
  return 0;
}
