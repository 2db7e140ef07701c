#include "base/mapped_file.h"
#include "builder/convert.h"
#include "builder/spec/langgraph_import.h"
#include "builder/spec/pipeline_writer.h"
#include "builder/type_mix.h"
#include "cli/command.h"
#include "cli/load_report.h"
#include "cli/terminal.h"
#include "formats/output_file.h"
#include "pipeline/measure_importance.h"

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

struct ConvertFlags {
  std::string model, output, type = "q8_0";
  std::string calibration;               ///< text file; "": none
  std::vector<std::string> node_models;  ///< NODE=FILE, of a LangGraph graph
  int threads = 0;
  bool json = false;
};

constexpr size_t kGraphBytesMax = size_t{16} << 20;

base::Result<std::vector<builder::NodeModel>> node_models(const ConvertFlags& flags) {
  std::vector<builder::NodeModel> models;
  for (const std::string& text : flags.node_models) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
      return base::fail("--model " + text + ", expected NODE=FILE");
    }
    models.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return models;
}

/// A LangGraph graph as a pipeline specification.
base::Result<> import_graph(const ConvertFlags& flags) {
  const auto models = TRY(node_models(flags));
  const std::string json = TRY(base::read_text_file(flags.model, kGraphBytesMax));
  const auto spec = builder::import_langgraph(json, models);
  if (!spec) return tl::unexpected(base::with_context(spec.error(), flags.model));
  const std::string yaml = builder::to_yaml(*spec);
  formats::OutputFile file = TRY(formats::OutputFile::create(flags.output));
  TRY(file.write(std::as_bytes(std::span(yaml))));
  TRY(file.finish());
  if (flags.json) {
    std::cout << nlohmann::ordered_json{{"graph", flags.model},
                                        {"file", flags.output},
                                        {"models", spec->models.size()},
                                        {"stages", spec->stages.size()}}
              << "\n";
    return {};
  }
  std::printf("%s: %zu models, %zu stages\n", flags.output.c_str(), spec->models.size(),
              spec->stages.size());
  return {};
}

/// What the matrices are multiplied with over the text; nothing without one.
base::Result<builder::Importance> measure(const ConvertFlags& flags) {
  if (flags.calibration.empty()) return {};
  pipeline::ModelOptions options;
  options.threads = flags.threads;
  options.on_progress = show_load_progress();
  const pipeline::OpenedModel model = TRY(pipeline::open_model(flags.model, options));
  const pipeline::CalibrationText text = TRY(pipeline::read_calibration_text(
      flags.calibration, *model.tokenizer, pipeline::calibration_part_tokens(model.program)));
  return pipeline::measure_importance(model, text, options);
}

base::Result<> run_convert(const ConvertFlags& flags) {
  if (flags.model.ends_with(".json")) {
    if (flags.calibration.empty()) return import_graph(flags);
    return base::fail("--calibration is for a model, " + flags.model + " is a LangGraph graph");
  }
  if (!flags.node_models.empty()) return base::fail("--model is for a LangGraph graph (.json)");
  Progress progress;
  std::vector<std::string> notes;
  builder::ConvertOptions options;
  options.threads = flags.threads;
  options.importance = TRY(measure(flags));
  if (!options.importance.source.empty()) {
    notes.push_back("rounded for " + options.importance.source);
  }
  options.on_progress = [&](double fraction) { progress.update("convert", fraction); };
  options.on_note = [&](const std::string& note) { notes.push_back(note); };
  TRY(builder::convert(flags.model, flags.output, flags.type, options));
  progress.clear();
  const auto bytes = std::filesystem::file_size(flags.output);
  if (flags.json) {
    std::cout << nlohmann::ordered_json{{"model", flags.model},
                                        {"file", flags.output},
                                        {"type", flags.type},
                                        {"bytes", bytes},
                                        {"notes", notes}}
              << "\n";
    return {};
  }
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  std::printf("%s: %.1f MB\n", flags.output.c_str(), static_cast<double>(bytes) / 1e6);
  return {};
}

}  // namespace

void add_convert(CLI::App& app, Action& action) {
  auto flags = std::make_shared<ConvertFlags>();
  CLI::App* command = app.add_subcommand(
      "convert", "a GGUF file of another type from any model; a pipeline from a LangGraph graph");
  command
      ->add_option("MODEL", flags->model,
                   "Hugging Face directory, GGUF file, or LangGraph graph (.json)")
      ->required();
  command->add_option("-o,--output", flags->output, "GGUF or YAML file to write")->required();
  command->add_option("--model", flags->node_models,
                      "NODE=FILE: a node of the graph that runs a model");
  command->add_option("--type", flags->type, "of the weights")->capture_default_str();
  command->add_option("--calibration", flags->calibration,
                      "text like what the model will read: rounding then favours the weights that "
                      "matter there");
  command->add_option("--threads", flags->threads, "0: one per processor")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--json", flags->json, "for machines");
  std::string names;
  for (const std::string& name : builder::type_mix_names()) names += " " + name;
  command->footer(
      "Example: neuros convert Qwen3-0.6B -o qwen3.gguf --type q4_k_m --calibration notes.txt\n"
      "         neuros convert graph.json -o pipeline.yaml --model agent=qwen3.gguf\n"
      "Types:" +
      names);
  command->callback([flags, &action] { action = [flags] { return run_convert(*flags); }; });
}

}  // namespace neuros::cli
