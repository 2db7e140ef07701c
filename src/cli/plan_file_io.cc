#include "cli/plan_file_io.h"

#include "base/mapped_file.h"
#include "formats/output_file.h"
#include "pipeline/artefact.h"
#include "plan/plan_file.h"

#include <filesystem>
#include <span>

namespace neuros::cli {

base::Result<std::optional<plan::FleetPlan>> find_plan(const std::string& path) {
  if (path.ends_with(".plan")) return std::optional<plan::FleetPlan>(TRY(load_plan(path)));
  if (!std::filesystem::is_regular_file(path)) return std::nullopt;
  const auto artefact = TRY(pipeline::Artefact::find(path));
  if (!artefact) return std::nullopt;
  return artefact->plan();
}

base::Result<plan::FleetPlan> load_plan(const std::string& path) {
  const std::string file = TRY(base::read_text_file(path, plan::kPlanFileBytesMax));
  auto fleet = plan::read_plan(std::as_bytes(std::span(file)));
  if (!fleet) return tl::unexpected(with_context(std::move(fleet).error(), path));
  return fleet;
}

base::Result<> save_plan(const plan::FleetPlan& fleet, const std::string& path) {
  formats::OutputFile file = TRY(formats::OutputFile::create(path));
  TRY(file.write(plan::write_plan(fleet)));
  return file.finish();
}

std::string plan_page(const plan::FleetPlan& fleet, bool json) {
  if (fleet.models.size() > 1) return json ? plan::describe_json(fleet) : plan::describe(fleet);
  const plan::Plan& plan = fleet.models.front();
  return json ? plan::describe_json(plan) + "\n" : plan::describe(plan);
}

}  // namespace neuros::cli
