// The protocol's statistics extension. See api.h, statistics.h. Reference: Triton's
// docs/protocol/extension_statistics.md. Test: server_test.cc, tests/operations/clients_test.py.
#include <algorithm>

#include "base/text.h"
#include "serve/api.h"
#include "serve/json_writer.h"

namespace graupel::serve {
namespace {

void write_tally(JsonWriter& json, std::string_view name, const Tally& tally) {
  json.key(name).begin_object().field("count", tally.count).field("ns", tally.nanoseconds);
  json.end_object();
}

// The parts of the time that goes into a batch; counted per window, as each is executed alone.
void write_batches(JsonWriter& json, const StatisticsView& view) {
  json.key("batch_stats").begin_array();
  if (view.windows > 0) {
    json.begin_object().field("batch_size", 1);
    write_tally(json, "compute_input", {view.windows, view.input.nanoseconds});
    write_tally(json, "compute_infer", {view.windows, view.infer.nanoseconds});
    write_tally(json, "compute_output", {view.windows, view.output.nanoseconds});
    json.end_object();
  }
  json.end_array();
}

void write_model(JsonWriter& json, const Model& model) {
  const StatisticsView view = model.statistics.view();
  json.begin_object().field("name", model.name).field("version", model.version);
  json.field("last_inference", view.last_ms);
  json.field("inference_count", view.windows).field("execution_count", view.windows);
  json.key("inference_stats").begin_object();
  write_tally(json, "success", view.success);
  write_tally(json, "fail", view.fail);
  write_tally(json, "queue", view.queue);
  write_tally(json, "compute_input", view.input);
  write_tally(json, "compute_infer", view.infer);
  write_tally(json, "compute_output", view.output);
  write_tally(json, "cache_hit", {});
  write_tally(json, "cache_miss", {});
  json.end_object();
  write_batches(json, view);
  json.key("memory_usage").begin_array().end_array().end_object();
}

}  // namespace

void get_oip_statistics(Service& service, Call call) {
  const std::string name = call.parameters.empty() ? "" : call.parameters[0];
  const std::string version = call.parameters.size() > 1 ? call.parameters[1] : "";
  JsonWriter json;
  json.begin_object().key("model_stats").begin_array();
  bool found = name.empty();
  for (const auto& [each, versions] : service.models.loaded) {
    for (const auto& [number, model] : versions) {
      if ((!name.empty() && each != name) || (!version.empty() && number != version)) continue;
      found = true;
      write_model(json, *model);
    }
  }
  if (!found) {
    return call.respond(error_reply(call.form, 404, "no_model",
                                    "no model '" + shortened(name, 64) +
                                        "' of that version is loaded; POST /v2/repository/index "
                                        "lists them"));
  }
  call.respond(json_reply(200, json.end_array().end_object().take()));
}

Call counted(Call call, const std::shared_ptr<Model>& model,
             const std::shared_ptr<RequestTimes>& times) {
  call.respond = [model, times, received = call.received,
                  respond = std::move(call.respond)](Reply reply) {
    const double total_s = seconds_since(received);
    if (reply.status < 400) {
      model->statistics.answered(*times, total_s, std::chrono::system_clock::now());
    } else {
      model->statistics.failed(total_s);
    }
    respond(std::move(reply));
  };
  return call;
}

}  // namespace graupel::serve
