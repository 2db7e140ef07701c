/// GET /health: the process answers. GET /ready: it also takes work.

#include "serve/api.h"
#include "serve/api_error.h"

namespace neuros::serve {

void health(Api&, const Request&, WriterPtr writer) {
  writer->send({.body = R"({"status":"ok"})"});
}

void ready(Api& api, const Request&, WriterPtr writer) {
  if (api.stopping) return writer->send(error_response(server_stopping()));
  writer->send({.body = R"({"status":"ready"})"});
}

}  // namespace neuros::serve
