#include "formats/describe.h"

#include "formats/printable.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace neuros::formats {
namespace {

using nlohmann::json;
using NamedTensor = std::pair<std::string_view, const base::TensorView*>;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// The number at the front of `text`, leading zeros dropped; removes it from `text`.
std::string_view take_number(std::string_view& text) {
  const size_t length = std::min(text.find_first_not_of("0123456789"), text.size());
  std::string_view number = text.substr(0, length);
  text.remove_prefix(length);
  number.remove_prefix(std::min(number.find_first_not_of('0'), number.size()));
  return number;
}

/// Order in which numbers inside names count as numbers: "blk.2.x" before "blk.10.x".
bool natural_less(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (is_digit(a.front()) && is_digit(b.front())) {
      const auto x = take_number(a), y = take_number(b);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      continue;
    }
    if (a.front() != b.front()) return a.front() < b.front();
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.size() < b.size();
}

std::vector<NamedTensor> sorted_tensors(const Checkpoint& checkpoint) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, view] : checkpoint.tensors) tensors.emplace_back(name, &view);
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const auto& a, const auto& b) { return natural_less(a.first, b.first); });
  return tensors;
}

struct Total {
  base::DType dtype;
  int64_t tensors = 0;
  int64_t elements = 0;
  int64_t bytes = 0;
};

/// By dtype, the largest first.
std::vector<Total> totals_of(const Checkpoint& checkpoint) {
  std::vector<Total> totals;
  for (const auto& type : base::all_dtypes()) totals.push_back({type.dtype});
  for (const auto& [name, view] : checkpoint.tensors) {
    Total& total = totals[static_cast<size_t>(view.dtype)];
    total.tensors += 1;
    total.elements += base::element_count(view.shape);
    total.bytes += static_cast<int64_t>(view.bytes.size());
  }
  std::erase_if(totals, [](const Total& total) { return total.tensors == 0; });
  std::stable_sort(totals.begin(), totals.end(),
                   [](const Total& a, const Total& b) { return a.bytes > b.bytes; });
  return totals;
}

std::string_view source_name(Source source) {
  return source == Source::kGguf ? "gguf" : "huggingface";
}

