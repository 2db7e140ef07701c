#include "builder/spec/pipeline_yaml.h"

#include "base/mapped_file.h"
#include "builder/spec/limits.h"
#include "builder/spec/nearest_name.h"
#include "builder/spec/pipeline_keys.h"
#include "builder/spec/quantity.h"
#include "builder/spec/stage_graph.h"
#include "builder/spec/stage_yaml.h"
#include "builder/spec/yaml_value.h"
#include "builder/type_mix.h"
#include "formats/printable.h"

#include <algorithm>
#include <array>

namespace neuros::builder {
namespace {

constexpr std::array<std::string_view, 3> kKvNames{"f16", "bf16", "f32"};

/// The name of a type mix; "q4_k" and "q5_k" are short for their usual mix.
base::Result<std::string> parse_precision(std::string_view text) {
  for (const std::string& name : {std::string(text), std::string(text) + "_m"}) {
    const auto mix = find_type_mix(name);
    if (mix && mix->name == name) return name;
  }
  return base::fail(formats::printable(text, 40) + ": no such type" +
                    suggestion(text, type_mix_names()));
}

class ModelReader {
 public:
  ModelReader(const std::string& id, const YamlValue& value) : value_(value) { model_.id = id; }

  base::Result<ModelSpec> read() {
    TRY(value_.check_keys(keys::kModel));
    model_.file = TRY(TRY(value_.required("file")).text(limits::kTextCharactersMax));
    if (const auto value = value_.find("class")) {
      model_.model_class = static_cast<ModelClass>(TRY(value->choice(kModelClassNames)));
    }
    TRY(read_context());
    TRY(read_precision());
    TRY(read_calibration());
    TRY(read_demands());
    TRY(read_residency());
    return std::move(model_);
  }

 private:
  base::Result<> read_context() {
    if (const auto value = value_.find("context")) {
      model_.context = TRY(value->parsed(parse_tokens));
    }
    const auto least = value_.find("context_min");
    if (!least) return {};
    model_.context_min = TRY(least->parsed(parse_tokens));
    if (model_.context == 0) return least->fail("needs the key context beside it");
    if (model_.context_min > model_.context) {
      return least->fail(tokens_text(model_.context_min) + ", more than context " +
                         tokens_text(model_.context));
    }
    return {};
  }

  base::Result<> read_precision() {
    const auto value = value_.find("precision");
    if (!value) return {};
    for (const YamlValue& item : TRY(value->one_or_list(limits::kPrecisionsMax))) {
      std::string type = TRY(item.parsed(parse_precision));
      if (std::find(model_.precision.begin(), model_.precision.end(), type) !=
          model_.precision.end()) {
        return item.fail(type + " twice");
      }
      model_.precision.push_back(std::move(type));
    }
    return {};
  }

  base::Result<> read_calibration() {
    const auto value = value_.find("calibration");
    if (!value) return {};
    model_.calibration = TRY(value->text(limits::kTextCharactersMax));
    if (model_.precision.size() > 1) return {};
    return value->fail("needs the key precision beside it, with two types to choose from");
  }

  base::Result<> read_demands() {
    if (const auto value = value_.find("priority")) model_.priority = TRY(read_priority(*value));
    if (const auto value = value_.find("parallel")) {
      model_.parallel = static_cast<int32_t>(TRY(value->integer(1, limits::kParallelMax)));
    }
    if (const auto value = value_.find("kv")) {
      model_.kv_dtype = *base::dtype_from_name(kKvNames[TRY(value->choice(kKvNames))]);
    }
    if (const auto value = value_.find("scratch")) model_.scratch_bytes = TRY(value->bytes());
    return {};
  }

  base::Result<> read_residency() {
    if (const auto value = value_.find("pin")) model_.pin = TRY(value->boolean());
    const auto value = value_.find("residency");
    if (!value) return {};
    model_.residency = static_cast<Tier>(TRY(value->choice(kTierNames)));
    if (model_.pin && model_.residency != Tier::kDevice) {
      return value->fail(std::string(name(*model_.residency)) + ", but pin keeps it on the device");
    }
    return {};
  }

