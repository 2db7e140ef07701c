#pragma once

/// One client's connection: requests in, answers out, in order. Includes Asio: only server.cc and
/// connection.cc may include this.

#include "serve/api.h"
#include "serve/server.h"

#include <atomic>
#include <functional>
#include <memory>

#include <boost/asio/ip/tcp.hpp>

namespace neuros::serve {

/// What all connections of a server share. Outlives them and every writer they gave out.
struct ConnectionContext {
  Api& api;
  const ServerOptions& options;
  std::atomic<int> holders{0};       ///< connections and writers alive
  std::function<void()> released{};  ///< called when one of them ends, on any thread
};

class Connection;

/// Starts to serve `socket` on its executor, a strand.
std::shared_ptr<Connection> start_connection(boost::asio::ip::tcp::socket socket,
                                             std::shared_ptr<ConnectionContext> context);
/// Any thread. Closes when no request is being answered or has begun to arrive.
void close_when_idle(const std::shared_ptr<Connection>& connection);
/// Any thread. Cancels and closes now.
void close_now(const std::shared_ptr<Connection>& connection);

}  // namespace neuros::serve
