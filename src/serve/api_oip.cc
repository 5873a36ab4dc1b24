// The Open Inference Protocol v2: metadata and inference. See api.h.
//
// A request's one input is the bundle's raw window, [N, ...] or a single one without N. Outputs
// are the network's, then "probabilities" and "class" where it gives class scores.
// Reference: Open Inference Protocol REST, Triton's binary tensor extension.
// Test: server_test.cc; tests/operations/sessions_test.py for sequences.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/text.h"
#include "serve/api.h"
#include "serve/json.h"

namespace graupel::serve {
namespace {

constexpr size_t kMaxValues = size_t{1} << 24;

std::string_view oip_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return "FP32";
    case DType::kFloat64: return "FP64";
    case DType::kInt64: return "INT64";
    case DType::kInt32: return "INT32";
    case DType::kInt16: return "INT16";
    case DType::kInt8: return "INT8";
    case DType::kUInt8: return "UINT8";
    default: return "BYTES";
  }
}

// A named tensor of N windows.
struct Output {
  std::string name;
  DType dtype = DType::kFloat32;
  Shape shape;
  std::string bytes;  // little-endian, as in memory
};

std::shared_ptr<Model> model_of(Service& service, const Call& call) {
  const std::string version = call.parameters.size() > 1 ? call.parameters[1] : "";
  return service.models.find(call.parameters[0], version);
}

Reply no_model(const Call& call) {
  return error_reply(call.form, 404, "no_model",
                     "no model '" + shortened(call.parameters[0], 64) +
                         "' of that version is loaded; POST /v2/repository/index lists them");
}

void append_shape(std::string& json, const Shape& shape, bool open_batch) {
  json += open_batch ? "[-1" : "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    json += fmt::format("{}{}", i > 0 || open_batch ? "," : "", shape[i]);
  }
  json += "]";
}

void append_tensor_metadata(std::string& json, std::string_view name, DType dtype,
                            const Shape& shape) {
  json += json.ends_with('[') ? "{\"name\":" : ",{\"name\":";
  append_text(json, name);
  json += fmt::format(",\"datatype\":\"{}\",\"shape\":", oip_type(dtype));
  append_shape(json, shape, true);
  json += "}";
}

Shape without_batch(const Shape& shape) {
  return Shape(shape.begin() + (shape.empty() ? 0 : 1), shape.end());
}

std::string metadata_json(const Service& service, const Model& model) {
  std::string json = "{\"name\":";
  append_text(json, model.name);
  json += ",\"versions\":[";
  if (const auto versions = service.models.loaded.find(model.name);
      versions != service.models.loaded.end()) {
    for (const auto& [version, each] : versions->second) {
      if (!json.ends_with('[')) json += ",";
      append_text(json, version);
    }
  }
  json += "],\"platform\":\"graupel_bundlev1\",\"inputs\":[";
  const run::Plan& plan = model.plan();
  append_tensor_metadata(json, plan.inputs[0].name, DType::kFloat32, model.window_shape());
  json += "],\"outputs\":[";
  for (const run::Port& port : plan.outputs) {
    const run::Buffer& buffer = plan.buffers[port.buffer.index()];
    append_tensor_metadata(json, port.name, buffer.dtype, without_batch(buffer.shape));
  }
  if (model.decides) {
    const auto classes = static_cast<int64_t>(
        run::buffer_elements(plan.buffers[plan.outputs[*run::logits_output(plan)].buffer.index()]));
    append_tensor_metadata(json, "probabilities", DType::kFloat64, {classes});
    append_tensor_metadata(json, "class", DType::kInt64, {});
  }
  return json + "]}";
}

// Values of the one input, and how many windows they are.
struct Batch {
  size_t windows = 0;
  std::vector<float> values;
};

Result<Batch> batch_of(const Model& model, OipTensor tensor, size_t window_limit) {
  const Shape window = model.window_shape();
  const std::string expected = fmt::format("FP32 of shape [N,{}]", fmt::join(window, ","));
  const std::string& name = model.plan().inputs[0].name;
  if (tensor.name != name) {
    return invalid_input("inputs", fmt::format("has '{}', the model's input is '{}'",
                                               shortened(tensor.name, 60), name));
  }
  const bool batched = tensor.shape.size() == window.size() + 1 &&
                       std::equal(window.begin(), window.end(), tensor.shape.begin() + 1);
  if (tensor.datatype != "FP32" || (!batched && tensor.shape != window)) {
    return invalid_input("input " + name, fmt::format("is {} of shape [{}], expected {}",
                                                      shortened(tensor.datatype, 12),
                                                      fmt::join(tensor.shape, ","), expected));
  }
  Batch batch;
  batch.windows = batched ? static_cast<size_t>(tensor.shape[0]) : 1;
  const auto each = static_cast<size_t>(element_count(window).value_or(0));
  if (batch.windows == 0 || batch.windows > window_limit) {
    return invalid_input("input " + name, fmt::format("holds {} windows, 1 to {} are taken",
                                                      batch.windows, window_limit));
  }
  if (tensor.values.size() != batch.windows * each) {
    return invalid_input("input " + name, fmt::format("holds {} values, its shape says {}",
                                                      tensor.values.size(), batch.windows * each));
  }
  batch.values = std::move(tensor.values);
  return batch;
}

