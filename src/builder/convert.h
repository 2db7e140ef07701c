#pragma once

/// Model files from other model files: another type of weights, or GGUF out of an HF directory.

#include "base/result.h"
#include "builder/importance.h"

#include <functional>
#include <string>

namespace neuros::builder {

struct ConvertOptions {
  int threads = 0;  ///< 0: one per processor
  /// What rounding pays attention to where a type leaves it a choice; empty: all columns alike.
  Importance importance{};
  /// Called with 0 to 1 as the file grows; may be empty.
  std::function<void(double)> on_progress;
  /// Called with what the user should know about the result, one sentence each; may be empty.
  std::function<void(const std::string&)> on_note;
};

/// Writes the model at `path` (anything formats::open_checkpoint opens) as the GGUF file `output`,
/// its matrices in `type` (a name of builder/type_mix.h), vectors in f32. Tensors are streamed: the
/// memory needed does not grow with the model. Files of other programs' conventions come out:
/// Llama's Q and K rows paired for interleaved rotation, llama3's context scaling as the tensor
/// rope_freqs.weight, the tokenizer as `tokenizer.*` keys (docs/formats/checkpoint.md).
/// `output` appears only when it is complete. Fails for an unknown type (listing those there are),
/// a source that is no model or of an architecture whose conventions are not known (kUnsupported),
/// an output that is part of the source, and with kIo if the disk is full.
base::Result<> convert(const std::string& path, const std::string& output, const std::string& type,
                       const ConvertOptions& options);

}  // namespace neuros::builder
