// qkjit: the command line over the library.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "qkjit/qkjit.h"
#include "tools/qkjit/commands.hpp"

int main(int argc, char** argv) {
  using qkjit::Exit;
  CLI::App app("Norm and RoPE of Q and K with kernels specialised at run time.", "qkjit");
  app.set_version_flag("--version", std::string("qkjit ") + qkjit_version());
  app.require_subcommand(1);
  app.fallthrough();  // global options may follow the command
  app.footer(
      "Data goes to stdout, everything else to stderr. Exit codes: 0 good, 1 some work failed or a "
      "check\n"
      "did not hold, 2 usage, 3 unsupported or not found, 4 environment, 130 interrupted.");

  qkjit::Console console;
  std::string color = "auto";
  bool quiet = false;
  int verbose = 0;
  app.add_flag("--json", console.json, "Print one JSON document with a \"schema\" field");
  app.add_flag("-q,--quiet", quiet, "Errors only on stderr");
  app.add_flag("-v,--verbose", verbose, "Say more on stderr");
  app.add_option("--color", color, "auto, always or never; NO_COLOR is honoured")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  app.parse_complete_callback([&] {
    console.color = qkjit::wants_color(color);
    console.verbosity = quiet ? -1 : verbose;
  });

  Exit exit = Exit::good;
  qkjit::add_run(app, console, exit);
  qkjit::add_precompile(app, console, exit);
  qkjit::add_inspect(app, console, exit);
  qkjit::add_explain(app, console, exit);
  qkjit::add_tune(app, console, exit);
  qkjit::add_cache(app, console, exit);
  qkjit::add_bench(app, console, exit);
  qkjit::add_doctor(app, console, exit);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11's own codes lie above 100; ours are documented.
    return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::usage);
  } catch (const std::bad_alloc&) {
    exit = qkjit::report({qkjit::Code::not_ready, "not enough memory; ask for fewer tokens"});
  } catch (const std::exception& error) {
    exit = qkjit::report({qkjit::Code::internal, error.what()});
  }
  if (std::fflush(stdout) != 0 && exit == Exit::good) {
    exit = qkjit::report(
        {qkjit::Code::cache_io, std::string("cannot write to stdout: ") + std::strerror(errno)});
  }
  return static_cast<int>(exit);
}
