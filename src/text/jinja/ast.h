#pragma once

/// The syntax tree of a template. It is immutable once parsed and may be rendered by several
/// threads.

#include "text/jinja/operators.h"
#include "text/jinja/token.h"
#include "text/jinja/value.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace neuros::text::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;
struct Statement;
using Body = std::vector<Statement>;

// Expressions ------------------------------------------------------------------------------------

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListDisplay {
  SequenceKind kind = SequenceKind::kList;  ///< or kTuple
  std::vector<ExpressionPtr> items;
};
struct DictDisplay {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};

enum class UnaryOperator { kNot, kNegate, kPlus };
struct Unary {
  UnaryOperator op = UnaryOperator::kNot;
  ExpressionPtr operand;
};
struct Binary {
  BinaryOperator op = BinaryOperator::kAdd;
  ExpressionPtr left;
  ExpressionPtr right;
};
/// a ~ b ~ c
struct Concatenation {
  std::vector<ExpressionPtr> parts;
};
/// `and` (stops at the first false operand) or `or` (at the first true one).
struct Logic {
  bool stops_at = false;
  ExpressionPtr left;
  ExpressionPtr right;
};
/// a < b <= c
struct Comparison {
  ExpressionPtr first;
  std::vector<std::pair<CompareOperator, ExpressionPtr>> rest;
};
/// value if condition else otherwise; without an else it is undefined.
struct Conditional {
  ExpressionPtr condition;
  ExpressionPtr value;
  ExpressionPtr otherwise;
};

struct Attribute {
  ExpressionPtr object;
  std::string name;
};
struct Subscript {
  ExpressionPtr object;
  ExpressionPtr key;
};
struct Slice {
  ExpressionPtr object;
  ExpressionPtr start;  ///< null: left out; so the others
  ExpressionPtr stop;
  ExpressionPtr step;
};

struct ArgumentList {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<Text, ExpressionPtr>> named;
  ExpressionPtr more_positional;  ///< *argument
  ExpressionPtr more_named;       ///< **argument
};
struct Call {
  ExpressionPtr callee;
  ArgumentList arguments;
};
struct FilterStep {
  std::string name;
  ArgumentList arguments;
  Position position;
};
/// input | step | step
struct Filter {
  ExpressionPtr input;
  std::vector<FilterStep> steps;
};
struct Test {
  ExpressionPtr input;
  std::string name;
  ArgumentList arguments;
};

struct Expression {
  Position position;
  int depth = 1;  ///< levels of the tree below and including this one
  std::variant<Literal, Name, ListDisplay, DictDisplay, Unary, Binary, Concatenation, Logic,
               Comparison, Conditional, Attribute, Subscript, Slice, Call, Filter, Test>
      node;
};

// Statements -------------------------------------------------------------------------------------

/// What is assigned to: a name, an attribute of a namespace, or several targets.
struct Target {
  std::string name;
  std::string attribute;      ///< empty: the name itself
  std::vector<Target> parts;  ///< not empty: unpack into these
  Position position;
};

struct TemplateText {
  std::string text;
};
struct Print {
  ExpressionPtr value;
};
struct If {
  struct Branch {
    ExpressionPtr condition;
    Body body;
  };
  std::vector<Branch> branches;
  Body otherwise;
};
struct For {
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr condition;  ///< null: every element
  Body body;
  Body otherwise;
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {
  Target target;
  std::vector<FilterStep> steps;
  Body body;
};
struct With {
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
  Body body;
};

struct MacroParameter {
  std::string name;
  ExpressionPtr fallback;  ///< null: none
};
struct MacroDefinition {
  std::string name;
  std::vector<MacroParameter> parameters;
  Body body;
  bool uses_varargs = false;  ///< the body mentions these names
  bool uses_kwargs = false;
  bool uses_caller = false;
};
struct Macro {
  std::unique_ptr<MacroDefinition> definition;
};
/// {% call(arguments) macro(...) %}body{% endcall %}
struct CallBlock {
  std::unique_ptr<MacroDefinition> caller;
  ExpressionPtr call;  ///< its node is a Call
};
struct FilterBlock {
  std::vector<FilterStep> steps;
  Body body;
};
/// {% generation %}: a scope of its own, otherwise transparent.
struct ScopedBlock {
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  Position position;
  std::variant<TemplateText, Print, If, For, Set, SetBlock, With, Macro, CallBlock, FilterBlock,
               ScopedBlock, Break, Continue>
      node;
};

}  // namespace neuros::text::jinja