// JSON part and binary rest of a body; the whole body is JSON without the header.
struct Parts {
  std::string_view json, binary;
};

Result<Parts> split_body(const Request& request) {
  const std::string_view text = request.header("inference-header-content-length");
  const std::string_view body = request.body;
  if (text.empty()) return Parts{body, {}};
  size_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size() || size > body.size()) {
    return invalid_input("Inference-Header-Content-Length",
                         fmt::format("has to be a size up to the body's {} bytes", body.size()));
  }
  return Parts{body.substr(0, size), body.substr(size)};
}

Result<void> take_binary(std::string_view binary, OipRequest& request) {
  size_t at = 0;
  for (OipTensor& tensor : request.inputs) {
    if (!tensor.binary_data_size) continue;
    const uint64_t size = *tensor.binary_data_size;
    if (size > binary.size() - at || size % sizeof(float) != 0) {
      return invalid_input("input " + shortened(tensor.name, 60),
                           fmt::format("has binary_data_size {}, {} bytes are left in the body",
                                       size, binary.size() - at));
    }
    tensor.values.resize(size / sizeof(float));
    std::memcpy(tensor.values.data(), binary.data() + at, size);
    at += size;
    for (const float value : tensor.values) {
      if (!std::isfinite(value)) {
        return invalid_input("input " + shortened(tensor.name, 60), "holds a NaN or an infinity");
      }
    }
  }
  if (at != binary.size()) {
    return invalid_input("body",
                         fmt::format("holds {} bytes that no input claims", binary.size() - at));
  }
  return ok();
}

void append_bytes(Output& output, const void* data, size_t size) {
  output.bytes.append(static_cast<const char*>(data), size);
}

// Makes room for N windows of every output, without values.
std::vector<Output> empty_outputs(const Model& model, size_t windows) {
  std::vector<Output> outputs;
  const run::Plan& plan = model.plan();
  for (const run::Port& port : plan.outputs) {
    const run::Buffer& buffer = plan.buffers[port.buffer.index()];
    Shape shape = without_batch(buffer.shape);
    shape.insert(shape.begin(), static_cast<int64_t>(windows));
    outputs.push_back({port.name, buffer.dtype, std::move(shape), {}});
  }
  return outputs;
}

void append_answer(const WindowAnswer& answer, size_t windows, std::vector<Output>& outputs) {
  for (size_t i = 0; i < answer.outputs.size(); ++i) {
    const Tensor& tensor = answer.outputs[i];
    append_bytes(outputs[i], tensor.bytes(), tensor.size() * element_size_bytes(tensor.dtype()));
  }
  if (!answer.decision) return;
  if (outputs.size() == answer.outputs.size()) {
    const auto count = static_cast<int64_t>(windows);
    const auto classes = static_cast<int64_t>(answer.probabilities.size());
    outputs.push_back({"probabilities", DType::kFloat64, {count, classes}, {}});
    outputs.push_back({"class", DType::kInt64, {count}, {}});
  }
  Output& probabilities = outputs[outputs.size() - 2];
  append_bytes(probabilities, answer.probabilities.data(),
               answer.probabilities.size() * sizeof(double));
  append_bytes(outputs.back(), &answer.decision->class_index, sizeof(int64_t));
}

template <class T>
void append_values(std::string& json, std::string_view bytes) {
  for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    if (at > 0) json += ',';
    if constexpr (std::is_integral_v<T>) {
      append_number(json, static_cast<int64_t>(value));
    } else {
      append_number(json, value);
    }
  }
}

void append_data(std::string& json, const Output& output) {
  json += ",\"data\":[";
  switch (output.dtype) {
    case DType::kFloat32: append_values<float>(json, output.bytes); break;
    case DType::kFloat64: append_values<double>(json, output.bytes); break;
    case DType::kInt64: append_values<int64_t>(json, output.bytes); break;
    case DType::kInt32: append_values<int32_t>(json, output.bytes); break;
    case DType::kInt16: append_values<int16_t>(json, output.bytes); break;
    case DType::kInt8: append_values<int8_t>(json, output.bytes); break;
    default: append_values<uint8_t>(json, output.bytes); break;
  }
  json += "]";
}

