#include "builder/spec/route.h"

#include "builder/spec/expression_parser.h"
#include "builder/spec/limits.h"
#include "builder/spec/nearest_name.h"
#include "formats/printable.h"

#include <algorithm>

namespace neuros::builder {
namespace {

using Kind = ExpressionToken::Kind;

class RouteParser {
 public:
  RouteParser(std::span<const ExpressionToken> tokens, const std::vector<std::string>& models)
      : tokens_(tokens), models_(models) {}

  /// "if C -> M; else if C -> M; else -> M", or the last part alone.
  base::Result<RouteSpec> parse() {
    RouteSpec route;
    if (!token().is("if")) TRY(expect("else"));
    while (token().is("if")) {
      if (route.branches.size() == limits::kBranchesMax) {
        return fail_at(token().column, "more than " + std::to_string(limits::kBranchesMax) +
                                           " conditions in one route");
      }
      ++place_;
      Expression condition =
          TRY(ExpressionParser(tokens_, place_, ExpressionScope::kRoute).parse());
      std::string model = TRY(target());
      route.branches.push_back({std::move(condition), std::move(model)});
      TRY(expect(";"));
      TRY(expect("else"));
    }
    route.otherwise = TRY(target());
    if (token().is(";")) ++place_;
    if (token().kind != Kind::kEnd) return unexpected("the end");
    return route;
  }

 private:
  const ExpressionToken& token() const { return tokens_[place_]; }

  tl::unexpected<base::Error> unexpected(const std::string& expected) const {
    const std::string found =
        token().kind == Kind::kEnd ? "the end" : formats::printable(token().text, 40);
    return fail_at(token().column, "expected " + expected + ", found " + found);
  }

  base::Result<> expect(const std::string& word) {
    if (!token().is(word)) return unexpected(word == "else" && place_ == 0 ? "if or else" : word);
    ++place_;
    return {};
  }

  base::Result<std::string> target() {
    TRY(expect("->"));
    if (token().kind != Kind::kTarget) return unexpected("a model");
    const ExpressionToken& model = tokens_[place_++];
    if (std::find(models_.begin(), models_.end(), model.text) == models_.end()) {
      return fail_at(model.column, formats::printable(model.text, 40) + ": no such model" +
                                       suggestion(model.text, models_));
    }
    return model.text;
  }

  std::span<const ExpressionToken> tokens_;
  const std::vector<std::string>& models_;
  size_t place_ = 0;
};

}  // namespace

base::Result<RouteSpec> parse_route(std::string_view id, std::string_view text,
                                    const std::vector<std::string>& models) {
  const std::vector<ExpressionToken> tokens = TRY(tokens_of(text));
  RouteSpec route = TRY(RouteParser(tokens, models).parse());
  route.id = std::string(id);
  route.source = std::string(text);
  return route;
}

base::Result<std::string> choose(const RouteSpec& route, const ValueSource& values) {
  for (const RouteSpec::Branch& branch : route.branches) {
    if (TRY(evaluate(branch.condition, values))) return branch.model;
  }
  return route.otherwise;
}

}  // namespace neuros::builder
