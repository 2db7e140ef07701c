#include "serve/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::serve {
namespace {

template <typename Metric>
std::string text_of(const Metric& metric) {
  MetricsText out;
  metric.write(out);
  return out.take();
}

TEST(Metrics, CountersAddByLabels) {
  Counter counter("a_total", "Help with a \\ and\na line.");
  counter.add({{"path", "a\"b\\c\nd"}});
  counter.add({{"path", "a\"b\\c\nd"}}, 1.5);
  counter.add({});
  EXPECT_EQ(text_of(counter),
            "# HELP a_total Help with a \\\\ and\\na line.\n"
            "# TYPE a_total counter\n"
            "a_total{path=\"a\\\"b\\\\c\\nd\"} 2.5\n"
            "a_total 1\n");
}

TEST(Metrics, HistogramBucketsAreCumulativeAndInclusive) {
  Histogram histogram("s", "Seconds.", {0.1, 1});
  histogram.observe({{"m", "x"}}, 0.1);
  histogram.observe({{"m", "x"}}, 0.5, 2);
  histogram.observe({{"m", "x"}}, 7);
  EXPECT_EQ(text_of(histogram),
            "# HELP s Seconds.\n"
            "# TYPE s histogram\n"
            "s_bucket{m=\"x\",le=\"0.1\"} 1\n"
            "s_bucket{m=\"x\",le=\"1\"} 3\n"
            "s_bucket{m=\"x\",le=\"+Inf\"} 4\n"
            "s_sum{m=\"x\"} 8.1\n"
            "s_count{m=\"x\"} 4\n");
}

}  // namespace
}  // namespace neuros::serve
