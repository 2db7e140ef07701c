/// The server over real sockets: framing, limits, timeouts, clients that go away, stopping.

#include "serve/server.h"

#include "base/fd.h"
#include "serve/testing/fake_model.h"

#include <thread>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

namespace neuros::serve {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A client that says exactly what it is told.
class Client {
 public:
  /// `receive_bytes`: what the kernel keeps for a client that does not read; 0: its default.
  explicit Client(uint16_t port, int receive_bytes = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_bytes > 0) {
      ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  bool connected() const { return connected_; }
  void send(const std::string& bytes) {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::send(fd_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (n <= 0) return;
      done += static_cast<size_t>(n);
    }
  }
  void shut_writing() { ::shutdown(fd_.get(), SHUT_WR); }
  void reset() {
    const linger hard{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    fd_ = base::Fd();
  }
  /// Reads until `text` was seen or the server closed (then closed() holds) or time is up.
  std::string read_until(const std::string& text, milliseconds wait = milliseconds(5000)) {
    const auto deadline = std::chrono::steady_clock::now() + wait;
    while (seen_.find(text) == std::string::npos || text.empty()) {
      const auto left =
          std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
      pollfd ready{fd_.get(), POLLIN, 0};
      if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) break;
      char chunk[4096];
      const ssize_t n = ::recv(fd_.get(), chunk, sizeof chunk, 0);
      closed_ = n <= 0;
      if (closed_) break;
      seen_.append(chunk, static_cast<size_t>(n));
    }
    return std::exchange(seen_, "");
  }
  std::string read_to_end() { return read_until(""); }
  bool closed() const { return closed_; }

 private:
  base::Fd fd_;
  bool connected_ = false, closed_ = false;
  std::string seen_;
};

std::string post(const std::string& path, const std::string& body,
                 const std::string& headers = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

const std::string kHealth = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
const std::string kStream =
    post("/v1/completions", R"({"prompt":"hi","stream":true,"max_tokens":500})");

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

template <typename Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return false;
}

class ServerTest : public ::testing::Test {
 protected:
  void start(ServerOptions options = {}, FakeModel::Options model = {}) {
    if (!model.answer) {
      model.answer = [](const std::string&) { return std::string(400, 'a'); };
    }
    options.port = 0;
    backend_ = std::make_unique<FakeBackend>(std::move(model));
    auto server = Server::create(*backend_, std::move(options));
    ASSERT_TRUE(server.has_value()) << server.error().message;
    server_ = std::move(*server);
    thread_ = std::thread([this] { server_->run(); });
  }
  void start_slow(ServerOptions options = {}) {
    start(std::move(options), {.delay = milliseconds(10)});
  }
  void TearDown() override {
    if (!thread_.joinable()) return;
    server_->abort();
    thread_.join();
  }
  Client client() const { return Client(server_->port()); }
  FakeModel& model() { return *backend_->fake; }

