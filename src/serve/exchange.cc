#include "serve/exchange.h"

#include "serve/api_error.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace neuros::serve {
namespace {

namespace asio = boost::asio;

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

std::string hexadecimal(size_t value) {
  char text[16];
  return {text, std::to_chars(text, text + sizeof text, value, 16).ptr};
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  std::copy_if(value.begin(), value.end(), std::back_inserter(out),
               [](char c) { return c != '\r' && c != '\n'; });
  out += "\r\n";
}

}  // namespace

asio::awaitable<void> Signal::wait_until(Time deadline) {
  timer_.expires_at(deadline);
  co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
}

void Exchange::append_head(const Response& response, const std::string& framing) {
  unsent_ += "HTTP/1.1 " + std::to_string(response.status) + " ";
  unsent_.append(reason_phrase(response.status)).append("\r\n");
  append_field(unsent_, "Date", http_date());
  if (!response.content_type.empty()) {
    append_field(unsent_, "Content-Type", response.content_type);
  }
  for (const auto& [name, value] : response.headers) append_field(unsent_, name, value);
  unsent_ += framing;
  unsent_.append("Connection: ").append(options_.keep_alive ? "keep-alive" : "close");
  unsent_ += "\r\n\r\n";
}

void Exchange::send(Response response) {
  if (gone_ || stage_ != Stage::kWaiting) return;
  const bool has_body = response.status != 204;
  append_head(response,
              has_body ? "Content-Length: " + std::to_string(response.body.size()) + "\r\n" : "");
  if (has_body && !options_.head_only) unsent_ += response.body;
  stage_ = Stage::kFinished;
  wake.notify();
}

void Exchange::start_stream(Response head, std::string keepalive) {
  if (gone_ || stage_ != Stage::kWaiting) return;
  if (!options_.chunked) options_.keep_alive = false;
  append_head(head, options_.chunked ? "Transfer-Encoding: chunked\r\n" : "");
  stage_ = Stage::kStreaming;
  keepalive_ = std::move(keepalive);
  write(head.body);
  wake.notify();
}

void Exchange::write(const std::string& chunk) {
  if (gone_ || stage_ != Stage::kStreaming || chunk.empty() || options_.head_only) return;
  if (options_.chunked) unsent_ += hexadecimal(chunk.size()) + "\r\n";
  unsent_ += chunk;
  if (options_.chunked) unsent_ += "\r\n";
  if (unsent_.size() > options_.unsent_bytes_max) client_gone();
  wake.notify();
}

void Exchange::finish() {
  if (gone_ || stage_ != Stage::kStreaming) return;
  if (options_.chunked && !options_.head_only) unsent_ += "0\r\n\r\n";
  stage_ = Stage::kFinished;
  wake.notify();
}

void Exchange::on_client_gone(std::function<void()> callback) {
  if (gone_) return callback();
  on_gone_ = std::move(callback);
}

void Exchange::abandon() {
  on_gone_ = nullptr;
  if (stage_ == Stage::kStreaming) {
    gone_ = true;  // a stream without its end: the client must see it as broken
    wake.notify();
  }
  send(error_response({.status = 500,
                       .message = "The server gave no answer.",
                       .type = "server_error",
                       .code = "internal_error"}));
}

void Exchange::client_gone() {
  if (std::exchange(gone_, true) || finished()) return;
  if (auto callback = std::exchange(on_gone_, nullptr)) callback();
  wake.notify();
}

namespace {

class Writer final : public ResponseWriter {
 public:
  Writer(std::shared_ptr<Exchange> exchange, std::shared_ptr<ConnectionContext> context)
      : exchange_(std::move(exchange)), context_(std::move(context)) {
    ++context_->holders;
  }
  ~Writer() override {
    post([exchange = exchange_] { exchange->abandon(); });
    exchange_.reset();
    --context_->holders;
    context_->released();
  }

  void send(Response response) override { exchange_->send(std::move(response)); }
  void start_stream(Response head, std::string keepalive) override {
    exchange_->start_stream(std::move(head), std::move(keepalive));
  }
  void write(std::string chunk) override { exchange_->write(chunk); }
  void finish() override { exchange_->finish(); }
  void on_client_gone(std::function<void()> callback) override {
    exchange_->on_client_gone(std::move(callback));
  }
  void post(std::function<void()> task) override {
    asio::post(exchange_->executor(), std::move(task));
  }

 private:
  std::shared_ptr<Exchange> exchange_;
  std::shared_ptr<ConnectionContext> context_;
};

}  // namespace

WriterPtr make_writer(std::shared_ptr<Exchange> exchange,
                      std::shared_ptr<ConnectionContext> context) {
  return std::make_shared<Writer>(std::move(exchange), std::move(context));
}

}  // namespace neuros::serve
