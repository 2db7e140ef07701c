#pragma once

/// A name that stands for one of several models: "if prompt_len < 64 -> small; else -> big".

#include "base/result.h"
#include "builder/spec/expression.h"

#include <string>
#include <string_view>
#include <vector>

namespace neuros::builder {

struct RouteSpec {
  struct Branch {
    Expression condition;  ///< its source is empty, its columns are those of the route
    std::string model;

    friend bool operator==(const Branch&, const Branch&) = default;
  };
  std::string id;
  std::string source;
  std::vector<Branch> branches;  ///< the first true one decides
  std::string otherwise;         ///< the model if none is

  friend bool operator==(const RouteSpec&, const RouteSpec&) = default;
};

/// `models`: the ids that may be picked. Errors begin with "column N: ".
base::Result<RouteSpec> parse_route(std::string_view id, std::string_view text,
                                    const std::vector<std::string>& models);

/// The id of the model for one request.
base::Result<std::string> choose(const RouteSpec& route, const ValueSource& values);

}  // namespace neuros::builder
