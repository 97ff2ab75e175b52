// qkjit cache export, import and keygen on the command line.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/qkjit/console.hpp"

namespace qkjit {

void add_bundle_commands(CLI::App& cache, const Console& console, Exit& exit);

}  // namespace qkjit
