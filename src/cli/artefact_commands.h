#pragma once

/// The commands of a program that carries its models (docs/formats/artefact.md): serve, run, plan.

#include "base/result.h"
#include "cli/command.h"
#include "pipeline/artefact.h"

#include <optional>

namespace neuros::cli {

/// What is behind this program's executable; nullopt: it is neuros itself.
base::Result<std::optional<pipeline::Artefact>> own_artefact();

/// Declares them on `app`; `artefact` outlives the action.
void add_artefact_commands(CLI::App& app, Action& action, const pipeline::Artefact& artefact);

}  // namespace neuros::cli
