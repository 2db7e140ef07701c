#pragma once

/// The HTTP server: OpenAI's API over the models of a backend.

#include "base/result.h"
#include "serve/backend.h"
#include "serve/request_parser.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace neuros::serve {

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;               ///< 0: any free one, see Server::port()
  std::vector<std::string> api_keys{};  ///< any of them opens everything; none: no key needed
  std::string cors_origin{};            ///< web pages of this origin may use the API; "*": all
  int32_t threads = 1;                ///< for sockets and JSON
  int32_t connections_max = 1024;
  RequestLimits limits{};
  std::chrono::milliseconds idle_timeout{75'000};  ///< between two requests of a connection
  std::chrono::milliseconds head_timeout{10'000};  ///< for a request's head, from its first byte
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds write_timeout{60'000};      ///< of a client that does not read
  std::chrono::milliseconds keepalive_interval{3'000};  ///< between comments of a silent stream
  size_t unsent_bytes_max = 64 << 20;  ///< a client that reads slower than this is dropped
  bool handle_signals = false;         ///< SIGINT, SIGTERM: stop(); a second one: abort()
};

/// Thread-safe but for run(), which one thread calls once.
class Server {
 public:
  /// Binds and listens, so that port() is known and connections wait from now on. The backend must
  /// outlive the server. Errors: kIo, naming the address.
  static base::Result<std::unique_ptr<Server>> create(const Backend& backend,
                                                      ServerOptions options);
  ~Server();

  uint16_t port() const;
  /// "http://127.0.0.1:8080"
  std::string url() const;

  /// Serves until stopped.
  void run();
  /// Takes no new connections and no new work; run() returns when every answer is finished.
  void stop();
  /// Breaks off running answers and cancels their processes; run() returns soon.
  void abort();

 private:
  struct State;
  explicit Server(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace neuros::serve
