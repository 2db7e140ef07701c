#include "serve/connection.h"

#include "serve/api_error.h"
#include "serve/exchange.h"
#include "serve/routes.h"

#include <array>
#include <string>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace neuros::serve {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using boost::system::error_code;

constexpr auto kWait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBytes = 16 << 10;
constexpr std::chrono::seconds kLinger{2};

}  // namespace

/// Two coroutines on one strand: read_loop() puts what arrives into the inbox and notices the
/// client's end; run() parses, dispatches and writes.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<ConnectionContext> context)
      : context_(std::move(context)),
        socket_(std::move(socket)),
        arrived_(socket_.get_executor()),
        room_(socket_.get_executor()),
        write_deadline_(socket_.get_executor()) {
    ++context_->holders;
    ++context_->api.metrics.connections;
  }
  ~Connection() {
    --context_->api.metrics.connections;
    --context_->holders;
    context_->released();
  }

  void start() {
    const auto executor = socket_.get_executor();
    asio::co_spawn(executor, read_loop(shared_from_this()), asio::detached);
    asio::co_spawn(executor, run(shared_from_this()), asio::detached);
  }
  void finish_when_idle() {
    finishing_ = true;
    arrived_.notify();
  }
  void close() {
    error_code ignored;
    socket_.close(ignored);
    ended_ = true;
    if (exchange_) exchange_->client_gone();
    arrived_.notify();
    room_.notify();
  }
  tcp::socket::executor_type executor() { return socket_.get_executor(); }

 private:
  enum class Arrived { kRequest, kRefused, kFailure, kTimeout, kNothing };

  asio::awaitable<void> read_loop(std::shared_ptr<Connection> self);
  asio::awaitable<void> run(std::shared_ptr<Connection> self);
  asio::awaitable<Arrived> receive(RequestParser& parser);
  asio::awaitable<bool> answer(Request request, Exchange::Options options);
  asio::awaitable<bool> refuse(const RequestParser& parser, ApiError error);
  asio::awaitable<bool> send_out(std::shared_ptr<Exchange> exchange);
  asio::awaitable<bool> write_all(std::string bytes);
  asio::awaitable<void> linger();
  Exchange::Options exchange_options(const RequestParser& parser) const;
  void dispatch_guarded(const Request& request, const WriterPtr& writer);
  const ServerOptions& options() const { return context_->options; }

  std::shared_ptr<ConnectionContext> context_;
  tcp::socket socket_;
  std::array<char, kReadBytes> chunk_;
  std::string inbox_;  ///< arrived and not parsed
  Signal arrived_, room_;
  asio::steady_timer write_deadline_;
  std::shared_ptr<Exchange> exchange_;  ///< of the request being answered
  bool ended_ = false;                  ///< nothing more will arrive
  bool finishing_ = false;              ///< no further request is taken
  bool discarding_ = false;
};

asio::awaitable<void> Connection::read_loop([[maybe_unused]] std::shared_ptr<Connection> self) {
  const size_t inbox_max = options().limits.head_bytes + 4 * kReadBytes;
  while (!ended_) {
    if (inbox_.size() >= inbox_max) {
      co_await room_.wait_until(Clock::time_point::max());
      continue;
    }
    const auto [error, bytes] = co_await socket_.async_read_some(asio::buffer(chunk_), kWait);
    if (error) break;
    if (!discarding_) inbox_.append(chunk_.data(), bytes);
    arrived_.notify();
  }
  ended_ = true;
  arrived_.notify();
  if (exchange_) exchange_->client_gone();
}

asio::awaitable<Connection::Arrived> Connection::receive(RequestParser& parser) {
  auto deadline = Clock::now() + options().idle_timeout;
  bool begun = false, head_seen = false;
  for (;;) {
    inbox_.erase(0, parser.put(inbox_));
    room_.notify();
    if (parser.failure()) co_return Arrived::kFailure;
    if (!begun && (!inbox_.empty() || parser.head_done())) {
      begun = true;
      deadline = Clock::now() + options().head_timeout;
    }
    if (parser.head_done() && !std::exchange(head_seen, true)) {
      if (is_refused(context_->api, parser.head())) co_return Arrived::kRefused;
      deadline = Clock::now() + options().body_timeout;
      if (!parser.done() && parser.expects_continue()) {
        if (!co_await write_all("HTTP/1.1 100 Continue\r\n\r\n")) co_return Arrived::kNothing;
        continue;
      }
    }
    if (parser.done()) co_return Arrived::kRequest;
    if (ended_ || (finishing_ && !begun)) co_return Arrived::kNothing;
    if (Clock::now() >= deadline) co_return begun ? Arrived::kTimeout : Arrived::kNothing;
    co_await arrived_.wait_until(deadline);
  }
}

Exchange::Options Connection::exchange_options(const RequestParser& parser) const {
  Exchange::Options out{.unsent_bytes_max = options().unsent_bytes_max};
  out.keep_alive = parser.head_done() && parser.keep_alive() && !finishing_;
  out.chunked = parser.head_done() && !parser.is_http_1_0();
  out.head_only = parser.head_done() && parser.head().method == "HEAD";
  return out;
}