// The outputs a request wants, in its order; all of them if it names none.
Result<std::vector<std::pair<const Output*, bool>>> wanted_outputs(
    const OipRequest& request, const std::vector<Output>& outputs) {
  std::vector<std::pair<const Output*, bool>> wanted;
  if (request.outputs.empty()) {
    for (const Output& output : outputs) wanted.push_back({&output, request.binary_data_output});
    return wanted;
  }
  for (const OipOutput& asked : request.outputs) {
    const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const Output& output) {
      return output.name == asked.name;
    });
    if (found == outputs.end()) {
      return invalid_input("outputs",
                           "has '" + shortened(asked.name, 60) + "', which the model lacks");
    }
    wanted.push_back({&*found, asked.binary_data.value_or(request.binary_data_output)});
  }
  return wanted;
}

// Who answered the windows of a request. One that the preferred engine did not answer names the
// engine and the reason.
struct Engines {
  std::string engine, reason;
  size_t fallbacks = 0;
};

void note(const WindowAnswer& window, Engines& engines) {
  const bool fallback = !window.fallback_reason.empty();
  if (engines.fallbacks == 0) engines.engine = window.engine;
  if (fallback && engines.fallbacks == 0) engines.reason = window.fallback_reason;
  engines.fallbacks += fallback ? 1 : 0;
}

Result<Reply> format_outputs(const Model& model, const OipRequest& request,
                             const std::vector<Output>& outputs, const Engines& engines) {
  TRY_ASSIGN(const auto wanted, wanted_outputs(request, outputs));
  std::string json = "{\"model_name\":", binary;
  append_text(json, model.name);
  json += ",\"model_version\":";
  append_text(json, model.version);
  if (!request.id.empty()) {
    json += ",\"id\":";
    append_text(json, request.id);
  }
  json += ",\"parameters\":{\"engine\":";
  append_text(json, engines.engine);
  if (engines.fallbacks > 0) {
    json += ",\"fallback_reason\":";
    append_text(json, engines.reason);
    json += fmt::format(",\"fallback_windows\":{}", engines.fallbacks);
  }
  json += "},\"outputs\":[";
  for (const auto& [output, as_binary] : wanted) {
    json += json.ends_with('[') ? "{\"name\":" : ",{\"name\":";
    append_text(json, output->name);
    json += fmt::format(",\"datatype\":\"{}\",\"shape\":", oip_type(output->dtype));
    append_shape(json, output->shape, false);
    if (as_binary) {
      json += fmt::format(",\"parameters\":{{\"binary_data_size\":{}}}", output->bytes.size());
      binary += output->bytes;
    } else {
      append_data(json, *output);
    }
    json += "}";
  }
  json += "]}";
  Reply reply = json_reply(200, json);
  if (!binary.empty()) {
    reply.content_type = "application/octet-stream";
    reply.headers.push_back({"Inference-Header-Content-Length", std::to_string(json.size())});
    reply.body += binary;
  }
  return reply;
}

// The next window of a sequence; adds what the HSMM says of it, if the bundle has one.
Result<void> answer_of_sequence(Model& model, size_t worker, std::span<const float> window,
                                SequenceEntry& sequence, WindowAnswer& answered,
                                std::vector<StateView>& states) {
  const std::lock_guard turn(sequence.mutex);
  WindowTask task;
  task.number = sequence.windows++;
  task.values.assign(window.begin(), window.end());
  TRY_ASSIGN(WindowRecord record,
             answer_in_stream(model, worker, task, {0, 0.0}, sequence.memory, answered));
  if (record.state) states.push_back(*std::move(record.state));
  answered.decision->conformal_set = std::move(record.conformal_set);
  return ok();
}

void append_states(const std::vector<StateView>& states, std::vector<Output>& outputs) {
  const auto count = static_cast<int64_t>(states.size());
  Output state{"state", DType::kInt64, {count}, {}};
  Output probability{"state_probability", DType::kFloat64, {count}, {}};
  Output windows{"state_windows", DType::kInt64, {count}, {}};
  for (const StateView& each : states) {
    append_bytes(state, &each.state, sizeof(int64_t));
    append_bytes(probability, &each.probability, sizeof(double));
    append_bytes(windows, &each.elapsed_windows, sizeof(int64_t));
  }
  outputs.insert(outputs.end(), {state, probability, windows});
}

