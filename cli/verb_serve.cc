// graupel serve: bundles behind HTTP.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"
#include "cli/command.h"
#include "cli/serve_flags.h"
#include "serve/notify.h"
#include "serve/server.h"

namespace graupel::cli {
namespace {

// One JSON object per line on stderr. A line begins with '{', which the pattern has written.
serve::Log json_log(const Globals& globals) {
  auto logger = spdlog::stderr_logger_mt("serve");
  logger->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v)");
  if (globals.quiet) logger->set_level(spdlog::level::warn);
  return [logger](std::string_view level, const std::string& line) {
    logger->log(spdlog::level::from_str(std::string(level)), "{}", line.substr(1));
  };
}

Result<int> run(const Globals& globals, const ServeFlags& flags) {
  serve::ServeOptions options = flags.options;
  options.deadline = std::chrono::milliseconds(flags.deadline_ms);
  options.log_requests = !globals.quiet;
  options.engine = engine_options(flags.engine);
  options.drain = std::chrono::milliseconds(flags.drain_ms);
  options.sessions.idle = std::chrono::seconds(flags.session_idle_s);
  for (const std::string& bundle : flags.bundles) {
    TRY_ASSIGN(serve::ModelSource source, serve::parse_model_source(bundle));
    options.models.push_back(std::move(source));
  }
  if (!flags.keys_file.empty()) {
    TRY_ASSIGN(const std::string text, read_file(flags.keys_file, 1 << 20));
    TRY_ASSIGN(options.keys, serve::parse_keys(text, flags.keys_file));
  }
  const std::string address = options.http.address;
  serve::EventLoop loop;
  TRY_ASSIGN(const std::unique_ptr<serve::Server> server,
             serve::Server::start(loop, std::move(options), json_log(globals)));
  serve::handle_signals(loop, *server);
  serve::notify_supervisor(
      loop, *server,
      serve::notify_options(std::getenv("NOTIFY_SOCKET"), std::getenv("WATCHDOG_USEC"),
                            std::getenv("WATCHDOG_PID"), getpid()));
  print_json(globals, {{"address", address}, {"port", server->port()}});
  note(globals, fmt::format("serving on {}:{}", address, server->port()));
  if (flags.keys_file.empty() && address != "127.0.0.1" && address != "::1") {
    warn(globals, "open to the network without --keys: anyone who reaches it may use it");
  }
  std::fflush(stdout);
  loop.run();
  return kDone;
}

}  // namespace

void add_serve(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<ServeFlags>();
  CLI::App* verb = add_verb(
      app, globals, "serve", "bundles behind HTTP: EdgeInfer and Open Inference Protocol",
      "graupel serve fsq.graupel --port 9000", [&globals, flags] { return run(globals, *flags); });
  add_serve_flags(*verb, *flags);
}

}  // namespace graupel::cli
