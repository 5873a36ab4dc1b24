// The C interface, include/graupel.h, over the engine.
//
// Idea: a handle owns one engine; what clones share (labels, name) is held by a shared pointer, so
// that strings live as long as any handle. Every entry checks its pointers; errors become codes
// and, where one is asked for, a line of text. Test: capi_test.cc (also the example in C).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "graupel.h"
#include "run/answers.h"
#include "run/load.h"

namespace run = graupel::run;

struct graupel_engine {
  struct Names {
    std::string model;
    std::string isa;
    std::vector<std::string> labels;
  };
  run::Engine engine;
  std::shared_ptr<const Names> names;
  size_t answered = 1;  // windows of the last run
};

namespace {

graupel_status status_of(graupel::ErrorCode code) {
  switch (code) {
    case graupel::ErrorCode::kInvalidInput: return GRAUPEL_INVALID_INPUT;
    case graupel::ErrorCode::kUnsupported: return GRAUPEL_UNSUPPORTED;
    case graupel::ErrorCode::kCorrupt: return GRAUPEL_CORRUPT;
    case graupel::ErrorCode::kIo: return GRAUPEL_IO;
    case graupel::ErrorCode::kDevice: return GRAUPEL_DEVICE;
    case graupel::ErrorCode::kInternal: return GRAUPEL_INTERNAL;
  }
  return GRAUPEL_INTERNAL;
}

graupel_status fail(const graupel::Error& error, char* text, size_t size) {
  if (text != nullptr && size > 0) {
    const std::string message = error.message();
    const size_t length = std::min(size - 1, message.size());
    std::memcpy(text, message.data(), length);
    text[length] = '\0';
  }
  return status_of(error.code);
}

const run::Buffer& input_of(const graupel_engine* engine) {
  const run::Plan& plan = run::plan_of(engine->engine);
  return plan.buffers[plan.inputs[0].buffer.index()];
}

const run::Buffer* output_of(const graupel_engine* engine, size_t index) {
  if (engine == nullptr) return nullptr;
  const run::Plan& plan = run::plan_of(engine->engine);
  return index < plan.outputs.size() ? &plan.buffers[plan.outputs[index].buffer.index()] : nullptr;
}

int64_t fsq_code_of(const graupel_engine* engine, size_t window) {
  const run::Plan& plan = run::plan_of(engine->engine);
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    if (plan.outputs[i].role != run::Role::kFsqCode) continue;
    const std::span<const std::byte> bytes = run::output_bytes(engine->engine, i, window);
    int64_t code = -1;
    if (bytes.size() == sizeof code) std::memcpy(&code, bytes.data(), sizeof code);
    return code;
  }
  return -1;
}

}  // namespace

int graupel_abi(void) { return GRAUPEL_ABI; }
const char* graupel_version(void) { return GRAUPEL_VERSION; }

graupel_status graupel_open(const char* path, const char* isa, graupel_engine** engine, char* error,
                            size_t error_size) {
  if (engine == nullptr) return GRAUPEL_INVALID_INPUT;
  *engine = nullptr;
  if (path == nullptr) {
    return fail(graupel::invalid_input("graupel_open", "got no path"), error, error_size);
  }
  run::EngineOptions options;
  if (isa != nullptr) {
    const graupel::Result<graupel::kernels::Isa> chosen = graupel::kernels::parse_isa(isa);
    if (!chosen.ok()) return fail(chosen.error(), error, error_size);
    options.isa = *chosen;
  }
  graupel::Result<run::BundleEngine> loaded = run::load_bundle_engine(path, options);
  if (!loaded.ok()) return fail(loaded.error(), error, error_size);
  auto names = std::make_shared<graupel_engine::Names>();
  names->model = std::move(loaded->model_name);
  names->isa = graupel::kernels::to_string(run::isa_of(loaded->engine));
  names->labels = std::move(loaded->labels);
  *engine = new (std::nothrow) graupel_engine{std::move(loaded->engine), std::move(names)};
  return *engine != nullptr ? GRAUPEL_OK : GRAUPEL_DEVICE;
}

graupel_status graupel_clone(const graupel_engine* engine, graupel_engine** copy) {
  return graupel_clone_for(engine, graupel_batch(engine), graupel_threads(engine), copy);
}

graupel_status graupel_clone_for(const graupel_engine* engine, size_t batch, size_t threads,
                                 graupel_engine** copy) {
  if (copy == nullptr) return GRAUPEL_INVALID_INPUT;
  *copy = nullptr;
  if (engine == nullptr) return GRAUPEL_INVALID_INPUT;
  if (threads == 0) threads = std::min(graupel::available_cores(), run::kMostThreads);
  graupel::Result<run::Engine> made = run::clone(engine->engine, batch, threads);
  if (!made.ok()) return status_of(made.error().code);
  *copy = new (std::nothrow) graupel_engine{*std::move(made), engine->names};
  return *copy != nullptr ? GRAUPEL_OK : GRAUPEL_DEVICE;
}

