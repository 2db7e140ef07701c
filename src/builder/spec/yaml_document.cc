#include "builder/spec/yaml_document.h"

#include "builder/spec/limits.h"
#include "formats/printable.h"
#include "text/unicode.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace neuros::builder {
namespace {

using Kind = YamlNode::Kind;

/// Thrown through yaml-cpp by the handler below and caught in parse_yaml: the library has no other
/// way to stop early.
struct Refusal {
  YamlMark mark;
  std::string problem;
};

YamlMark mark_of(const YAML::Mark& mark) {
  return {std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

size_t digits_at(std::string_view text, size_t at) {
  size_t count = 0;
  while (at + count < text.size() && is_digit(text[at + count])) ++count;
  return count;
}

/// Decimal numbers of YAML's core schema; a text for everything else.
Kind kind_of_plain(std::string_view text) {
  for (const char* word : {"true", "True", "TRUE", "false", "False", "FALSE"}) {
    if (text == word) return Kind::kBoolean;
  }
  size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  size_t digits = digits_at(text, at);
  at += digits;
  if (at == text.size()) return digits > 0 ? Kind::kInteger : Kind::kText;
  if (text[at] == '.') {
    const size_t fraction = digits_at(text, ++at);
    digits += fraction;
    at += fraction;
  }
  if (digits == 0) return Kind::kText;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    const size_t exponent = digits_at(text, at);
    if (exponent == 0) return Kind::kText;
    at += exponent;
  }
  return at == text.size() ? Kind::kFloat : Kind::kText;
}

/// yaml-cpp 0.7 (later ones do not) writes the escapes \N (U+0085) and \_ (U+00A0) as one byte
/// each, without the one before it in UTF-8. Nothing else that it reads from valid UTF-8 stops
/// being that.
std::string with_whole_characters(const std::string& scalar) {
  std::string whole;
  std::string_view rest = scalar;
  for (size_t valid = text::valid_utf8_prefix(rest); valid < rest.size();
       valid = text::valid_utf8_prefix(rest)) {
    whole += rest.substr(0, valid);
    whole += {'\xc2', rest[valid]};
    rest.remove_prefix(valid + 1);
  }
  return whole.append(rest);
}

class TreeBuilder : public YAML::EventHandler {
 public:
  std::shared_ptr<const YamlNode> take_root() { return std::move(root_); }
  /// Where the last text or number of the file begins.
  YamlMark last_scalar() const { return last_scalar_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (std::exchange(started_, true)) throw Refusal{mark_of(mark), "a second document"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    finish(begin(Kind::kNull, mark, anchor));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    last_scalar_ = mark_of(mark);
    const bool plain = tag == "?";
    if (!plain) refuse_tag(mark, tag);
    if (is_key_next()) return take_key(mark_of(mark), with_whole_characters(value));
    Open scalar = begin(plain ? kind_of_plain(value) : Kind::kText, mark, anchor);
    scalar.node->text = with_whole_characters(value);
    finish(std::move(scalar));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    refuse_tag(mark, tag);
    open_.push_back(begin(Kind::kList, mark, anchor));
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    refuse_tag(mark, tag);
    open_.push_back(begin(Kind::kMapping, mark, anchor));
  }
  void OnMapEnd() override { close(); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchored_.find(anchor);
    if (found == anchored_.end()) throw Refusal{mark_of(mark), "an alias inside its own anchor"};
    if (is_key_next()) throw Refusal{mark_of(mark), "an alias as a key"};
    count(mark, found->second->values, found->second->depth);
    attach(found->second);
  }

 private:
  struct Open {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor = YAML::NullAnchor;
    bool has_key = false;  ///< a mapping whose last entry waits for its value
    std::map<std::string, YamlMark> keys;
  };

  static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    throw Refusal{mark_of(mark), "tag " + formats::printable(tag, 60) + ", which is not supported"};
  }

  void count(const YAML::Mark& mark, int64_t values, int depth) {
    values_ += values;
    if (values_ > limits::kValuesMax) {
      throw Refusal{mark_of(mark), "more than " + std::to_string(limits::kValuesMax) + " values"};
    }
    if (static_cast<int>(open_.size()) + depth > limits::kDepthMax) {
      throw Refusal{mark_of(mark),
                    "nested deeper than " + std::to_string(limits::kDepthMax) + " levels"};
    }
  }

  bool is_key_next() const {
    return !open_.empty() && open_.back().node->kind == Kind::kMapping && !open_.back().has_key;
  }

  void take_key(YamlMark mark, const std::string& key) {
    Open& map = open_.back();
    const auto [first, is_new] = map.keys.emplace(key, mark);
    if (!is_new) {
      throw Refusal{mark, formats::printable(key, 60) + ": key twice, first on line " +
                              std::to_string(first->second.line)};
    }
    map.node->entries.push_back({key, mark, nullptr});
    map.has_key = true;
  }

  Open begin(Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (is_key_next()) throw Refusal{mark_of(mark), "a key that is not a text"};
    count(mark, 1, 1);
    Open open;
    open.node = std::make_shared<YamlNode>();
    open.node->kind = kind;
    open.node->mark = mark_of(mark);
    open.anchor = anchor;
    return open;
  }

  void close() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    finish(std::move(closed));
  }

  void finish(Open closed) {
    if (closed.anchor != YAML::NullAnchor) anchored_[closed.anchor] = closed.node;
    attach(std::move(closed.node));
  }

  void attach(std::shared_ptr<const YamlNode> node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    parent.node->values += node->values;
    parent.node->depth = std::max(parent.node->depth, node->depth + 1);
    if (parent.node->kind == Kind::kList) {
      parent.node->items.push_back(std::move(node));
      return;
    }
    parent.node->entries.back().value = std::move(node);
    parent.has_key = false;
  }

  bool started_ = false;
  int64_t values_ = 0;
  std::vector<Open> open_;  ///< lists and mappings around the place that is read
  std::map<YAML::anchor_t, std::shared_ptr<const YamlNode>> anchored_;
  std::shared_ptr<const YamlNode> root_;
  YamlMark last_scalar_;
};

void read_documents(const std::string& text, TreeBuilder& tree) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  while (parser.HandleNextDocument(tree)) {
  }
}

