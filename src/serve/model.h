// One loaded bundle: answers windows, the same for every request, until it is replaced.
//
// Idea: a model is loaded once, off the event loop, and shared by pointer; a reload puts a new one
// beside it, and requests under way keep the old one until they are done. Each worker thread has
// an engine of its own, so answering takes no lock. Test: server_test.cc.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "decide/decider.h"
#include "npu/start.h"
#include "run/answers.h"
#include "run/engine.h"
#include "serve/statistics.h"

namespace graupel::serve {

struct Model {
  std::string name;
  std::string version;  // "1" or what the file's name says; a new load of it is the same version
  std::string path;
  std::string sha256;      // of the bundle's manifest, which names every member's, hex
  std::string hef_sha256;  // empty if the bundle holds no HEF
  std::vector<std::string> labels;
  std::optional<decide::Decider> decider;  // if the bundle is calibrated
  bool decides = false;                    // the plan gives one row of logits
  std::vector<run::Engine> engines;        // one per worker
  npu::Started started;                    // the device in front of them, if the bundle has a HEF
  ModelStatistics statistics;              // since it was loaded
  std::string cpu_reason;                  // why its HEF is not used; empty if there is none

  const run::Plan& plan() const { return run::plan_of(engines.front()); }
  // Of one window, without the leading 1.
  Shape window_shape() const;
  std::string engine_name() const;  // of the device while it is open, else "cpu/avx2"
};

// What answers for a model at the moment. `state` is that of npu::Health; a model that asks no
// device is "healthy". `reason`: why the device does not answer.
struct EngineView {
  std::string engine, state, reason;
  std::optional<npu::Status> device;  // if there is one to ask
};
EngineView engine_view(const Model& model);

// Errors: those of run::load_bundle_engine, decide::parse_block and npu::start_engine, within
// `path`.
Result<std::shared_ptr<Model>> load_model(const std::string& path, std::string name,
                                          std::string version, size_t workers,
                                          const npu::EngineOptions& engine = {});

struct WindowAnswer {
  std::vector<Tensor> outputs;  // as the plan's, each with its leading 1
  // Absent for a network whose outputs are not one row of logits.
  std::optional<run::Answer> decision;
  std::vector<double> probabilities;  // calibrated if the bundle holds a decision block
  std::string engine;                 // which engine gave it: "cpu/avx2"
  std::string fallback_reason;        // why it was not the preferred one; empty if it was
  double infer_seconds = 0.0;
  double decide_seconds = 0.0;
};

// One raw window, row-major in the model's shape. `worker` picks the engine and belongs to one
// thread. Error kInvalidInput: another number of values.
Result<WindowAnswer> answer(Model& model, size_t worker, std::span<const float> window);

}  // namespace graupel::serve