  const YamlValue& value_;
  ModelSpec model_;
};

base::Result<MemorySpec> read_memory(const YamlValue& value) {
  TRY(value.check_keys(keys::kMemory));
  MemorySpec memory;
  const std::array<std::optional<int64_t>*, 5> fields{
      &memory.device, &memory.pinned, &memory.pageable, &memory.disk, &memory.kv_swap};
  for (size_t i = 0; i < fields.size(); ++i) {
    if (const auto bytes = value.find(keys::kMemory[i])) *fields[i] = TRY(bytes->bytes());
  }
  if (const auto boot = value.find("boot")) {
    memory.boot = static_cast<sched::BootMode>(TRY(boot->choice(sched::kBootModeNames)));
  }
  return memory;
}

base::Result<SloSpec> read_slo(const YamlValue& value) {
  TRY(value.check_keys(keys::kSlo));
  SloSpec slo;
  const std::array<std::optional<int64_t>*, 6> times{&slo.ttft_us_p50,  &slo.ttft_us_p99,
                                                     &slo.token_us_p50, &slo.token_us_p99,
                                                     &slo.total_us_p50, &slo.total_us_p99};
  for (size_t i = 0; i < times.size(); ++i) {
    if (const auto time = value.find(keys::kSlo[i])) *times[i] = TRY(time->parsed(parse_time));
  }
  if (const auto rate = value.find("tokens_per_s")) {
    slo.tokens_per_s = TRY(rate->number());
    if (!(*slo.tokens_per_s > 0.0) || *slo.tokens_per_s > limits::kRateMax) {
      return rate->fail(description(rate->node()) + ", expected above 0, up to 10^9");
    }
  }
  return slo;
}

class PipelineReader {
 public:
  explicit PipelineReader(const YamlValue& root) : root_(root) {}

  base::Result<PipelineSpec> read() {
    TRY(root_.check_keys(keys::kPipeline));
    if (const auto name = root_.find("name")) spec_.name = TRY(name->id_with_marks());
    TRY(read_models());
    if (const auto memory = root_.find("memory")) spec_.memory = TRY(read_memory(*memory));
    if (const auto routes = root_.find("routes")) TRY(read_routes(*routes));
    if (const auto stages = root_.find("stages")) TRY(read_stages(*stages));
    if (const auto slo = root_.find("slo")) spec_.slo = TRY(read_slo(*slo));
    return std::move(spec_);
  }

 private:
  base::Result<> read_models() {
    const YamlValue models = TRY(root_.required("models"));
    for (const NamedYamlValue& entry : TRY(models.entries(1, limits::kModelsMax))) {
      ModelSpec model = TRY(ModelReader(entry.name, entry.value).read());
      spec_.models.push_back(std::move(model));
    }
    return {};
  }

  base::Result<> read_routes(const YamlValue& routes) {
    std::vector<std::string> models;
    for (const ModelSpec& model : spec_.models) models.push_back(model.id);
    for (const NamedYamlValue& entry : TRY(routes.entries(0, limits::kRoutesMax))) {
      if (spec_.find_model(entry.name) != nullptr) return entry.value.fail("a model has this id");
      const std::string text = TRY(entry.value.text(limits::kTextCharactersMax));
      auto route = parse_route(entry.name, text, models);
      if (!route) return entry.value.fail(route.error().message);
      spec_.routes.push_back(*std::move(route));
    }
    return {};
  }

  base::Result<> read_stages(const YamlValue& value) {
    std::vector<YamlValue> stages;
    KnownNames names{spec_, {}};
    for (const YamlValue& item : TRY(value.list(0, limits::kStagesMax))) {
      std::string id = TRY(read_stage_id(item));
      if (std::find(names.stages.begin(), names.stages.end(), id) != names.stages.end()) {
        return TRY(item.required("id")).fail(id + ": another stage has this id");
      }
      stages.push_back(item.renamed("stages." + id));
      names.stages.push_back(std::move(id));
    }
    for (const YamlValue& stage : stages) {
      StageSpec read = TRY(read_stage(stage, names));
      spec_.stages.push_back(std::move(read));
    }
    const auto graph = StageGraph::create(spec_);
    if (graph) return {};
    return stages[static_cast<size_t>(graph.error().stage)].fail(graph.error().text);
  }

  const YamlValue& root_;
  PipelineSpec spec_;
};

}  // namespace

base::Result<PipelineSpec> parse_pipeline(std::string_view yaml, const std::string& file) {
  const auto tree = parse_yaml(yaml);
  if (!tree) return base::fail(file + ":" + tree.error().message);
  const YamlValue root(**tree, file, "");
  return PipelineReader(root).read();
}

base::Result<PipelineSpec> load_pipeline(const std::string& path) {
  return parse_pipeline(TRY(base::read_text_file(path, limits::kFileBytesMax)), path);
}

}  // namespace neuros::builder
