#pragma once

/// Model files with random weights, for benchmarks and tests: the right shapes, types and metadata
/// of a known model, without its knowledge.

#include "base/result.h"
#include "formats/checkpoint.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace neuros::builder {

/// Whether `text` has the form NAME:TYPE, as in llama-1b:q4_k_m, of a known name and type.
bool is_synth_spec(const std::string& text);

/// Names a spec may start with.
std::vector<std::string> synth_names();

/// Writes the GGUF file of a spec, streamed. The same spec gives the same bytes. Weights are drawn
/// as blocks of their type with mean 0 and variance 1/cols; the vocabulary is every byte, some
/// pairs of letters, and fillers. Fails for an unknown name or type, listing those there are.
base::Result<> synthesise(const std::string& spec, const std::string& path,
                          const std::function<void(double)>& on_progress);

/// What a spec's file would be read as, without its bytes: they have an address, and whoever reads
/// them crashes. For plans.
struct SynthOutline {
  formats::Checkpoint checkpoint;
  std::shared_ptr<const std::byte> bytes;  ///< what the checkpoint's views point to
};
base::Result<SynthOutline> outline_synth(const std::string& spec);

}  // namespace neuros::builder
