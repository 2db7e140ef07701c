#pragma once

/// One command of the program = one file with one `add_*` function that declares its flags and what
/// it does. `main` only lists them.

#include "base/result.h"

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace neuros::cli {

/// What the chosen command does after the flags were read; its error becomes exit code 1.
using Action = std::function<base::Result<>()>;

/// Declares a command on `app`; when it is chosen, it stores what to do in `action`.
using AddCommand = void (*)(CLI::App& app, Action& action);

void add_run(CLI::App& app, Action& action);
void add_serve(CLI::App& app, Action& action);
void add_plan(CLI::App& app, Action& action);
void add_build(CLI::App& app, Action& action);
void add_profile(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_convert(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_tokenize(CLI::App& app, Action& action);
void add_template(CLI::App& app, Action& action);
void add_synth(CLI::App& app, Action& action);

}  // namespace neuros::cli
