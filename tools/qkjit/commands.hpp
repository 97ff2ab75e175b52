// The commands of the program. Each function adds one to the parser; its callback sets `exit`.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/qkjit/console.hpp"

namespace qkjit {

void add_run(CLI::App& app, const Console& console, Exit& exit);
void add_precompile(CLI::App& app, const Console& console, Exit& exit);
void add_inspect(CLI::App& app, const Console& console, Exit& exit);
void add_explain(CLI::App& app, const Console& console, Exit& exit);
void add_tune(CLI::App& app, const Console& console, Exit& exit);
void add_cache(CLI::App& app, const Console& console, Exit& exit);
void add_bench(CLI::App& app, const Console& console, Exit& exit);
void add_doctor(CLI::App& app, const Console& console, Exit& exit);

}  // namespace qkjit