  std::unique_ptr<FakeBackend> backend_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

TEST_F(ServerTest, KeepsConnectionsAliveAndPipelines) {
  start();
  Client client = this->client();
  client.send(kHealth);
  EXPECT_THAT(client.read_until("}}"), StartsWith("HTTP/1.1 200 OK\r\n"));
  client.send(kHealth + post("/tokenize", R"({"content":"ab"})") + "\r\n" + kHealth);
  const std::string three = client.read_until("never", milliseconds(300));
  EXPECT_EQ(count_of(three, "HTTP/1.1 200 OK"), 3u);
  EXPECT_THAT(three, HasSubstr("[97,98]"));
  EXPECT_FALSE(client.closed());
  client.send("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_to_end(), HasSubstr("Connection: close"));
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, HeadHasNoBody) {
  start();
  Client client = this->client();
  client.send("HEAD /health HTTP/1.1\r\n\r\n" + kHealth);
  const std::string both = client.read_until("}}");
  const size_t at = both.find("Content-Length: ");
  ASSERT_NE(at, both.npos);
  EXPECT_EQ(count_of(both, both.substr(at, both.find("\r\n", at) + 2 - at)), 2u) << "the same";
  EXPECT_EQ(count_of(both, "{\"status\""), 1u);
}

TEST_F(ServerTest, StreamsInChunksAndPlainlyToHttp10) {
  start({}, {.answer = [](const std::string&) { return "abc"; }});
  Client client = this->client();
  client.send(kStream);
  const std::string chunked = client.read_until("\r\n0\r\n\r\n");
  EXPECT_THAT(chunked, HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_THAT(chunked, HasSubstr("data: [DONE]\n\n\r\n0\r\n\r\n"));
  Client old = this->client();
  const std::string body = R"({"prompt":"hi","stream":true})";
  old.send("POST /v1/completions HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body);
  const std::string plain = old.read_to_end();
  EXPECT_TRUE(old.closed());
  EXPECT_THAT(plain, testing::EndsWith("data: [DONE]\n\n"));
  EXPECT_EQ(plain.find("chunked"), plain.npos);
}

TEST_F(ServerTest, PipelinedRequestsWaitForAStream) {
  start({}, {.answer = [](const std::string&) { return "abc"; }, .delay = milliseconds(20)});
  Client client = this->client();
  client.send(kStream + kHealth);
  const std::string both = client.read_until("}}");
  EXPECT_GT(both.find("\"ok\""), both.find("[DONE]"));
  EXPECT_EQ(model().cancelled(), 0);
}

TEST_F(ServerTest, AnswersExpectContinue) {
  start();
  Client client = this->client();
  client.send("POST /tokenize HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(R"({"content":"a"})");
  EXPECT_THAT(client.read_until("]}"), HasSubstr("[97]"));
}

TEST_F(ServerTest, RefusesBeforeTheBodyArrives) {
  start({.api_keys = {"key"}});
  Client client = this->client();
  client.send("POST /tokenize HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n");
  const std::string reply = client.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 401 Unauthorized"));
  EXPECT_THAT(reply, HasSubstr("Connection: close"));
}

TEST_F(ServerTest, LimitsHeadsBodiesAndGarbage) {
  start({.limits = {.head_bytes = 1000, .body_bytes = 100}});
  Client large_head = client();
  large_head.send("GET / HTTP/1.1\r\nA: " + std::string(5000, 'x') + "\r\n\r\n");
  EXPECT_THAT(large_head.read_to_end(), StartsWith("HTTP/1.1 431 "));
  Client large_body = client();
  large_body.send(post("/tokenize", std::string(200'000, ' ')));
  const std::string reply = large_body.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 413 Content Too Large"));
  EXPECT_THAT(reply, HasSubstr("invalid_request_error"));
  Client garbage = client();
  garbage.send("\x16\x03\x01 hello\r\n\r\n");
  EXPECT_THAT(garbage.read_to_end(), StartsWith("HTTP/1.1 400 Bad Request"));
  Client fine = client();
  fine.send(kHealth);
  EXPECT_THAT(fine.read_until("ok"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, DropsSlowClients) {
  start({.idle_timeout = milliseconds(150),
         .head_timeout = milliseconds(100),
         .body_timeout = milliseconds(100)});
  Client idle = client(), slow_head = client(), slow_body = client();
  slow_head.send("GET /health HTTP/1.1\r\nHo");
  slow_body.send("POST /tokenize HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_TRUE(idle.closed());
  EXPECT_THAT(slow_head.read_to_end(), StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(slow_head.closed());
  EXPECT_THAT(slow_body.read_to_end(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(ServerTest, LimitsConnections) {
  start({.connections_max = 2});
  Client a = client(), b = client();
  a.send(kHealth);
  b.send(kHealth);
  a.read_until("ok");
  b.read_until("ok");
  Client c = client();
  EXPECT_THAT(c.read_to_end(), StartsWith("HTTP/1.1 503 "));
  a.reset();
  EXPECT_TRUE(soon([&] {
    Client d = client();
    d.send(kHealth);
    return d.read_until("ok").starts_with("HTTP/1.1 200");
  }));
}

TEST_F(ServerTest, CancelsWhenAStreamsClientGoes) {
  start_slow();
  Client closes = client(), resets = client(), half = client();
  for (Client* client : {&closes, &resets, &half}) {
    client->send(kStream);
    EXPECT_THAT(client->read_until("data: "), HasSubstr("200 OK"));
  }
  EXPECT_EQ(model().running(), 3);
  { const Client gone = std::move(closes); }
  resets.reset();
  half.shut_writing();
  EXPECT_TRUE(soon([&] { return model().running() == 0; }));
  EXPECT_EQ(model().cancelled(), 3);
}

TEST_F(ServerTest, CancelsWhenAWaitingClientGoes) {
  start_slow();
  {
    Client client = this->client();
    client.send(post("/v1/completions", R"({"prompt":"hi"})"));
    EXPECT_TRUE(soon([&] { return model().running() == 1; }));
  }
  EXPECT_TRUE(soon([&] { return model().cancelled() == 1; }));
}

TEST_F(ServerTest, DropsAClientThatDoesNotRead) {
  ServerOptions options;
  options.write_timeout = milliseconds(200);
  constexpr int32_t kTokens = 100'000;  // their alternatives: more than the kernel holds
  start(options, {.context = kTokens + 10,
                  .answer = [](const std::string&) { return std::string(kTokens, 'a'); },
                  .tokens_per_piece = 3'000});
  Client client(server_->port(), 4096);
  client.send(post("/v1/completions", R"({"prompt":"hi","stream":true,"logprobs":5})"));
  EXPECT_TRUE(soon([&] {
    Client other = this->client();
    other.send("GET /metrics HTTP/1.1\r\n\r\n");
    return other.read_until("process_start_time_seconds ").find("neuros_http_connections 1\n") !=
           std::string::npos;
  }));
  const std::string part = client.read_until("[DONE]");
  EXPECT_EQ(part.find("[DONE]"), part.npos);
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, CommentsKeepASilentStreamAlive) {
  start({.keepalive_interval = milliseconds(30)}, {.delay = milliseconds(200)});
  Client client = this->client();
  client.send(kStream);
  const std::string begin = client.read_until("data: ");
  EXPECT_GE(count_of(begin, ": waiting\n\n"), 2u);
}

TEST_F(ServerTest, StopFinishesStreamsAndTakesNothingNew) {
  start({}, {.answer = [](const std::string&) { return std::string(30, 'a'); },
             .delay = milliseconds(10)});
  Client idle = client(), streaming = client();
  idle.send(kHealth);
  idle.read_until("ok");
  streaming.send(kStream);
  streaming.read_until("data: ");
  server_->stop();
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_TRUE(idle.closed());
  EXPECT_THAT(streaming.read_to_end(), HasSubstr("data: [DONE]"));
  EXPECT_TRUE(streaming.closed());
  thread_.join();
  EXPECT_FALSE(client().connected());
  EXPECT_EQ(model().cancelled(), 0);
}

TEST_F(ServerTest, AbortBreaksStreamsOff) {
  start_slow();
  Client streaming = client();
  streaming.send(kStream);
  streaming.read_until("data: ");
  server_->abort();
  thread_.join();
  EXPECT_EQ(model().cancelled(), 1);
  streaming.read_to_end();
  EXPECT_TRUE(streaming.closed());
}

TEST_F(ServerTest, ManyClientsOnTwoThreads) {
  start({.threads = 2}, {.answer = [](const std::string& p) { return p; }});
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      Client client = this->client();
      for (int i = 0; i < 20; ++i) {
        const std::string text = "p" + std::to_string(t) + "-" + std::to_string(i);
        client.send(post("/v1/completions", R"({"prompt":")" + text + R"("})"));
        right += client.read_until("usage").find("\"" + text + "\"") != std::string::npos;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 160);
}

TEST(ServerErrors, NameTheAddress) {
  const FakeBackend backend;
  auto first = Server::create(backend, {.port = 0});
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ((*first)->url(), "http://127.0.0.1:" + std::to_string((*first)->port()));
  EXPECT_THAT(Server::create(backend, {.host = "nowhere"}).error().message,
              HasSubstr("'nowhere' is not an IP address"));
  const auto taken = Server::create(backend, {.port = (*first)->port()});
  ASSERT_FALSE(taken.has_value());
  EXPECT_THAT(taken.error().message, HasSubstr(std::to_string((*first)->port())));
}

}  // namespace
}  // namespace neuros::serve
