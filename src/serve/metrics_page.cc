/// GET /metrics for Prometheus.

#include "serve/api.h"

namespace neuros::serve {

void metrics_page(Api& api, const Request&, WriterPtr writer) {
  writer->send({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                .headers = {},
                .body = api.metrics.text(api.backend)});
}

}  // namespace neuros::serve
