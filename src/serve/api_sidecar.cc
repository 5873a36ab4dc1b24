// POST /infer: the sidecar that an existing EdgeInfer calls. See api.h.
//
// The old client needs exactly 64 latents and 12 scores, so both are filled up with zeros; what it
// does not know stands beside them. Latents are the FSQ code's centres if the bundle says how
// its digits map to them, else its digits, else the logits.
// Reference: the EdgeInfer contract. Test: server_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "decide/fsq.h"
#include "serve/api.h"
#include "serve/json.h"

namespace graupel::serve {
namespace {

constexpr size_t kLatents = 64;
constexpr size_t kMotifs = 12;
constexpr size_t kSensorChannels = 9;

Error does_not_fit(const SidecarRequest& request, const Shape& shape) {
  return invalid_input(
      "x", fmt::format("is {} samples x {} sensors x {} channels, the model takes {} samples x {} "
                       "sensors x {} channels",
                       request.samples, request.sensors, request.channels, shape[2], shape[1],
                       shape[0]));
}

Result<void> check_limits(const SidecarRequest& request, const SensorLimits& limits) {
  const std::array<double, 3> of_triplet = {limits.acceleration_m_s2, limits.rotation_rad_s,
                                            limits.field_ut};
  constexpr std::array<std::string_view, 3> kNames = {"acceleration", "rotation", "field"};
  if (request.channels != kSensorChannels) return ok();
  for (size_t i = 0; i < request.values.size(); ++i) {
    const size_t triplet = i % kSensorChannels / 3;
    if (std::abs(static_cast<double>(request.values[i])) <= of_triplet[triplet]) continue;
    return invalid_input(
        fmt::format("x[{}]", i / (request.sensors * request.channels)),
        fmt::format("has a {} of {}, beyond the limit of {}; is it in another unit?",
                    kNames[triplet], request.values[i], of_triplet[triplet]));
  }
  return ok();
}

// [samples][sensors][channels] to the model's [channels][sensors][samples].
Result<std::vector<float>> window_of(const SidecarRequest& request, const Shape& shape,
                                     bool mirror_sensor) {
  if (shape.size() != 3) {
    return unsupported("model",
                       "takes no windows of channels x sensors x samples; use "
                       "/v2/models/NAME/infer");
  }
  const auto channels = static_cast<size_t>(shape[0]), sensors = static_cast<size_t>(shape[1]);
  const auto samples = static_cast<size_t>(shape[2]);
  const bool mirrored = mirror_sensor && request.sensors == 1 && sensors == 2;
  if (request.samples != samples || request.channels != channels ||
      (request.sensors != sensors && !mirrored)) {
    return does_not_fit(request, shape);
  }
  std::vector<float> window(channels * sensors * samples);
  for (size_t t = 0; t < samples; ++t) {
    for (size_t s = 0; s < sensors; ++s) {
      const size_t from = (t * request.sensors + (mirrored ? 0 : s)) * channels;
      for (size_t c = 0; c < channels; ++c) {
        window[(c * sensors + s) * samples + t] = request.values[from + c];
      }
    }
  }
  return window;
}

std::vector<double> latents_of(const Model& model, const WindowAnswer& answer) {
  const run::Answer& decision = *answer.decision;
  const std::vector<int64_t>& digits = decision.fsq_digits;
  if (model.decider && model.decider->block.fsq &&
      model.decider->block.fsq->levels.size() == digits.size() && !digits.empty()) {
    const decide::Fsq& fsq = *model.decider->block.fsq;
    std::vector<double> centres;
    for (size_t d = 0; d < digits.size(); ++d) {
      centres.push_back(decide::code_centre(fsq.variant, fsq.levels[d], digits[d]));
    }
    return centres;
  }
  if (!decision.fsq_digits.empty()) {
    return {decision.fsq_digits.begin(), decision.fsq_digits.end()};
  }
  return {decision.logits.begin(), decision.logits.end()};
}

void append_numbers(std::string& json, std::vector<double> values, size_t padded_to) {
  if (padded_to > 0) values.resize(padded_to, 0.0);
  json += '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) json += ',';
    append_number(json, values[i]);
  }
  json += ']';
}

std::string answer_json(const Model& model, const WindowAnswer& answer, bool compat,
                        double latency_ms) {
  const run::Answer& decision = *answer.decision;
  std::string json = "{\"latent\":";
  append_numbers(json, latents_of(model, answer), compat ? kLatents : 0);
  json += ",\"motif_scores\":";
  append_numbers(json, answer.probabilities, compat ? kMotifs : 0);
  json += fmt::format(",\"class\":{},\"label\":", decision.class_index);
  append_text(json, decision.label);
  json += ",\"probabilities\":";
  append_numbers(json, answer.probabilities, 0);
  if (decision.conformal_set) {
    json += fmt::format(",\"conformal_set\":[{}]", fmt::join(*decision.conformal_set, ","));
  }
  if (decision.fsq_code) json += fmt::format(",\"fsq_code\":{}", *decision.fsq_code);
  json += ",\"engine\":";
  append_text(json, answer.engine);
  if (!answer.fallback_reason.empty()) {
    json += ",\"fallback_reason\":";
    append_text(json, answer.fallback_reason);
  }
  json += fmt::format(",\"latency_ms\":{:.4f},\"model\":", latency_ms);
  append_text(json, model.name);
  json += ",\"model_version\":";
  append_text(json, model.version);
  return json + "}";
}

Reply infer(Service& service, const Call& call, Model& model, size_t worker, RequestTimes& times) {
  const TimePoint begun = Clock::now();
  const Result<SidecarRequest> request =
      parse_sidecar_request(call.request->body, element_count(model.window_shape()).value_or(0));
  service.metrics.parsed("json", seconds_since(begun));
  if (!request.ok()) return error_reply(call, request.error());
  if (const Result<void> within = check_limits(*request, service.options.sensor_limits);
      !within.ok()) {
    return error_reply(call, within.error(), 422);
  }
  const Result<std::vector<float>> window =
      window_of(*request, model.window_shape(), service.options.mirror_sensor);
  if (!window.ok()) return error_reply(call, window.error(), 422);
  times.input_s = seconds_since(begun);
  const Result<WindowAnswer> answered = answer(model, worker, *window);
  if (!answered.ok()) return error_reply(call, answered.error(), 500);
  observe(service.metrics, model, *answered, times.queue_s);
  if (!answered->decision) {
    return error_reply(call, unsupported("model", "gives no class scores; use /v2/models"), 422);
  }
  const double latency_ms = 1e3 * seconds_since(call.received);
  std::string json = answer_json(model, *answered, service.options.edgeinfer_compat, latency_ms);
  times.windows = 1;
  times.infer_s = answered->infer_seconds;
  times.output_s = seconds_since(begun) - times.input_s - times.infer_s;
  return json_reply(200, std::move(json));
}

}  // namespace

void post_sidecar_infer(Service& service, Call call) {
  const std::shared_ptr<Model> model = service.models.first();
  if (model == nullptr || service.draining) {
    return call.respond(error_reply(call.form, 503, "not_ready", "no model is ready",
                                    call.request_id, model != nullptr));
  }
  const auto times = std::make_shared<RequestTimes>();
  call = counted(std::move(call), model, times);
  compute(service, call, service.options.deadline,
          [&service, call, model, times](size_t worker, double queue_seconds) {
            times->queue_s = queue_seconds;
            return infer(service, call, *model, worker, *times);
          });
}

}  // namespace graupel::serve
