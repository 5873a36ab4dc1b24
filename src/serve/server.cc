// Start, reload and drained stop. See server.h. Test: server_test.cc.
#include "serve/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "serve/api.h"
#include "serve/json.h"

namespace graupel::serve {
namespace {

void log_text(const Service& service, std::string_view level, std::string_view event,
              std::string_view detail) {
  std::string line = fmt::format(R"({{"event":"{}","detail":)", event);
  append_text(line, detail);
  service.log(level, line + "}");
}

HttpHandlers handlers_of(Service& service) {
  HttpHandlers handlers;
  handlers.request = [&service](std::shared_ptr<const Request> request, Respond respond) {
    dispatch(service, std::move(request), std::move(respond));
  };
  handlers.malformed = [&service](int status, const std::string& what, const std::string& target) {
    service.metrics.refused("malformed");
    return error_reply(form_of(target), status, "malformed", what, {},
                       service.models.first() != nullptr);
  };
  handlers.may_upgrade = [&service](const Request& request) {
    return judge_upgrade(service, request);
  };
  handlers.socket_opened = [&service](const std::shared_ptr<const Request>& request,
                                      Socket socket) {
    open_socket(service, *request, std::move(socket));
  };
  handlers.socket_message = [&service](uint64_t socket, const std::string& bytes, bool binary) {
    receive_message(service, socket, bytes, binary);
  };
  handlers.socket_closed = [&service](uint64_t socket) { forget_socket(service, socket); };
  return handlers;
}

Result<void> load_all(Service& service) {
  service.models.sources = service.options.models;
  if (!service.options.model_directory.empty()) {
    TRY_ASSIGN(const std::vector<ModelSource> found,
               list_model_directory(service.options.model_directory));
    service.models.sources.insert(service.models.sources.end(), found.begin(), found.end());
  }
  if (service.models.sources.empty()) {
    return invalid_input("serve", "has no bundle to serve; name a file or a model directory");
  }
  for (const ModelSource& source : service.models.sources) {
    TRY_ASSIGN(const std::shared_ptr<Model> model,
               load_model(source.path, source.name, source.version, service.workers.threads(),
                          service.options.engine));
    if (!model->started.warning.empty()) {
      log_text(service, "warning", "engine", source.name + ": " + model->started.warning);
    }
    service.metrics.model_loaded(source.name, source.version, model->sha256, true);
    service.models.loaded[source.name][source.version] = model;
  }
  return ok();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(EventLoop& loop, ServeOptions options, Log log) {
  std::unique_ptr<Server> server(new Server());
  server->service_ = std::make_unique<Service>(loop, std::move(options), std::move(log));
  TRY(load_all(*server->service_));
  TRY_ASSIGN(server->http_, HttpServer::listen(loop, server->service_->options.http,
                                               handlers_of(*server->service_)));
  connect_sockets(*server->service_);
  server->sweep();
  server->service_->connections = [http = server->http_.get()] { return http->connections(); };
  return server;
}

void Server::reload() {
  for (const ModelSource& source : service_->models.sources) {
    load_in_background(*service_, source, [this, source](const Result<void>& loaded) {
      log_text(*service_, loaded.ok() ? "info" : "error",
               loaded.ok() ? "reloaded" : "reload_failed",
               loaded.ok() ? source.name : loaded.error().message());
    });
  }
}

void Server::sweep() {
  sweep_sessions(*service_);
  tend_sockets(*service_);
  service_->loop.after(std::chrono::seconds(1), [this] { sweep(); });
}

void Server::drain() {
  if (service_->draining) return;
  service_->draining = true;
  log_text(*service_, "info", "draining", "answering what was received");
  service_->stopping();
  end_all_sessions(*service_, "draining");
  http_->drain();
  stop_when_idle(Clock::now() + service_->options.drain);
}

void Server::stop_when_idle(TimePoint deadline) {
  const bool idle = http_->connections() == 0 && service_->workers.waiting() == 0;
  if (idle || Clock::now() >= deadline) {
    log_text(*service_, idle ? "info" : "warning", "stopped",
             idle ? "everything was answered" : "the deadline passed with connections open");
    return service_->loop.stop();
  }
  service_->loop.after(std::chrono::milliseconds(10),
                       [this, deadline] { stop_when_idle(deadline); });
}

void handle_signals(EventLoop& loop, Server& server) {
  loop.on_signals({SIGTERM, SIGINT, SIGHUP}, [&server](int signal) {
    if (signal == SIGHUP) {
      server.reload();
    } else {
      server.drain();
    }
  });
}

}  // namespace graupel::serve
