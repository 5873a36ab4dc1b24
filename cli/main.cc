// The graupel command: one subcommand per stage of ARCHITECTURE.md's table.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "cli/command.h"

int main(int argc, char** argv) {
  using namespace graupel::cli;
  CLI::App app{"graupel takes a trained ONNX network to a Hailo-8 NPU and proves every step."};
  app.set_version_flag("--version", "graupel " + std::string(graupel::deploy::kVersion));
  app.require_subcommand(1);
  app.footer(
      "\nExit status: 0 done and all bars met; 1 done, and a check or bar failed; 2 bad usage "
      "or input;\n3 something this machine lacks. Each verb has --help with an example.\n");
  Globals globals;
  // CLI11 sets flags only once everything has parsed; errors before that answer in JSON too.
  const auto asks_for_json = [](const char* argument) {
    return std::string_view(argument) == "--json";
  };
  const bool json_errors = std::any_of(argv, argv + argc, asks_for_json);
  add_deploy(app, globals);
  add_simplify(app, globals);
  add_check(app, globals);
  add_parse(app, globals);
  add_optimize(app, globals);
  add_compile(app, globals);
  add_validate(app, globals);
  add_calibrate(app, globals);
  add_crossfit(app, globals);
  add_codes(app, globals);
  add_profile(app, globals);
  add_run(app, globals);
  add_hsmm(app, globals);
  add_decode(app, globals);
  add_serve(app, globals);
  add_inspect(app, globals);
  add_prepare(app, globals);
  add_train(app, globals);
  add_synth(app, globals);
  add_doctor(app, globals);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    globals.json = json_errors;
    const std::string first = argc > 1 ? argv[1] : "";
    const bool unknown_verb =
        !first.empty() && first[0] != '-' &&
        app.get_subcommands([&](const CLI::App* verb) { return verb->get_name() == first; })
            .empty();
    const std::string found = unknown_verb ? "there is no verb '" + first + "'" : error.what();
    show_error(globals, graupel::invalid_input("usage", found + "; see graupel VERB --help"));
    return kBadInput;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    show_error({}, graupel::io_error("stdout", "could not be written"));
    return kBadInput;
  }
  return globals.exit_code;
}
