#include "builder/model_header.h"

#include "builder/convert_plan.h"
#include "builder/convert_sampling.h"
#include "builder/convert_vocabulary.h"
#include "formats/gguf_header.h"

#include <utility>

namespace neuros::builder {
namespace {

/// Not filled up to the rows of the embedding table, as files for other programs are: rows without
/// a token have no text.
constexpr int64_t kNoRows = 0;

base::Result<formats::Metadata> metadata_of(const formats::Checkpoint& checkpoint) {
  if (checkpoint.source == formats::Source::kGguf) return checkpoint.metadata;
  ConvertPlan plan;
  plan.metadata = checkpoint.metadata;
  TRY(add_vocabulary(checkpoint, kNoRows, plan));
  add_sampling_defaults(checkpoint, plan.metadata);
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