size_t graupel_batch(const graupel_engine* engine) {
  return engine == nullptr ? 0 : engine->engine.batch;
}
size_t graupel_threads(const graupel_engine* engine) {
  return engine == nullptr ? 0 : run::threads_of(engine->engine);
}
size_t graupel_usual_batch(const graupel_engine* engine) {
  return engine == nullptr ? 0 : run::usual_batch(engine->engine);
}

void graupel_close(graupel_engine* engine) { delete engine; }

const char* graupel_isa(const graupel_engine* engine) {
  return engine == nullptr ? nullptr : engine->names->isa.c_str();
}
const char* graupel_model(const graupel_engine* engine) {
  return engine == nullptr ? nullptr : engine->names->model.c_str();
}

size_t graupel_input_size(const graupel_engine* engine) {
  return engine == nullptr ? 0 : static_cast<size_t>(run::buffer_elements(input_of(engine)));
}
size_t graupel_input_rank(const graupel_engine* engine) {
  return engine == nullptr ? 0 : input_of(engine).shape.size();
}
const int64_t* graupel_input_shape(const graupel_engine* engine) {
  return engine == nullptr ? nullptr : input_of(engine).shape.data();
}

graupel_status graupel_run(graupel_engine* engine, const float* window, size_t count) {
  return graupel_run_batch(engine, window, count, 1);
}

graupel_status graupel_run_batch(graupel_engine* engine, const float* values, size_t count,
                                 size_t windows) {
  if (engine == nullptr || values == nullptr) return GRAUPEL_INVALID_INPUT;
  const graupel::Result<void> done = run::run_batch(engine->engine, {values, count}, windows);
  if (!done.ok()) return status_of(done.error().code);
  engine->answered = windows;
  return GRAUPEL_OK;
}

graupel_status graupel_get_answer(const graupel_engine* engine, graupel_answer* answer) {
  return graupel_get_batch_answer(engine, 0, answer);
}

graupel_status graupel_get_batch_answer(const graupel_engine* engine, size_t window,
                                        graupel_answer* answer) {
  if (engine == nullptr || window >= engine->answered || answer == nullptr ||
      answer->size < sizeof(graupel_answer)) {
    return GRAUPEL_INVALID_INPUT;
  }
  const graupel::Result<size_t> output = run::logits_output(run::plan_of(engine->engine));
  if (!output.ok()) return status_of(output.error().code);
  const auto* logits =
      static_cast<const float*>(graupel_batch_output_data(engine, *output, window));
  const size_t count = graupel_output_size(engine, *output);
  if (count == 0) return GRAUPEL_UNSUPPORTED;
  const size_t best = static_cast<size_t>(std::max_element(logits, logits + count) - logits);
  double sum = 0.0;
  for (size_t i = 0; i < count; ++i) {
    sum += std::exp(static_cast<double>(logits[i]) - static_cast<double>(logits[best]));
  }
  answer->class_index = static_cast<int64_t>(best);
  const char* label = graupel_label(engine, best);
  answer->label = label != nullptr ? label : "";
  answer->probability = 1.0 / sum;
  answer->fsq_code = fsq_code_of(engine, window);
  return GRAUPEL_OK;
}

size_t graupel_class_count(const graupel_engine* engine) {
  return engine == nullptr ? 0 : engine->names->labels.size();
}
const char* graupel_label(const graupel_engine* engine, size_t class_index) {
  return class_index < graupel_class_count(engine) ? engine->names->labels[class_index].c_str()
                                                   : nullptr;
}

size_t graupel_output_count(const graupel_engine* engine) {
  return engine == nullptr ? 0 : run::plan_of(engine->engine).outputs.size();
}
const char* graupel_output_name(const graupel_engine* engine, size_t index) {
  if (output_of(engine, index) == nullptr) return nullptr;
  return run::plan_of(engine->engine).outputs[index].name.c_str();
}
graupel_type graupel_output_type(const graupel_engine* engine, size_t index) {
  const run::Buffer* buffer = output_of(engine, index);
  if (buffer == nullptr) return GRAUPEL_OTHER;
  switch (buffer->dtype) {
    case graupel::DType::kFloat32: return GRAUPEL_FLOAT32;
    case graupel::DType::kInt8: return GRAUPEL_INT8;
    case graupel::DType::kUInt8: return GRAUPEL_UINT8;
    case graupel::DType::kInt32: return GRAUPEL_INT32;
    case graupel::DType::kInt64: return GRAUPEL_INT64;
    case graupel::DType::kBool: return GRAUPEL_BOOL;
    default: return GRAUPEL_OTHER;
  }
}
size_t graupel_output_size(const graupel_engine* engine, size_t index) {
  const run::Buffer* buffer = output_of(engine, index);
  return buffer == nullptr ? 0 : static_cast<size_t>(run::buffer_elements(*buffer));
}
const void* graupel_output_data(const graupel_engine* engine, size_t index) {
  return graupel_batch_output_data(engine, index, 0);
}
const void* graupel_batch_output_data(const graupel_engine* engine, size_t index, size_t window) {
  if (output_of(engine, index) == nullptr || window >= engine->answered) return nullptr;
  return run::output_bytes(engine->engine, index, window).data();
}