/// Of a text that yaml-cpp has read to its end: it takes a quoted text without its last quote for
/// whole where the file ends, but not where a line says that the document does.
bool ends_in_quotes(std::string_view text) {
  TreeBuilder ignored;
  try {
    read_documents(std::string(text) + "\n...\n", ignored);
  } catch (const YAML::ParserException&) {
    return true;
  }
  return false;
}

YamlMark mark_at(std::string_view text, size_t at) {
  const std::string_view before = text.substr(0, at);
  const size_t line_start = before.rfind('\n') + 1;  // 0 on the first line
  return {static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1,
          static_cast<int>(at - line_start) + 1};
}

tl::unexpected<base::Error> fail_at_mark(const YamlMark& mark, const std::string& problem) {
  return base::fail(text_of(mark) + ": " + problem);
}

/// yaml-cpp ends a file at byte 4 and guesses UTF-16: neither gets that far.
base::Result<> check_bytes(std::string_view text) {
  if (text.size() > limits::kFileBytesMax) {
    return fail_at_mark({}, std::to_string(text.size()) + " bytes, at most " +
                                std::to_string(limits::kFileBytesMax));
  }
  const size_t valid = text::valid_utf8_prefix(text);
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (i == valid) return fail_at_mark(mark_at(text, i), "not UTF-8");
    const bool control = (c >= 0 && c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f;
    if (control) {
      return fail_at_mark(mark_at(text, i),
                          "control character " + formats::printable(text.substr(i, 1)));
    }
  }
  return {};
}

}  // namespace

std::string description(const YamlNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kList:
      return "a list";
    case Kind::kMapping:
      return "a mapping";
    case Kind::kInteger:
    case Kind::kFloat:
      return "number " + formats::printable(node.text, 40);
    default:
      return node.text.empty() ? "an empty text" : formats::printable(node.text, 40);
  }
}

std::string text_of(const YamlMark& mark) {
  return std::to_string(mark.line) + ":" + std::to_string(mark.column);
}

base::Result<std::shared_ptr<const YamlNode>> parse_yaml(std::string_view text) {
  TRY(check_bytes(text));
  TreeBuilder tree;
  try {
    read_documents(std::string(text), tree);
    if (ends_in_quotes(text)) {
      return fail_at_mark(tree.last_scalar(), "not YAML: a quoted text that does not end");
    }
  } catch (const Refusal& refusal) {
    return fail_at_mark(refusal.mark, refusal.problem);
  } catch (const YAML::Exception& error) {
    return fail_at_mark(mark_of(error.mark), "not YAML: " + formats::printable(error.msg));
  }
  auto root = tree.take_root();
  if (root == nullptr || root->kind == Kind::kNull) return fail_at_mark({}, "empty");
  return root;
}

}  // namespace neuros::builder
