#include "serve/server.h"

#include "serve/api.h"
#include "serve/api_error.h"
#include "serve/connection.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <thread>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace neuros::serve {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kWait = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kAbortGrace{5};

}  // namespace

/// The acceptor, the signals and the list of connections live on one strand, `control`.
struct Server::State : std::enable_shared_from_this<Server::State> {
  State(const Backend& backend, ServerOptions with)
      : options(std::move(with)),
        api{backend, {options.api_keys, options.cors_origin}},
        context{api, options},
        io(std::clamp(options.threads, 1, 8)),
        work(asio::make_work_guard(io)),
        control(asio::make_strand(io)),
        acceptor(control),
        pause(control),
        abort_deadline(control),
        signals(control) {
    context.released = [this] { asio::post(control, [this] { stop_if_done(); }); };
  }

  base::Result<> listen();
  asio::awaitable<void> accept_loop();
  void admit(tcp::socket socket);
  void turn_away(tcp::socket socket);
  void watch_signals();
  void stop();
  void abort();
  void stop_if_done();

  ServerOptions options;
  Api api;
  ConnectionContext context;
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::strand<asio::io_context::executor_type> control;
  tcp::acceptor acceptor;
  asio::steady_timer pause, abort_deadline;
  asio::signal_set signals;
  std::vector<std::weak_ptr<Connection>> connections;
  uint16_t port = 0;
};

base::Result<> Server::State::listen() {
  const std::string where = options.host + ":" + std::to_string(options.port);
  error_code error;
  const auto address =
      asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error);
  if (error) return base::fail("serve: '" + options.host + "' is not an IP address");
  const tcp::endpoint endpoint(address, options.port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) port = acceptor.local_endpoint(error).port();
  if (error) {
    return base::fail("serve: " + where + ": " + error.message(), base::ErrorKind::kIo);
  }
  return {};
}

asio::awaitable<void> Server::State::accept_loop() {
  while (acceptor.is_open()) {
    auto [error, socket] = co_await acceptor.async_accept(asio::make_strand(io), kWait);
    if (!error) {
      admit(std::move(socket));
    } else if (acceptor.is_open()) {  // out of descriptors, say
      pause.expires_after(std::chrono::milliseconds(100));
      co_await pause.async_wait(kWait);
    }
  }
}

void Server::State::admit(tcp::socket socket) {
  if (api.metrics.connections >= options.connections_max) return turn_away(std::move(socket));
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  std::erase_if(connections, [](const auto& connection) { return connection.expired(); });
  auto context_ptr = std::shared_ptr<ConnectionContext>(shared_from_this(), &context);
  connections.push_back(start_connection(std::move(socket), std::move(context_ptr)));
}

void Server::State::turn_away(tcp::socket socket) {
  const std::string body = error_json({.status = 503,
                                       .message = "Too many connections.",
                                       .type = "server_error",
                                       .code = "too_many_connections"});
  const std::string text =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
      "Connection: close\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(text), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

void Server::State::watch_signals() {
  signals.async_wait([this](error_code error, int) {
    if (error) return;
    if (api.stopping) {
      abort();
    } else {
      std::fprintf(stderr, "stopping; running answers are finished first (again: at once)\n");
      stop();
    }
    watch_signals();
  });
}

void Server::State::stop() {
  api.stopping = true;
  error_code ignored;
  acceptor.close(ignored);
  pause.cancel();
  for (const auto& weak : connections) {
    if (auto connection = weak.lock()) close_when_idle(connection);
  }
  stop_if_done();
}

void Server::State::abort() {
  stop();
  for (const auto& weak : connections) {
    if (auto connection = weak.lock()) close_now(connection);
  }
  abort_deadline.expires_after(kAbortGrace);
  abort_deadline.async_wait([this](error_code error) {
    if (!error) io.stop();
  });
}

void Server::State::stop_if_done() {
  if (api.stopping && context.holders == 0) io.stop();
}

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

base::Result<std::unique_ptr<Server>> Server::create(const Backend& backend,
                                                     ServerOptions options) {
  auto state = std::make_shared<State>(backend, std::move(options));
  TRY(state->listen());
  if (state->options.handle_signals) {  // from now on: who is told the address may send them
    state->signals.add(SIGINT);
    state->signals.add(SIGTERM);
  }
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

uint16_t Server::port() const {
  return state_->port;
}

std::string Server::url() const {
  const std::string& host = state_->options.host;
  const bool is_v6 = host.find(':') != host.npos;
  return "http://" + (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(state_->port);
}

void Server::run() {
  State& state = *state_;
  if (state.options.handle_signals) state.watch_signals();
  asio::co_spawn(state.control, state.accept_loop(), asio::detached);
  const auto serve = [&state] {
    while (!state.io.stopped()) {
      try {
        state.io.run();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "serve: a request failed: %s\n", error.what());
      }
    }
  };
  std::vector<std::thread> helpers;
  for (int32_t i = 1; i < state.options.threads; ++i) helpers.emplace_back(serve);
  serve();
  for (std::thread& helper : helpers) helper.join();
}

void Server::stop() {
  asio::post(state_->control, [state = state_] { state->stop(); });
}

void Server::abort() {
  asio::post(state_->control, [state = state_] { state->abort(); });
}

}  // namespace neuros::serve
