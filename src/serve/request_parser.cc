#include "serve/request_parser.h"

#include "base/check.h"

#include <utility>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace neuros::serve {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

RequestParser::Failure failure_of(const error_code& error, RequestLimits limits) {
  if (error == http::error::header_limit) {
    return {431,
            "The request's head is larger than " + std::to_string(limits.head_bytes) + " bytes."};
  }
  if (error == http::error::body_limit) {
    return {413,
            "The request's body is larger than " + std::to_string(limits.body_bytes) + " bytes."};
  }
  if (error == http::error::bad_version) return {505, "Only HTTP/1.0 and HTTP/1.1 are spoken."};
  return {400, "The request is not valid HTTP: " + error.message() + "."};
}

}  // namespace

struct RequestParser::State {
  explicit State(RequestLimits with) : limits(with) {
    parser.header_limit(limits.head_bytes);
    parser.body_limit(limits.body_bytes);
    parser.eager(true);
  }

  /// A target in origin form is split and decoded; absolute form loses its scheme and host.
  std::optional<Failure> read_target() {
    std::string_view target = view(parser.get().target());
    if (const size_t scheme = target.find("://"); scheme < target.find('/')) {
      target.remove_prefix(std::min(target.find('/', scheme + 3), target.size()));
    }
    target = target.substr(0, target.find('#'));
    const size_t question = std::min(target.find('?'), target.size());
    auto decoded = percent_decode(target.substr(0, question), '+');
    if (!decoded) return Failure{400, "The request's path has a broken %-escape."};
    path = decoded->empty() ? "/" : std::move(*decoded);
    query = target.substr(std::min(question + 1, target.size()));
    return std::nullopt;
  }

  RequestLimits limits;
  http::request_parser<http::string_body> parser;
  std::optional<Failure> failure;
  bool started = false, target_read = false;
  std::string path, query;
};

RequestParser::RequestParser(RequestLimits limits) : state_(std::make_unique<State>(limits)) {}
RequestParser::~RequestParser() = default;

size_t RequestParser::put(std::string_view bytes) {
  size_t skipped = 0;
  if (!state_->started) {  // RFC 9112, 2.2: empty lines before a request
    while (skipped < bytes.size() && (bytes[skipped] == '\r' || bytes[skipped] == '\n')) ++skipped;
    bytes.remove_prefix(skipped);
  }
  size_t taken = 0;
  while (!bytes.empty() && !state_->failure && !state_->parser.is_done()) {
    state_->started = true;
    error_code error;
    const size_t used =
        state_->parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    taken += used;
    bytes.remove_prefix(used);
    if (error && error != http::error::need_more) {
      state_->failure = failure_of(error, state_->limits);
    } else if (head_done() && !std::exchange(state_->target_read, true)) {
      state_->failure = state_->read_target();
    }
    if (error == http::error::need_more || used == 0) break;
  }
  return skipped + taken;
}

const std::optional<RequestParser::Failure>& RequestParser::failure() const {
  return state_->failure;
}
bool RequestParser::head_done() const {
  return state_->parser.is_header_done();
}
bool RequestParser::done() const {
  return state_->parser.is_done() && !state_->failure;
}
bool RequestParser::keep_alive() const {
  return state_->parser.keep_alive();
}
bool RequestParser::is_http_1_0() const {
  return state_->parser.get().version() == 10;
}

bool RequestParser::expects_continue() const {
  const auto& message = state_->parser.get();
  return message.version() == 11 &&
         equals_ignoring_case(view(message[http::field::expect]), "100-continue");
}

Request RequestParser::head() const {
  CHECK(head_done());
  Request request;
  request.method = view(state_->parser.get().method_string());
  request.path = state_->path;
  request.query = state_->query;
  for (const auto& field : state_->parser.get()) {
    request.headers.emplace_back(view(field.name_string()), view(field.value()));
  }
  return request;
}

Request RequestParser::take() {
  CHECK(done());
  Request request = head();
  request.body = std::move(state_->parser.get().body());
  return request;
}

}  // namespace neuros::serve
