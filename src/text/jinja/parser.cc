#include "text/jinja/parser.h"

#include "text/jinja/expression_parser.h"
#include "text/jinja/lexer.h"
#include "text/jinja/limits.h"
#include "text/jinja/token_stream.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

namespace neuros::text::jinja {

using base::fail;
using base::Result;

namespace {

using EndTags = std::initializer_list<std::string_view>;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)), expressions_(tokens_) {}

  Result<Body> run() {
    Body body = TRY(statements({}));
    if (!tokens_.is(TokenKind::kEnd)) return unknown_tag();
    return body;
  }

 private:
  using Parse = Result<Statement> (Parser::*)();

  static Statement make(Position position, auto node) {
    return Statement{.position = position, .node = std::move(node)};
  }

  bool at_tag(EndTags tags) const {
    const Token& name = tokens_.following();
    return tokens_.is(TokenKind::kStatementBegin) && name.kind == TokenKind::kName &&
           std::find(tags.begin(), tags.end(), name.text) != tags.end();
  }

  /// Statements up to one of the end tags, whose "{%" and name are taken and returned in `end`.
  Result<Body> block(EndTags ends, std::string& end) {
    TRY(tokens_.expect(TokenKind::kStatementEnd, "'%}'"));
    if (++nesting_ > kNestingMax) {
      return tokens_.error("more than " + std::to_string(kNestingMax) +
                           " blocks inside one another");
    }
    const Position start = tokens_.current().position;
    Body body = TRY(statements(ends));
    --nesting_;
    if (!at_tag(ends)) {
      if (!tokens_.is(TokenKind::kEnd)) return unknown_tag();
      return fail(located(start, "block without '" + std::string(*(ends.end() - 1)) + "'"));
    }
    tokens_.take();
    end = tokens_.take().text;
    return body;
  }

  /// A block with one possible end.
  Result<Body> block(std::string_view end) {
    std::string taken;
    return block({end}, taken);
  }

  Result<Body> statements(EndTags ends) {
    Body body;
    while (!tokens_.is(TokenKind::kEnd) && !at_tag(ends)) {
      const Position position = tokens_.current().position;
      if (tokens_.is(TokenKind::kText)) {
        body.push_back(make(position, TemplateText{std::move(tokens_.take().text)}));
      } else if (tokens_.is(TokenKind::kPrintBegin)) {
        tokens_.take();
        body.push_back(make(position, Print{TRY(expressions_.tuple())}));
        TRY(tokens_.expect(TokenKind::kPrintEnd, "'}}'"));
      } else {
        if (!find_parse()) break;
        tokens_.take();
        const Parse parse = find_parse(tokens_.take().text);
        body.push_back(TRY((this->*parse)()));
        TRY(tokens_.expect(TokenKind::kStatementEnd, "'%}'"));
      }
    }
    return body;
  }

  Parse find_parse() const { return find_parse(tokens_.following().text); }

  static Parse find_parse(std::string_view tag) {
    struct Row {
      std::string_view tag;
      Parse parse;
    };
    static constexpr Row kRows[] = {
        {"for", &Parser::parse_for},       {"if", &Parser::parse_if},
        {"set", &Parser::parse_set},       {"with", &Parser::parse_with},
        {"macro", &Parser::parse_macro},   {"call", &Parser::parse_call},
        {"filter", &Parser::parse_filter}, {"generation", &Parser::parse_generation},
        {"break", &Parser::parse_break},   {"continue", &Parser::parse_continue},
    };
    const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                   [tag](const Row& candidate) { return candidate.tag == tag; });
    return row == std::end(kRows) ? nullptr : row->parse;
  }

  /// At "{%" and something that starts no statement here.
  tl::unexpected<base::Error> unknown_tag() const {
    const Token& name = tokens_.following();
    if (name.kind != TokenKind::kName)
      return fail(located(name.position, "expected the name of a tag"));
    return fail(located(name.position, "unexpected or unknown tag '" + name.text + "'"));
  }

  /// The position of the tag's name, which was just taken.
  Position here() const { return tokens_.current().position; }

  enum class TargetNames { kPlain, kWithAttributes };

  Result<Target> single_target(TargetNames names) {
    Target target;
    target.position = here();
    if (tokens_.take_operator("(")) {
      if (++nesting_ > kNestingMax) return tokens_.error("targets nested too deep");
      target = TRY(parse_target(names));
      --nesting_;
      TRY(tokens_.expect_operator(")"));
      return target;
    }
    target.name = TRY(tokens_.expect_any_name());
    if (target.name == "true" || target.name == "false" || target.name == "none") {
      return fail(located(target.position, "cannot assign to '" + target.name + "'"));
    }
    if (names == TargetNames::kWithAttributes && tokens_.take_operator(".")) {
      target.attribute = TRY(tokens_.expect_any_name());
    }
    return target;
  }

  Result<Target> parse_target(TargetNames names) {
    Target first = TRY(single_target(names));
    if (!tokens_.is_operator(",")) return first;
    Target several;
    several.position = first.position;
    several.parts.push_back(std::move(first));
    while (tokens_.take_operator(",")) {
      const bool more = tokens_.is(TokenKind::kName) || tokens_.is_operator("(");
      if (!more || tokens_.is_name("in")) break;
      several.parts.push_back(TRY(single_target(names)));
    }
    return several;
  }

  Result<Statement> parse_for() {
    const Position position = here();
    For node;
    node.target = TRY(parse_target(TargetNames::kPlain));
    TRY(tokens_.expect_name("in"));
    node.iterable = TRY(expressions_.tuple_without_conditional());
    if (tokens_.take_name("if")) node.condition = TRY(expressions_.expression());
    if (tokens_.is_name("recursive")) return tokens_.error("recursive loops are not supported");
    std::string end;
    ++loops_;
    node.body = TRY(block({"else", "endfor"}, end));
    --loops_;
    if (end == "else") node.otherwise = TRY(block("endfor"));
    return make(position, std::move(node));
  }

  Result<Statement> parse_if() {
    const Position position = here();
    If node;
    std::string end = "elif";
    while (end == "elif") {
      If::Branch branch;
      branch.condition = TRY(expressions_.tuple_without_conditional());
      branch.body = TRY(block({"elif", "else", "endif"}, end));
      node.branches.push_back(std::move(branch));
    }
    if (end == "else") node.otherwise = TRY(block("endif"));
    return make(position, std::move(node));
  }

  Result<Statement> parse_set() {
    const Position position = here();
    Target target = TRY(parse_target(TargetNames::kWithAttributes));
    if (tokens_.take_operator("=")) {
      ExpressionPtr value = TRY(expressions_.tuple());
      return make(position, Set{.target = std::move(target), .value = std::move(value)});
    }
    SetBlock node;
    node.target = std::move(target);
    node.steps = TRY(expressions_.filter_steps(false));
    node.body = TRY(block("endset"));
    return make(position, std::move(node));
  }

  Result<Statement> parse_with() {
    const Position position = here();
    With node;
    while (!tokens_.is(TokenKind::kStatementEnd)) {
      if (!node.assignments.empty()) TRY(tokens_.expect_operator(","));
      Target target = TRY(single_target(TargetNames::kPlain));
      TRY(tokens_.expect_operator("="));
      ExpressionPtr value = TRY(expressions_.expression());
      node.assignments.emplace_back(std::move(target), std::move(value));
    }
    node.body = TRY(block("endwith"));
    return make(position, std::move(node));
  }

  /// "(a, b=1)"
  Result<std::vector<MacroParameter>> parameters() {
    std::vector<MacroParameter> list;
    TRY(tokens_.expect_operator("("));
    while (!tokens_.is_operator(")")) {
      MacroParameter parameter;
      parameter.name = TRY(tokens_.expect_any_name());
      if (tokens_.take_operator("=")) {
        parameter.fallback = TRY(expressions_.expression());
      } else if (!list.empty() && list.back().fallback) {
        return tokens_.error("a parameter without default after one with");
      }
      list.push_back(std::move(parameter));
      if (!tokens_.take_operator(",")) break;
    }
    TRY(tokens_.expect_operator(")"));
    return list;
  }

  /// The body of a macro or call block, where loops around it are out of reach.
  Result<> macro_body(MacroDefinition& macro, std::string_view end) {
    const MentionedNames outer = std::exchange(expressions_.mentioned(), {});
    const int loops = std::exchange(loops_, 0);
    macro.body = TRY(block(end));
    const MentionedNames inner = expressions_.mentioned();
    macro.uses_varargs = inner.varargs;
    macro.uses_kwargs = inner.kwargs;
    macro.uses_caller = inner.caller;
    expressions_.mentioned() = outer;
    loops_ = loops;
    return {};
  }

  Result<Statement> parse_macro() {
    const Position position = here();
    auto macro = std::make_unique<MacroDefinition>();
    macro->name = TRY(tokens_.expect_any_name());
    macro->parameters = TRY(parameters());
    TRY(macro_body(*macro, "endmacro"));
    return make(position, Macro{std::move(macro)});
  }

  Result<Statement> parse_call() {
    const Position position = here();
    CallBlock node{.caller = std::make_unique<MacroDefinition>(), .call = {}};
    node.caller->name = "caller";
    if (tokens_.is_operator("(")) node.caller->parameters = TRY(parameters());
    node.call = TRY(expressions_.expression());
    if (!std::holds_alternative<Call>(node.call->node))
      return fail(located(position, "expected a call"));
    TRY(macro_body(*node.caller, "endcall"));
    return make(position, std::move(node));
  }

  Result<Statement> parse_filter() {
    const Position position = here();
    FilterBlock node;
    node.steps = TRY(expressions_.filter_steps(true));
    node.body = TRY(block("endfilter"));
    return make(position, std::move(node));
  }

  Result<Statement> parse_generation() {
    const Position position = here();
    return make(position, ScopedBlock{TRY(block("endgeneration"))});
  }

  Result<Statement> parse_break() {
    if (loops_ == 0) return tokens_.error("break outside of a loop");
    return make(here(), Break{});
  }

  Result<Statement> parse_continue() {
    if (loops_ == 0) return tokens_.error("continue outside of a loop");
    return make(here(), Continue{});
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int nesting_ = 0;
  int loops_ = 0;
};

}  // namespace

Result<Body> parse(std::string_view source) {
  auto tokens = tokenize(source);
  auto body = tokens ? Parser(*std::move(tokens)).run() : tl::unexpected(std::move(tokens).error());
  if (body) return body;
  return tl::unexpected(base::with_context(std::move(body).error(), "template"));
}

}  // namespace neuros::text::jinja
