#pragma once

/// One request's answer on its way to the socket: what handlers write is framed here, what the
/// connection sends is taken from here. Includes Asio.

#include "serve/connection.h"
#include "serve/http.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

namespace neuros::serve {

/// Wakes one waiting coroutine of the same strand. Waiters look at their condition again.
class Signal {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Signal(const boost::asio::any_io_executor& executor) : timer_(executor) {}
  void notify() { timer_.cancel(); }
  boost::asio::awaitable<void> wait_until(Time deadline);

 private:
  boost::asio::steady_timer timer_;
};

/// Confined to the connection's strand.
class Exchange {
 public:
  struct Options {
    bool head_only = false;  ///< HEAD: no body goes out
    bool chunked = true;     ///< false for HTTP/1.0: a stream ends with the connection
    bool keep_alive = true;
    size_t unsent_bytes_max = 0;
  };
  Exchange(const boost::asio::any_io_executor& executor, Options options)
      : wake(executor), options_(options), executor_(executor) {}

  // From the handler's side; see ResponseWriter.
  void send(Response response);
  void start_stream(Response head, std::string keepalive);
  void write(const std::string& chunk);
  void finish();
  void on_client_gone(std::function<void()> callback);
  /// The handler will write no more.
  void abandon();

  // From the connection's side.
  void client_gone();
  void write_keepalive() { write(std::string(keepalive_)); }
  std::string take_unsent() { return std::exchange(unsent_, {}); }
  bool has_unsent() const { return !unsent_.empty(); }
  bool finished() const { return stage_ == Stage::kFinished; }
  bool gone() const { return gone_; }
  bool sends_keepalive() const { return stage_ == Stage::kStreaming && !keepalive_.empty(); }
  bool keep_alive() const { return options_.keep_alive; }
  const boost::asio::any_io_executor& executor() const { return executor_; }

  Signal wake;  ///< something changed for the connection

 private:
  enum class Stage { kWaiting, kStreaming, kFinished };

  void append_head(const Response& response, const std::string& framing);

  Options options_;
  boost::asio::any_io_executor executor_;
  Stage stage_ = Stage::kWaiting;
  bool gone_ = false;
  std::string unsent_, keepalive_;
  std::function<void()> on_gone_;
};

/// What handlers hold: counted among the context's holders.
WriterPtr make_writer(std::shared_ptr<Exchange> exchange,
                      std::shared_ptr<ConnectionContext> context);

}  // namespace neuros::serve
