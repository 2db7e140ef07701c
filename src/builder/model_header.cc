#include "builder/model_header.h"

#include "base/check.h"
#include "builder/convert_plan.h"
#include "builder/type_mix.h"
#include "formats/gguf_header.h"

#include <utility>

namespace neuros::builder {
namespace {

base::Result<formats::Metadata> metadata_of(const formats::Checkpoint& checkpoint) {
  if (checkpoint.source == formats::Source::kGguf) return checkpoint.metadata;
  const auto any_types = find_type_mix("f16");
  CHECK(any_types.has_value());
  ConvertPlan plan = TRY(plan_conversion(checkpoint, *any_types));
  return std::move(plan.metadata);
}

}  // namespace

base::Result<std::string> model_header(const formats::Checkpoint& checkpoint) {
  formats::Metadata metadata = TRY(metadata_of(checkpoint));
  for (const char* of_parts : {"split.no", "split.count", "split.tensors.count"}) {
    metadata.erase(of_parts);
  }
  formats::GgufHeader header = TRY(formats::encode_gguf_header(metadata, {}));
  return std::move(header.bytes);
}

}  // namespace neuros::builder
