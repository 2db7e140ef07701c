#pragma once

#include "pipeline/language_model.h"

#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace neuros::cli {

/// The flags every command that boots a model shares: MODEL, --device, --threads, --memory,
/// --context, --parallel, --batch, --kv, --kv-swap, --kernels, --weight-cache, --tuning.
struct ModelFlags {
  std::string path;
  std::string memory, kv_swap;
  pipeline::ModelOptions options;

  void declare(CLI::App& app);
  /// All but MODEL.
  void declare_options(CLI::App& app);
  /// "24GB", "512MiB", "1000000" to bytes; the options with it.
  base::Result<pipeline::ModelOptions> resolve() const;
  /// The same, with a progress bar while weights are loaded.
  base::Result<pipeline::ModelOptions> resolve_with_progress() const;
  /// Opens with a progress bar, and tells of the weight cache. An empty path is the embedded model.
  base::Result<std::unique_ptr<pipeline::LanguageModel>> open() const;
};

}  // namespace neuros::cli
