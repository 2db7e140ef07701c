/// Any bytes as a connection's input, in pieces whose size the first byte gives; whole requests
/// are dispatched.

#include "serve/request_parser.h"
#include "serve/routes.h"
#include "serve/testing/fake_model.h"
#include "serve/testing/recording_writer.h"

#include <algorithm>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuros::serve;
  static const FakeBackend backend({.context = 64, .on_caller = true});
  static Api api{backend, {.keys = {"k"}, .cors_origin = "*"}};
  if (size == 0) return 0;
  const size_t step = 1 + data[0];
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string inbox;
  auto parser =
      std::make_unique<RequestParser>(RequestLimits{.head_bytes = 1024, .body_bytes = 4096});
  while (!input.empty() && !parser->failure()) {
    inbox += input.substr(0, step);
    input.remove_prefix(std::min(step, input.size()));
    inbox.erase(0, parser->put(inbox));
    if (parser->head_done() && !parser->failure()) is_refused(api, parser->head());
    if (!parser->done()) continue;
    auto writer = std::make_shared<RecordingWriter>();
    dispatch(api, parser->take(), writer);
    writer->run();
    writer->drop_tasks();
    parser = std::make_unique<RequestParser>(RequestLimits{.head_bytes = 1024, .body_bytes = 4096});
  }
  return 0;
}