Reply unavailable(const Call& call, std::string_view code, std::string_view detail, int retry_s) {
  Reply reply = error_reply(call.form, 503, code, detail, call.request_id);
  reply.headers.push_back({"Retry-After", std::to_string(retry_s)});
  return reply;
}

Result<Reply> infer(Service& service, const Call& call, Model& model, size_t worker,
                    RequestTimes& times) {
  const TimePoint begun = Clock::now();
  TRY_ASSIGN(const Parts parts, split_body(*call.request));
  TRY_ASSIGN(OipRequest request, parse_oip_request(parts.json, kMaxValues));
  TRY(take_binary(parts.binary, request));
  service.metrics.parsed(parts.binary.empty() ? "json" : "binary", seconds_since(begun));
  if (request.timeout_us &&
      seconds_since(call.received) * 1e6 > static_cast<double>(*request.timeout_us)) {
    service.metrics.refused("deadline");
    return unavailable(call, "deadline", "the request waited past its own timeout", 1);
  }
  if (request.inputs.size() != 1) {
    return invalid_input("inputs",
                         fmt::format("has {} tensors, the model takes one", request.inputs.size()));
  }
  TRY_ASSIGN(const Batch batch,
             batch_of(model, std::move(request.inputs[0]), service.options.windows_per_request));
  std::vector<Output> outputs = empty_outputs(model, batch.windows);
  const size_t each = batch.values.size() / batch.windows;
  const std::string owner = service.options.keys.empty() ? "" : call.who;
  const auto found = service.sequences.find(owner, model.name, request);
  if (!found.ok() && found.error().code == ErrorCode::kUnsupported) {
    service.metrics.refused("too_many_sequences");
    return unavailable(call, "too_many_sequences", found.error().message(), 30);
  }
  TRY_ASSIGN(const std::shared_ptr<SequenceEntry> sequence, found);
  Engines engines;
  std::vector<StateView> states;
  times.input_s = seconds_since(begun);
  for (size_t i = 0; i < batch.windows; ++i) {
    const std::span<const float> window = std::span(batch.values).subspan(i * each, each);
    WindowAnswer answered;
    if (sequence == nullptr) {
      TRY_ASSIGN(answered, answer(model, worker, window));
    } else {
      TRY(answer_of_sequence(model, worker, window, *sequence, answered, states));
    }
    observe(service.metrics, model, answered, times.queue_s);
    times.infer_s += answered.infer_seconds;
    append_answer(answered, batch.windows, outputs);
    note(answered, engines);
  }
  if (states.size() == batch.windows) append_states(states, outputs);
  service.sequences.finish(owner, model.name, request);
  Result<Reply> reply = format_outputs(model, request, outputs, engines);
  times.windows = batch.windows;
  times.output_s = seconds_since(begun) - times.input_s - times.infer_s;
  return reply;
}

}  // namespace

void observe(Metrics& metrics, const Model& model, const WindowAnswer& answer,
             double queue_seconds) {
  metrics.window(model.name, answer.engine, queue_seconds, answer.infer_seconds,
                 answer.decide_seconds);
  if (!answer.fallback_reason.empty()) {
    metrics.fallback(model.name, answer.fallback_reason, answer.engine);
  }
  if (answer.decision && answer.decision->conformal_set) {
    metrics.conformal_set(model.name, answer.decision->conformal_set->size());
  }
}

void get_oip_server(Service&, Call call) {
  call.respond(json_reply(
      200, fmt::format(R"({{"name":"graupel","version":"{}","extensions":["binary_tensor_data",)"
                       R"("model_repository","sequence","statistics"]}})",
                       kVersion)));
}

void get_oip_model(Service& service, Call call) {
  const std::shared_ptr<Model> model = model_of(service, call);
  if (model == nullptr) return call.respond(no_model(call));
  call.respond(json_reply(200, metadata_json(service, *model)));
}

void get_oip_ready(Service& service, Call call) {
  if (model_of(service, call) == nullptr) return call.respond(no_model(call));
  call.respond(json_reply(200, "{\"ready\":true}"));
}

void post_oip_infer(Service& service, Call call) {
  const std::shared_ptr<Model> model = model_of(service, call);
  if (model == nullptr) return call.respond(no_model(call));
  const auto times = std::make_shared<RequestTimes>();
  call = counted(std::move(call), model, times);
  compute(service, call, service.options.deadline,
          [&service, call, model, times](size_t worker, double queue_seconds) {
            times->queue_s = queue_seconds;
            Result<Reply> reply = infer(service, call, *model, worker, *times);
            return reply.ok() ? *std::move(reply) : error_reply(call, reply.error());
          });
}

}  // namespace graupel::serve
