#include "cli/op_report.h"

#include <cstdio>

#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

/// What a pass is held against.
struct Yardstick {
  const char* amount;               ///< unit of what an op does: "MB"
  const char* rate;                 ///< "GB/s"
  double pipeline::OpShare::*work;  ///< bytes or operations
  double unit, per_s, roof_per_s;   ///< units of amount and rate; the roof
};

template <typename... Args>
std::string format(const char* pattern, Args... args) {
  char text[256];
  std::snprintf(text, sizeof(text), pattern, args...);
  return text;
}

std::string line(const pipeline::OpShare& op, double whole_us, const Yardstick& by) {
  const double share = whole_us > 0 ? 100.0 * op.us / whole_us : 0.0;
  std::string text = format("  %-22s %5lld %11.1f %6.1f %%", op.name.c_str(),
                            static_cast<long long>(op.calls), op.us, share);
  const double work = op.*by.work;
  if (work == 0.0 || op.us <= 0.0) return text + "\n";
  const double per_s = 1e6 * work / op.us;
  return text + format(" %10.1f %10.1f %6.1f %%\n", work / by.unit, per_s / by.per_s,
                       100.0 * per_s / by.roof_per_s);
}

std::string table(const char* what, const pipeline::PassProfile& pass, const Yardstick& by) {
  std::string text =
      format("%s: %lld passes of %.0f rows, %.1f us each; op by op %.1f us\n", what,
             static_cast<long long>(pass.passes), pass.rows, pass.unwatched_us, pass.watched_us);
  text += format("  %-22s %5s %11s %8s %10s %10s %8s\n", "op", "calls", "us", "share", by.amount,
                 by.rate, "of roof");
  for (const pipeline::OpShare& op : pass.ops) text += line(op, pass.watched_us, by);
  return text;
}

nlohmann::ordered_json table_json(const pipeline::PassProfile& pass) {
  nlohmann::ordered_json json{{"passes", pass.passes},
                              {"rows", pass.rows},
                              {"us", pass.unwatched_us},
                              {"us_op_by_op", pass.watched_us}};
  for (const pipeline::OpShare& op : pass.ops) {
    json["ops"].push_back({{"op", op.name},
                           {"calls", op.calls},
                           {"us", op.us},
                           {"weight_bytes", op.weight_bytes},
                           {"operations", op.operations}});
  }
  return json;
}

}  // namespace

std::string op_report(const pipeline::OpProfile& profile, const Roofs& roofs) {
  const Yardstick bytes{"MB", "GB/s", &pipeline::OpShare::weight_bytes,
                        1e6,  1e9,    roofs.bytes_per_s};
  const Yardstick operations{"GFLOP", "TFLOP/s", &pipeline::OpShare::operations,
                             1e9,     1e12,      roofs.operations_per_s};
  return table("decode step", profile.decode, bytes) + table("prompt", profile.prompt, operations);
}

nlohmann::ordered_json op_report_json(const pipeline::OpProfile& profile, const Roofs& roofs) {
  return {{"decode", table_json(profile.decode)},
          {"prompt", table_json(profile.prompt)},
          {"read_bytes_per_s", roofs.bytes_per_s},
          {"operations_per_s", roofs.operations_per_s}};
}

}  // namespace neuros::cli
