#include "kernels/choice_table.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <map>
#include <utility>

namespace neuros::kernels {
namespace {

constexpr std::string_view kMagic = "neuros kernel choices 1";
constexpr std::string_view kColumns = "# device op type rows cols tokens choice time_us default_us";
constexpr size_t kBytesMax = size_t{1} << 20;
constexpr size_t kDeviceLengthMax = 32;
constexpr int64_t kSizeMax = int64_t{1} << 40;
constexpr int64_t kTokensMax = int64_t{1} << 20;
constexpr double kTimeMaxUs = 1e9;
constexpr size_t kFieldCount = 9;

using Fields = std::vector<std::string_view>;

/// Up to the first of `end`, which is taken too.
std::string_view take_until(std::string_view& text, char end) {
  const size_t at = text.find(end);
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return part;
}

Fields fields_of(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  line = line.substr(0, line.find('#'));
  Fields fields;
  for (;;) {
    const size_t first = line.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return fields;
    line.remove_prefix(first);
    const size_t length = std::min(line.find_first_of(kBlanks), line.size());
    fields.push_back(line.substr(0, length));
    line.remove_prefix(length);
  }
}

/// As errors print what a file holds: short, and nothing a terminal would obey.
std::string shown(std::string_view value) {
  constexpr size_t kLengthMax = 40;
  std::string text(value.substr(0, kLengthMax));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return value.size() > kLengthMax ? text + "..." : text;
}

tl::unexpected<base::Error> expected(std::string_view field, std::string_view value,
                                     const std::string& what) {
  return base::fail(std::string(field) + " " + shown(value) + ", expected " + what);
}

struct Range {
  int64_t least, most;
};

base::Result<int64_t> read_integer(std::string_view field, std::string_view value, Range range) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool whole = error == std::errc() && end == value.data() + value.size();
  if (whole && number >= range.least && number <= range.most) return number;
  return expected(field, value, std::to_string(range.least) + " to " + std::to_string(range.most));
}

base::Result<double> read_time_us(std::string_view field, std::string_view value) {
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool whole = error == std::errc() && end == value.data() + value.size();
  if (whole && number > 0 && number <= kTimeMaxUs) return number;
  return expected(field, value, "microseconds above 0");
}

base::Result<ChoiceOp> read_op(std::string_view value) {
  if (const auto op = choice_op_from_name(value)) return *op;
  std::string known;
  for (int i = 0; i < kChoiceOpCount; ++i) {
    known += (i == 0 ? "" : ", ") + std::string(name(static_cast<ChoiceOp>(i)));
  }
  return expected("op", value, "one of " + known);
}

base::Result<base::DType> read_dtype(std::string_view value) {
  const auto dtype = base::dtype_from_name(value);
  if (dtype && static_cast<int>(*dtype) < base::kWeightDTypeCount) return *dtype;
  return expected("type", value, "a type of weights, as in q4_k");
}

base::Result<int64_t> read_tokens(ChoiceOp op, std::string_view value) {
  const int64_t most = op == ChoiceOp::kDecodeStep ? 1 : kTokensMax;
  const int64_t tokens = TRY(read_integer("tokens", value, {1, most}));
  if (token_bucket(op, tokens) == tokens) return tokens;
  return expected("tokens", value,
                  "a power of two from " + std::to_string(token_bucket(op, 1)) + " on");
}

/// Of a choice that is no width.
Range value_range(const ChoiceKey& key) {
  if (key.op == ChoiceOp::kDecodeStep) return {0, 1};
  return base::is_quantised(key.dtype) ? Range{1, 8} : Range{101, 416};
}

base::Result<int32_t> read_value(const ChoiceKey& key, std::string_view value) {
  constexpr std::array<int64_t, 4> kWidths{64, 128, 256, kMixedTiles};
  const ChoiceOp op = key.op;
  if (op == ChoiceOp::kPrompt || op == ChoiceOp::kPromptGated) {
    const auto width = read_integer("choice", value, {kWidths.front(), kWidths.back()});
    if (width && std::ranges::find(kWidths, *width) != kWidths.end()) {
      return static_cast<int32_t>(*width);
    }
    return expected("choice", value, "64, 128, 256 or 384");
  }
  return static_cast<int32_t>(TRY(read_integer("choice", value, value_range(key))));
}

base::Result<ChoiceRow> read_row(const Fields& fields) {
  if (fields.size() != kFieldCount) {
    return base::fail(std::to_string(fields.size()) + " fields, expected " +
                      std::to_string(kFieldCount));
  }
  ChoiceRow row;
  if (fields[0].size() > kDeviceLengthMax) {
    return expected("device", fields[0],
                    "at most " + std::to_string(kDeviceLengthMax) + " characters");
  }
  row.device = fields[0];
  ChoiceKey& key = row.choice.key;
  key.op = TRY(read_op(fields[1]));
  key.dtype = TRY(read_dtype(fields[2]));
  key.rows = TRY(read_integer("rows", fields[3], {1, kSizeMax}));
  key.cols = TRY(read_integer("cols", fields[4], {1, kSizeMax}));
  key.tokens = TRY(read_tokens(key.op, fields[5]));
  row.choice.value = TRY(read_value(key, fields[6]));
  row.time_us = TRY(read_time_us("time_us", fields[7]));
  row.default_us = TRY(read_time_us("default_us", fields[8]));
  return row;
}

/// The lines after the first.
base::Result<std::vector<ChoiceRow>> read_rows(std::string_view text) {
  std::vector<ChoiceRow> rows;
  std::map<std::pair<std::string, ChoiceKey>, int> lines;
  for (int line = 2; !text.empty(); ++line) {
    const Fields fields = fields_of(take_until(text, '\n'));
    if (fields.empty()) continue;
    const std::string place = "line " + std::to_string(line);
    auto row = read_row(fields);
    if (!row) return tl::unexpected(with_context(row.error(), place));
    const auto [found, is_new] = lines.try_emplace({row->device, row->choice.key}, line);
    if (!is_new) {
      return base::fail(place + ": the same launch as line " + std::to_string(found->second));
    }
    rows.push_back(std::move(*row));
  }
  return rows;
}

std::string format_row(const ChoiceRow& row) {
  const ChoiceKey& key = row.choice.key;
  char line[256];
  std::snprintf(line, sizeof(line), "%s %s %s %lld %lld %lld %d %.2f %.2f\n", row.device.c_str(),
                std::string(name(key.op)).c_str(), std::string(base::name(key.dtype)).c_str(),
                static_cast<long long>(key.rows), static_cast<long long>(key.cols),
                static_cast<long long>(key.tokens), row.choice.value, row.time_us, row.default_us);
  return line;
}

}  // namespace

base::Result<std::vector<ChoiceRow>> parse_choice_table(std::string_view text) {
  if (text.size() > kBytesMax) {
    return base::fail("kernel choices: " + std::to_string(text.size()) + " bytes, at most " +
                      std::to_string(kBytesMax));
  }
  std::string_view magic = take_until(text, '\n');
  if (magic.ends_with('\r')) magic.remove_suffix(1);
  if (magic != kMagic) return expected("line 1:", magic, "'" + std::string(kMagic) + "'");
  return read_rows(text);
}

std::string format_choice_table(std::span<const ChoiceRow> rows) {
  std::string text = std::string(kMagic) + "\n" + std::string(kColumns) + "\n";
  for (const ChoiceRow& row : rows) text += format_row(row);
  return text;
}

KernelChoices choices_for(std::span<const ChoiceRow> rows, std::string_view device) {
  std::vector<KernelChoice> choices;
  for (const ChoiceRow& row : rows) {
    if (row.device == device) choices.push_back(row.choice);
  }
  return KernelChoices(std::move(choices));
}

}  // namespace neuros::kernels
