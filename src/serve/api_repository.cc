// Loading and unloading models while requests go on. See api.h. Reference: the model repository
// extension of the Open Inference Protocol. Test: server_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "serve/api.h"
#include "serve/json.h"

namespace graupel::serve {
namespace {

// The configured sources and what now lies in the model directory.
Result<void> refresh_sources(Service& service) {
  if (service.options.model_directory.empty()) return ok();
  TRY_ASSIGN(const std::vector<ModelSource> found,
             list_model_directory(service.options.model_directory));
  for (const ModelSource& source : found) {
    auto& known = service.models.sources;
    if (std::find(known.begin(), known.end(), source) == known.end()) known.push_back(source);
  }
  return ok();
}

std::vector<ModelSource> sources_of(const Service& service, std::string_view name) {
  std::vector<ModelSource> found;
  for (const ModelSource& source : service.models.sources) {
    if (source.name == name) found.push_back(source);
  }
  return found;
}

struct Loading {
  size_t left = 0;
  std::string error;
};

}  // namespace

void load_in_background(Service& service, ModelSource source,
                        std::function<void(Result<void>)> done) {
  // The model before it may still hold the device; it answers on the CPU until that is closed.
  npu::EngineOptions engine = service.options.engine;
  if (engine.choice == npu::EngineChoice::kHailort) engine.choice = npu::EngineChoice::kAuto;
  const auto load = [&service, source, done, engine](size_t) {
    Result<std::shared_ptr<Model>> loaded =
        load_model(source.path, source.name, source.version, service.workers.threads(), engine);
    service.loop.post([&service, source, done, loaded = std::move(loaded)] {
      service.metrics.model_loaded(source.name, source.version,
                                   loaded.ok() ? (*loaded)->sha256 : "", loaded.ok());
      if (!loaded.ok()) return done(loaded.error());
      service.models.loaded[source.name][source.version] = *loaded;
      done(ok());
    });
  };
  if (!service.loader.submit({TimePoint::max(), load, [] {}})) {
    done(invalid_input(source.name, "cannot be loaded now: too many loads wait already"));
  }
}

void post_oip_index(Service& service, Call call) {
  if (const Result<void> refreshed = refresh_sources(service); !refreshed.ok()) {
    return call.respond(error_reply(call, refreshed.error()));
  }
  std::string json = "[";
  for (const ModelSource& source : service.models.sources) {
    const bool is_loaded = service.models.find(source.name, source.version) != nullptr;
    json += json.size() > 1 ? ",{\"name\":" : "{\"name\":";
    append_text(json, source.name);
    json += ",\"version\":";
    append_text(json, source.version);
    json += is_loaded ? ",\"state\":\"READY\",\"reason\":\"\"}"
                      : ",\"state\":\"UNAVAILABLE\",\"reason\":\"not loaded\"}";
  }
  call.respond(json_reply(200, json + "]"));
}

void post_oip_load(Service& service, Call call) {
  if (const Result<void> refreshed = refresh_sources(service); !refreshed.ok()) {
    return call.respond(error_reply(call, refreshed.error()));
  }
  const std::vector<ModelSource> sources = sources_of(service, call.parameters[0]);
  if (sources.empty()) {
    return call.respond(error_reply(call.form, 404, "no_model",
                                    "no model '" + shortened(call.parameters[0], 64) +
                                        "' is configured or lies in the model directory"));
  }
  const auto state = std::make_shared<Loading>();
  state->left = sources.size();
  for (const ModelSource& source : sources) {
    load_in_background(service, source, [state, call](const Result<void>& loaded) {
      if (!loaded.ok()) state->error = loaded.error().message();
      if (--state->left > 0) return;
      call.respond(state->error.empty() ? json_reply(200, "{}")
                                        : error_reply(call.form, 400, "load_failed", state->error));
    });
  }
}

void post_oip_unload(Service& service, Call call) {
  if (service.models.loaded.erase(call.parameters[0]) == 0) {
    return call.respond(error_reply(call.form, 404, "no_model", "that model is not loaded"));
  }
  call.respond(json_reply(200, "{}"));
}

}  // namespace graupel::serve
