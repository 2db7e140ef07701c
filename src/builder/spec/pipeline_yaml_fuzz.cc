#include "builder/spec/pipeline_report.h"
#include "builder/spec/pipeline_writer.h"
#include "builder/spec/pipeline_yaml.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

/// Any bytes as a specification; what is read is written, read again the same, and described.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace builder = neuros::builder;
  const auto spec =
      builder::parse_pipeline({reinterpret_cast<const char*>(data), size}, "fuzz.yaml");
  if (!spec) return 0;
  const auto again = builder::parse_pipeline(builder::to_yaml(*spec), "again.yaml");
  if (!again || *again != *spec) std::abort();
  const auto graph = builder::StageGraph::create(*spec);
  if (!graph) std::abort();
  volatile size_t keep =
      builder::describe(*spec, *graph).size() + builder::describe_json(*spec, *graph).size();
  static_cast<void>(keep);
  return 0;
}
