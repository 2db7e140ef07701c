#include "builder/spec/nearest_name.h"

#include <algorithm>
#include <numeric>

namespace neuros::builder {
namespace {

constexpr size_t kComparedMax = 64;  ///< longer names are not compared

/// Letters to insert, delete or replace to turn one into the other.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view wrong, std::span<const std::string_view> known) {
  if (wrong.size() > kComparedMax) return "";
  std::string_view nearest;
  size_t least = std::max<size_t>(1, wrong.size() / 3) + 1;
  for (const std::string_view name : known) {
    if (name.size() > kComparedMax) continue;
    const bool begun = wrong.size() >= 2 && name.starts_with(wrong);
    const size_t distance = begun ? 1 : edit_distance(wrong, name);
    if (distance < least && distance < name.size()) {
      least = distance;
      nearest = name;
    }
  }
  return std::string(nearest);
}

std::string suggestion(std::string_view wrong, std::span<const std::string_view> known) {
  const std::string nearest = nearest_name(wrong, known);
  return nearest.empty() ? "" : ", did you mean " + nearest + "?";
}

std::string suggestion(std::string_view wrong, const std::vector<std::string>& known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  return suggestion(wrong, std::span<const std::string_view>(views));
}

std::string one_of(std::span<const std::string_view> names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

}  // namespace neuros::builder
