#include "serve/metrics.h"

#include "base/check.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace neuros::serve {
namespace {

/// Backslash and newline are escaped everywhere, the quote in label values only.
void append_escaped(std::string& out, std::string_view text, std::string_view special) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (special.find(c) != special.npos) out += '\\';
      out += c;
    }
  }
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return std::string(buffer, end);
}

}  // namespace

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  text_.append("# HELP ").append(name).append(" ");
  append_escaped(text_, help, "\\");
  text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void MetricsText::sample(std::string_view suffix, const Labels& labels, double value) {
  text_.append(name_).append(suffix);
  char separator = '{';
  for (const auto& [key, label] : labels) {
    text_.append(1, separator).append(key).append("=\"");
    append_escaped(text_, label, "\\\"");
    text_ += '"';
    separator = ',';
  }
  if (!labels.empty()) text_ += '}';
  text_.append(" ").append(number(value)).append("\n");
}

void Counter::add(const Labels& labels, double amount) {
  const std::lock_guard lock(mutex_);
  for (auto& [key, value] : cells_) {
    if (key == labels) {
      value += amount;
      return;
    }
  }
  cells_.emplace_back(labels, amount);
}

double Counter::value(const Labels& labels) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, value] : cells_) {
    if (key == labels) return value;
  }
  return 0;
}

void Counter::write(MetricsText& out) const {
  const std::lock_guard lock(mutex_);
  out.family(name_, "counter", help_);
  for (const auto& [labels, value] : cells_) out.sample("", labels, value);
}

Histogram::Histogram(std::string name, std::string help, std::vector<double> bounds)
    : name_(std::move(name)), help_(std::move(help)), bounds_(std::move(bounds)) {
  CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(const Labels& labels, double value, uint64_t times) {
  const std::lock_guard lock(mutex_);
  auto cell = std::find_if(cells_.begin(), cells_.end(),
                           [&](const Cell& other) { return other.labels == labels; });
  if (cell == cells_.end()) {
    cells_.push_back({labels, std::vector<uint64_t>(bounds_.size() + 1), 0, 0});
    cell = std::prev(cells_.end());
  }
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  cell->buckets[static_cast<size_t>(bucket)] += times;
  cell->count += times;
  cell->sum += value * static_cast<double>(times);
}

uint64_t Histogram::count(const Labels& labels) const {
  const std::lock_guard lock(mutex_);
  for (const Cell& cell : cells_) {
    if (cell.labels == labels) return cell.count;
  }
  return 0;
}

void Histogram::write(MetricsText& out) const {
  const std::lock_guard lock(mutex_);
  out.family(name_, "histogram", help_);
  for (const Cell& cell : cells_) {
    Labels labels = cell.labels;
    labels.emplace_back("le", "");
    uint64_t below = 0;
    for (size_t i = 0; i < cell.buckets.size(); ++i) {
      below += cell.buckets[i];
      labels.back().second = i < bounds_.size() ? number(bounds_[i]) : "+Inf";
      out.sample("_bucket", labels, static_cast<double>(below));
    }
    out.sample("_sum", cell.labels, cell.sum);
    out.sample("_count", cell.labels, static_cast<double>(cell.count));
  }
}

}  // namespace neuros::serve
