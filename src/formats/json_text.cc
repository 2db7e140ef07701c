#include "formats/json_text.h"

#include "formats/printable.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace neuros::formats {
namespace {

using nlohmann::json;

/// Builds the value through nlohmann's own handler, and stops at what that one lets pass.
class StrictHandler : public nlohmann::detail::json_sax_dom_parser<json> {
  using Base = nlohmann::detail::json_sax_dom_parser<json>;

 public:
  StrictHandler(json& root, int depth_max) : Base(root, false), depth_max_(depth_max) {}

  bool start_object(std::size_t size) {
    keys_.emplace_back();
    return enter() && Base::start_object(size);
  }
  bool end_object() {
    keys_.pop_back();
    --depth_;
    return Base::end_object();
  }
  bool start_array(std::size_t size) { return enter() && Base::start_array(size); }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) return refuse("key " + printable(name) + " twice");
    return Base::key(name);
  }
  template <typename Exception>
  bool parse_error(std::size_t position, const std::string&, const Exception&) {
    return refuse("malformed at byte " + std::to_string(position));
  }

  const std::string& problem() const { return problem_; }

 private:
  bool enter() {
    if (++depth_ <= depth_max_) return true;
    return refuse("nested deeper than " + std::to_string(depth_max_));
  }
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  int depth_max_;
  int depth_ = 0;
  std::vector<std::set<std::string>> keys_;  ///< of each open object
  std::string problem_;
};

}  // namespace

base::Result<json> parse_json_object(std::string_view text, int depth_max) {
  json root;
  StrictHandler handler(root, depth_max);
  if (!json::sax_parse(text.begin(), text.end(), &handler)) {
    return base::fail("JSON " +
                      (handler.problem().empty() ? std::string("malformed") : handler.problem()));
  }
  if (!root.is_object()) return base::fail("JSON " + json_type(root) + ", expected an object");
  return root;
}

std::string json_type(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      return "null";
    case json::value_t::boolean:
      return "a boolean";
    case json::value_t::string:
      return "a string";
    case json::value_t::object:
      return "an object";
    case json::value_t::array:
      return "an array";
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
    case json::value_t::number_float:
      return "number " + value.dump();
    default:
      return "nothing";
  }
}

}  // namespace neuros::formats
