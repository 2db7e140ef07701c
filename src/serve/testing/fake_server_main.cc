/// The server over a fake model, for trying clients without one: fake_server [PORT [DELAY_MS]].

#include "serve/server.h"
#include "serve/testing/fake_model.h"

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  using namespace neuros::serve;
  FakeModel::Options model;
  model.context = 4096;
  model.delay = std::chrono::milliseconds(argc > 2 ? std::stoi(argv[2]) : 2);
  model.answer = [](const std::string& prompt) {
    return "You said " + std::to_string(prompt.size()) + " bytes. " + prompt;
  };
  const FakeBackend backend(std::move(model));
  ServerOptions options{.handle_signals = true};
  options.port = static_cast<uint16_t>(argc > 1 ? std::stoi(argv[1]) : 0);
  auto server = Server::create(backend, options);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  std::printf("listening on %s\n", (*server)->url().c_str());
  std::fflush(stdout);
  (*server)->run();
  return 0;
}
