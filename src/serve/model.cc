// A loaded bundle and its answers. See model.h. Test: server_test.cc.
#include "serve/model.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "bundle/bundle.h"
#include "bundle/manifest.h"
#include "npu/device_map.h"
#include "run/load.h"
#include "serve/event_loop.h"

namespace graupel::serve {
namespace {

Result<void> describe(const bundle::Bundle& bundle, Model& model) {
  TRY_ASSIGN(const std::string manifest, bundle::format_manifest(bundle.manifest));
  model.sha256 = bundle::sha256_hex(manifest);
  const auto hef = bundle.manifest.members.find(std::string(npu::kHefMember));
  if (hef != bundle.manifest.members.end()) model.hef_sha256 = hef->second.sha256;
  if (const auto labels = bundle.members.find(std::string(run::kLabelsMember));
      labels != bundle.members.end()) {
    model.labels = run::parse_labels(labels->second);
  }
  return ok();
}

Result<std::shared_ptr<Model>> load(const std::string& path, std::string name, std::string version,
                                    size_t workers, const npu::EngineOptions& options) {
  std::vector<std::string_view> names = {run::kPlanMember, run::kLabelsMember,
                                         decide::kBlockMember};
  if (options.choice != npu::EngineChoice::kCpu) {
    names.insert(names.end(), {npu::kDeviceMapMember, npu::kBeforePlanMember, npu::kHostPlanMember,
                               npu::kHefMember});
  }
  TRY_ASSIGN(const bundle::Bundle bundle, bundle::read_members(path, names));
  auto model = std::make_shared<Model>();
  model->name = name.empty() ? bundle.manifest.model_name : std::move(name);
  model->version = std::move(version);
  model->path = path;
  TRY(describe(bundle, *model));
  TRY_ASSIGN(const std::string_view bytes, bundle::member(bundle, run::kPlanMember));
  TRY_ASSIGN(run::Plan plan, run::parse_plan(bytes));
  TRY_ASSIGN(run::Engine first, run::load_engine(std::move(plan)));
  model->engines.push_back(std::move(first));
  while (model->engines.size() < workers) {
    TRY_ASSIGN(run::Engine engine, run::clone(model->engines.front()));
    model->engines.push_back(std::move(engine));
  }
  TRY_ASSIGN(model->started, npu::start_engine(bundle, model->engines.front(), options));
  if (!model->started.warning.empty() && !model->started.has_device) {
    model->cpu_reason = npu::to_string(npu::status(model->started.answerer).last_fault.reason);
  }
  model->decides = run::logits_output(model->plan()).ok();
  if (model->decides) {
    TRY_ASSIGN(model->decider, run::decider_of(bundle, model->plan()));
  }
  return model;
}

// The outputs of one window, and who gave them.
Result<WindowAnswer> infer(Model& model, size_t worker, std::span<const float> window) {
  WindowAnswer answer;
  if (model.started.has_device) {
    TRY_ASSIGN(npu::Reply reply, npu::answer(model.started.answerer, window));
    answer.outputs = std::move(reply.outputs);
    answer.fallback_reason = npu::reason_text(reply);
    answer.engine = std::move(reply.engine);
    return answer;
  }
  run::Engine& engine = model.engines[worker];
  TRY(run::run(engine, window));
  for (size_t i = 0; i < model.plan().outputs.size(); ++i) {
    answer.outputs.push_back(run::output_tensor(engine, i));
  }
  answer.engine = model.engine_name();
  answer.fallback_reason = model.cpu_reason;
  return answer;
}

}  // namespace

Shape Model::window_shape() const {
  const run::Plan& loaded = plan();
  const Shape& shape = loaded.buffers[loaded.inputs[0].buffer.index()].shape;
  return Shape(shape.begin() + (shape.empty() ? 0 : 1), shape.end());
}

std::string Model::engine_name() const {
  if (started.has_device) {
    const npu::Status now = npu::status(started.answerer);
    if (now.device) return now.device->name;
  }
  return run::engine_name(engines.front());
}

EngineView engine_view(const Model& model) {
  EngineView view;
  view.engine = model.engine_name();
  view.state = npu::to_string(npu::Health::kHealthy);
  const npu::Status now = npu::status(model.started.answerer);
  view.reason = model.cpu_reason;
  if (!model.started.has_device) return view;
  view.state = npu::to_string(now.breaker.health);
  if (!now.device) view.reason = npu::to_string(now.last_fault.reason);
  view.device = now;
  return view;
}

Result<std::shared_ptr<Model>> load_model(const std::string& path, std::string name,
                                          std::string version, size_t workers,
                                          const npu::EngineOptions& engine) {
  Result<std::shared_ptr<Model>> model =
      load(path, std::move(name), std::move(version), std::max<size_t>(workers, 1), engine);
  if (!model.ok()) return std::move(model).error().within(path);
  return model;
}

Result<WindowAnswer> answer(Model& model, size_t worker, std::span<const float> window) {
  const auto start = std::chrono::steady_clock::now();
  TRY_ASSIGN(WindowAnswer answer, infer(model, worker, window));
  answer.infer_seconds = seconds_since(start);
  if (!model.decides) return answer;
  const auto decided = std::chrono::steady_clock::now();
  TRY_ASSIGN(std::vector<run::Answer> answers,
             run::answers_of(
                 model.plan(), answer.outputs,
                 {.labels = model.labels, .decider = model.decider ? &*model.decider : nullptr}));
  if (answers.size() != 1) return internal_error("outputs", "are not one row of logits");
  answer.decision = std::move(answers.front());
  answer.probabilities.resize(answer.decision->logits.size());
  decide::calibrated_probabilities(
      model.decider ? model.decider->block.confidence : decide::Confidence{},
      answer.decision->logits, std::nullopt, answer.probabilities);
  answer.decide_seconds = seconds_since(decided);
  return answer;
}

}  // namespace graupel::serve