/// "1.1 MiB"
std::string human_bytes(int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024.0 && unit + 1 < kUnits.size(); ++unit) value /= 1024.0;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string pad_right(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

std::string pad_left(const std::string& text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

/// Writes metadata values on one line.
class ValueText {
 public:
  explicit ValueText(const DescribeOptions& options) : options_(options) {}

  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const {
    char text[32];
    std::snprintf(text, sizeof text, "%.7g", value);
    return text;
  }
  std::string operator()(const std::string& value) const {
    return "\"" + printable(value, options_.text_bytes_max) + "\"";
  }
  std::string operator()(const MetadataArray& array) const {
    const std::string count = describe_type(array);
    return std::visit([&](const auto& values) { return count + ": " + first_of(values); },
                      array.values);
  }

 private:
  template <typename T>
  std::string first_of(const std::vector<T>& values) const {
    const size_t shown = std::min(values.size(), options_.array_items_max);
    std::string text = "[";
    for (size_t i = 0; i < shown; ++i) {
      if (i > 0) text += ", ";
      text += (*this)(static_cast<T>(values[i]));
    }
    return text + (shown < values.size() ? ", ...]" : "]");
  }

  const DescribeOptions& options_;
};

std::string metadata_lines(const Checkpoint& checkpoint, const DescribeOptions& options) {
  size_t width = 0;
  for (const auto& [key, value] : checkpoint.metadata.all())
    width = std::max(width, printable(key).size());
  std::string text;
  for (const auto& [key, value] : checkpoint.metadata.all()) {
    text += "  " + pad_right(printable(key), width + 2) + std::visit(ValueText(options), value);
    text += "\n";
  }
  return text;
}

std::string tensor_lines(const std::vector<NamedTensor>& tensors) {
  size_t name_width = 4, shape_width = 5;
  for (const auto& [name, view] : tensors) {
    name_width = std::max(name_width, printable(name).size());
    shape_width = std::max(shape_width, base::to_string(view->shape).size());
  }
  std::string text;
  for (const auto& [name, view] : tensors) {
    text += "  " + pad_right(printable(name), name_width + 2);
    text += pad_right(std::string(base::name(view->dtype)), 10);
    text += pad_right(base::to_string(view->shape), shape_width + 2);
    text += pad_left(std::to_string(view->bytes.size()), 12) + "\n";
  }
  return text;
}

std::string total_line(const std::string& name, const Total& total) {
  return "  " + pad_right(name, 10) + pad_left(std::to_string(total.tensors), 6) + " tensors" +
         pad_left(std::to_string(total.elements), 16) + " elements" +
         pad_left(human_bytes(total.bytes), 12) + "\n";
}

std::string total_lines(const std::vector<Total>& totals) {
  Total all{base::DType::kF32};
  std::string text;
  for (const Total& total : totals) {
    text += total_line(std::string(base::name(total.dtype)), total);
    all.tensors += total.tensors;
    all.elements += total.elements;
    all.bytes += total.bytes;
  }
  return text + total_line("all", all);
}

template <typename T>
json array_json(const std::vector<T>& values, size_t items_max) {
  json first = json::array();
  const size_t shown = std::min(values.size(), items_max);
  for (size_t i = 0; i < shown; ++i) first.push_back(static_cast<T>(values[i]));
  if (shown == values.size()) return first;
  return {{"count", values.size()}, {"first", std::move(first)}};
}

json value_json(const MetadataValue& value, const DescribeOptions& options) {
  return std::visit(
      [&](const auto& held) -> json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, MetadataArray>) {
          return std::visit(
              [&](const auto& values) { return array_json(values, options.array_items_max); },
              held.values);
        } else {
          return held;
        }
      },
      value);
}

json tensors_json(const Checkpoint& checkpoint) {
  json list = json::array();
  for (const auto& [name, view] : sorted_tensors(checkpoint)) {
    list.push_back({{"name", name},
                    {"dtype", base::name(view->dtype)},
                    {"shape", view->shape},
                    {"bytes", view->bytes.size()}});
  }
  return list;
}

json totals_json(const Checkpoint& checkpoint) {
  json list = json::array();
  for (const Total& total : totals_of(checkpoint)) {
    list.push_back({{"dtype", base::name(total.dtype)},
                    {"tensors", total.tensors},
                    {"elements", total.elements},
                    {"bytes", total.bytes}});
  }
  return list;
}

}  // namespace

std::string describe(const Checkpoint& checkpoint, const DescribeOptions& options) {
  std::string text = checkpoint.path + " (" + std::string(source_name(checkpoint.source)) + ", " +
                     std::to_string(checkpoint.files.size()) + " file" +
                     (checkpoint.files.size() == 1 ? "" : "s") + ")\n\nMetadata\n";
  text += metadata_lines(checkpoint, options) + "\nTensors\n";
  text += tensor_lines(sorted_tensors(checkpoint)) + "\nTotals\n";
  return text + total_lines(totals_of(checkpoint));
}

std::string describe_json(const Checkpoint& checkpoint, const DescribeOptions& options) {
  json metadata = json::object();
  for (const auto& [key, value] : checkpoint.metadata.all())
    metadata[key] = value_json(value, options);
  json side_files = json::object();
  for (const auto& [name, text] : checkpoint.side_files) side_files[name] = text.size();
  const json whole = {
      {"path", checkpoint.path},           {"source", source_name(checkpoint.source)},
      {"metadata", std::move(metadata)},   {"tensors", tensors_json(checkpoint)},
      {"totals", totals_json(checkpoint)}, {"side_files", std::move(side_files)}};
  return whole.dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace neuros::formats
