#pragma once

/// From a request to its endpoint: one table, and what holds for all of them (keys, CORS, HEAD,
/// 404 and 405, counting).

#include "serve/api.h"

namespace neuros::serve {

/// Answers `request` through `writer`.
void dispatch(Api& api, const Request& request, WriterPtr writer);

/// Whether the head alone decides that dispatch() will refuse (a missing or wrong key, an unknown
/// path or method, a stopping server), so that the body need not be read.
bool is_refused(const Api& api, const Request& head);

}  // namespace neuros::serve