asio::awaitable<void> Connection::run([[maybe_unused]] std::shared_ptr<Connection> self) {
  bool goes_on = true;
  bool unread = false;
  while (goes_on) {
    RequestParser parser(options().limits);
    const Arrived arrived = co_await receive(parser);
    unread = arrived != Arrived::kRequest && arrived != Arrived::kNothing;
    if (arrived == Arrived::kNothing) break;
    Exchange::Options exchange = exchange_options(parser);
    if (arrived == Arrived::kRequest) {
      goes_on = co_await answer(parser.take(), exchange);
    } else if (arrived == Arrived::kRefused) {
      const bool whole = parser.done();
      exchange.keep_alive = exchange.keep_alive && whole;
      goes_on = co_await answer(parser.head(), exchange);
    } else if (arrived == Arrived::kFailure) {
      const RequestParser::Failure failure = *parser.failure();
      ApiError error{.status = failure.status, .message = failure.message};
      goes_on = co_await refuse(parser, std::move(error));
    } else {
      ApiError error{.status = 408, .message = "The request did not arrive in time."};
      goes_on = co_await refuse(parser, std::move(error));
    }
  }
  if (unread && !ended_) co_await linger();
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
  close();
}

void Connection::dispatch_guarded(const Request& request, const WriterPtr& writer) {
  try {
    dispatch(context_->api, request, writer);
  } catch (const std::exception& error) {
    writer->send(error_response({.status = 500,
                                 .message = std::string("Internal error: ") + error.what(),
                                 .type = "server_error",
                                 .code = "internal_error"}));
  }
}

/// Whether the connection can go on.
asio::awaitable<bool> Connection::answer(Request request, Exchange::Options exchange_options) {
  request.id = random_id("req-");
  exchange_ = std::make_shared<Exchange>(socket_.get_executor(), exchange_options);
  dispatch_guarded(request, make_writer(exchange_, context_));
  if (ended_) exchange_->client_gone();
  request = {};
  const bool sent = co_await send_out(exchange_);
  const bool goes_on = sent && exchange_->keep_alive() && !finishing_;
  exchange_.reset();
  co_return goes_on;
}

/// Answers what could not be parsed, and ends the connection.
asio::awaitable<bool> Connection::refuse(const RequestParser& parser, ApiError error) {
  Exchange::Options options = exchange_options(parser);
  options.keep_alive = false;
  exchange_ = std::make_shared<Exchange>(socket_.get_executor(), options);
  exchange_->send(error_response(error));
  context_->api.metrics.request_done("other", error.status, 0);
  co_await send_out(exchange_);
  exchange_.reset();
  co_return false;
}

/// Writes an answer as it comes; false if the client is gone.
asio::awaitable<bool> Connection::send_out(std::shared_ptr<Exchange> exchange) {
  for (;;) {
    if (exchange->has_unsent()) {
      if (!co_await write_all(exchange->take_unsent())) {
        exchange->client_gone();
        co_return false;
      }
      continue;
    }
    if (exchange->finished()) co_return true;
    if (exchange->gone()) co_return false;
    const auto deadline = Clock::now() + options().keepalive_interval;
    co_await exchange->wake.wait_until(exchange->sends_keepalive() ? deadline
                                                                   : Clock::time_point::max());
    const bool silent = !exchange->has_unsent() && Clock::now() >= deadline;
    if (silent && exchange->sends_keepalive()) exchange->write_keepalive();
  }
}

asio::awaitable<bool> Connection::write_all(std::string bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    write_deadline_.expires_after(options().write_timeout);
    write_deadline_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self && self->write_deadline_.expiry() <= Clock::now()) self->close();
    });
    const auto rest = asio::buffer(bytes.data() + done, bytes.size() - done);
    const auto [error, written] = co_await socket_.async_write_some(rest, kWait);
    write_deadline_.expires_at(Clock::time_point::max());
    if (error) co_return false;
    done += written;
  }
  co_return true;
}

/// Reads on for a moment so that the client gets the answer before a reset.
asio::awaitable<void> Connection::linger() {
  discarding_ = true;
  inbox_.clear();
  room_.notify();
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  const auto deadline = Clock::now() + kLinger;
  while (!ended_ && Clock::now() < deadline) co_await arrived_.wait_until(deadline);
}

std::shared_ptr<Connection> start_connection(tcp::socket socket,
                                             std::shared_ptr<ConnectionContext> context) {
  auto connection = std::make_shared<Connection>(std::move(socket), std::move(context));
  asio::post(connection->executor(), [connection] { connection->start(); });
  return connection;
}

void close_when_idle(const std::shared_ptr<Connection>& connection) {
  asio::post(connection->executor(), [connection] { connection->finish_when_idle(); });
}

void close_now(const std::shared_ptr<Connection>& connection) {
  asio::post(connection->executor(), [connection] { connection->close(); });
}

}  // namespace neuros::serve
