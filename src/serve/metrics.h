#pragma once

/// Counters and histograms in Prometheus' text format 0.0.4
/// (https://prometheus.io/docs/instrumenting/exposition_formats/). Thread-safe.

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace neuros::serve {

using Labels = std::vector<std::pair<std::string, std::string>>;

/// Writes the format: HELP and TYPE once per family, then its samples.
class MetricsText {
 public:
  /// `type`: "counter", "gauge" or "histogram".
  void family(std::string_view name, std::string_view type, std::string_view help);
  /// `suffix`: "_bucket" and the like.
  void sample(std::string_view suffix, const Labels& labels, double value);
  std::string take() { return std::move(text_); }

 private:
  std::string text_, name_;
};

class Counter {
 public:
  Counter(std::string name, std::string help) : name_(std::move(name)), help_(std::move(help)) {}
  void add(const Labels& labels, double amount = 1);
  double value(const Labels& labels) const;
  void write(MetricsText& out) const;

 private:
  std::string name_, help_;
  mutable std::mutex mutex_;
  std::deque<std::pair<Labels, double>> cells_;
};

class Histogram {
 public:
  /// `bounds`: upper ends of the buckets, ascending; +Inf is added.
  Histogram(std::string name, std::string help, std::vector<double> bounds);
  void observe(const Labels& labels, double value, uint64_t times = 1);
  uint64_t count(const Labels& labels) const;
  void write(MetricsText& out) const;

 private:
  struct Cell {
    Labels labels;
    std::vector<uint64_t> buckets;  ///< not cumulative; the last is +Inf
    uint64_t count = 0;
    double sum = 0;
  };
  std::string name_, help_;
  std::vector<double> bounds_;
  mutable std::mutex mutex_;
  std::deque<Cell> cells_;
};

}  // namespace neuros::serve
