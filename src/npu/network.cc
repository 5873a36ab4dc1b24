// From a window to the device's frames and back. See network.h. Test: network_test.cc.
#include "npu/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "npu/device_map.h"
#include "run/answers.h"

namespace graupel::npu {
namespace {

// Engines of one program; a caller borrows one and gives it back.
struct Pool {
  explicit Pool(run::Engine engine) : first(std::move(engine)) {}
  run::Engine first;  // to clone; never run
  std::mutex mutex;
  std::vector<run::Engine> idle;
};

template <class Use>
auto with_engine(Pool& pool, const Use& use) -> decltype(use(pool.first)) {
  std::optional<run::Engine> engine;
  {
    const std::lock_guard lock(pool.mutex);
    if (!pool.idle.empty()) {
      engine = std::move(pool.idle.back());
      pool.idle.pop_back();
    }
  }
  if (!engine) {
    TRY_ASSIGN(engine, run::clone(pool.first));
  }
  auto result = use(*engine);
  const std::lock_guard lock(pool.mutex);
  pool.idle.push_back(*std::move(engine));
  return result;
}

Result<std::shared_ptr<Pool>> pool_of(const run::Engine& engine) {
  TRY_ASSIGN(run::Engine first, run::clone(engine));
  return std::make_shared<Pool>(std::move(first));
}

std::vector<Tensor> outputs_of(const run::Engine& engine) {
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < run::plan_of(engine).outputs.size(); ++i) {
    outputs.push_back(run::output_tensor(engine, i));
  }
  return outputs;
}

std::optional<size_t> index_of(const std::vector<run::Port>& ports, const std::string& name) {
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name == name) return i;
  }
  return std::nullopt;
}

Error contradiction(const std::string& what) {
  return corrupt(std::string(kDeviceMapMember),
                 what + ": the bundle's members do not belong together; compile it again");
}

// Where a tensor comes from once the device has answered.
struct Source {
  enum Kind { kDevice, kAround, kHost } kind = kDevice;
  size_t index = 0;
};

// Everything that is looked up by name, once.
struct Way {
  std::vector<FrameLayout> inputs, outputs;  // per stream
  std::vector<size_t> input_outputs;         // per input stream: which output of before.plan
  std::vector<Shape> output_shapes;          // per output stream
  std::vector<bool> goes_around;  // per output of before.plan: it is read behind the device
  std::vector<Source> host_inputs, answers;
  std::shared_ptr<Pool> before, host;
};

const Shape& shape_of(const run::Plan& plan, const run::Port& port) {
  return plan.buffers[port.buffer.index()].shape;
}

// The tensor each stream carries.
Result<const Crossing*> crossing_of(const std::vector<Crossing>& crossings,
                                    const hef::Stream& stream) {
  for (const Crossing& crossing : crossings) {
    if (crossing.stream != stream.name) continue;
    if (same_values(crossing.shape, stream)) return &crossing;
    return contradiction(fmt::format("'{}' is {}, but stream {} is {}x{}x{}", crossing.tensor,
                                     graupel::to_string(crossing.shape), stream.name, stream.height,
                                     stream.width, stream.features));
  }
  return contradiction("no tensor belongs to stream " + stream.name);
}

Result<void> bind_inputs(Way& way, const DeviceMap& map, const hef::Group& group,
                         const run::Plan& before) {
  if (map.inputs.size() != group.inputs.size()) return contradiction("other inputs than the HEF");
  for (const hef::Stream& stream : group.inputs) {
    TRY_ASSIGN(const Crossing* crossing, crossing_of(map.inputs, stream));
    const std::optional<size_t> output = index_of(before.outputs, crossing->tensor);
    if (!output) return contradiction("before.plan does not make '" + crossing->tensor + "'");
    const run::Buffer& buffer = before.buffers[before.outputs[*output].buffer.index()];
    if (buffer.dtype != DType::kFloat32 || buffer.shape != crossing->shape) {
      return contradiction("before.plan makes another '" + crossing->tensor + "'");
    }
    way.input_outputs.push_back(*output);
  }
  return ok();
}

Result<Source> source_of(const std::string& name, const std::vector<std::string>& from_device,
                         const run::Plan& before) {
  const auto found = std::find(from_device.begin(), from_device.end(), name);
  if (found != from_device.end()) {
    return Source{Source::kDevice, static_cast<size_t>(found - from_device.begin())};
  }
  if (const std::optional<size_t> output = index_of(before.outputs, name)) {
    return Source{Source::kAround, *output};
  }
  return contradiction("nothing makes '" + name + "'");
}

Result<void> bind_outputs(Way& way, const DeviceMap& map, const hef::Group& group,
                          const run::Plan& before, const run::Plan* host, const run::Plan& whole) {
  if (map.outputs.size() != group.outputs.size())
    return contradiction("other outputs than the HEF");
  std::vector<std::string> from_device;
  way.goes_around.assign(before.outputs.size(), false);
  for (const hef::Stream& stream : group.outputs) {
    TRY_ASSIGN(const Crossing* crossing, crossing_of(map.outputs, stream));
    from_device.push_back(crossing->tensor);
    way.output_shapes.push_back(crossing->shape);
  }
  const auto check = [&](const Source& source, const run::Plan& plan,
                         const run::Port& port) -> Result<void> {
    const run::Buffer& wanted = plan.buffers[port.buffer.index()];
    DType dtype = DType::kFloat32;
    const Shape* shape = nullptr;
    if (source.kind == Source::kDevice) {
      shape = &way.output_shapes[source.index];
    } else {
      const run::Plan& maker = source.kind == Source::kHost ? *host : before;
      const run::Buffer& made = maker.buffers[maker.outputs[source.index].buffer.index()];
      dtype = made.dtype;
      shape = &made.shape;
    }
    if (source.kind == Source::kAround) way.goes_around[source.index] = true;
    if (dtype == wanted.dtype && *shape == wanted.shape) return ok();
    return contradiction("'" + port.name + "' is made in another shape than it is read in");
  };
  if (host != nullptr) {
    for (const run::Port& port : host->inputs) {
      TRY_ASSIGN(const Source source, source_of(port.name, from_device, before));
      TRY(check(source, *host, port));
      way.host_inputs.push_back(source);
    }
  }
  for (const run::Port& port : whole.outputs) {
    Source source;
    const std::optional<size_t> made = host ? index_of(host->outputs, port.name) : std::nullopt;
    if (made) {
      source = {Source::kHost, *made};
    } else {
      TRY_ASSIGN(source, source_of(port.name, from_device, before));
    }
    TRY(check(source, whole, port));
    way.answers.push_back(source);
  }
  return ok();
}

Result<Encoded> encode(const Way& way, std::span<const float> window) {
  return with_engine(*way.before, [&](run::Engine& engine) -> Result<Encoded> {
    TRY(run::run(engine, window));
    std::vector<std::span<const float>> tensors;
    for (const size_t output : way.input_outputs) {
      const std::span<const std::byte> bytes = run::output_bytes(engine, output);
      tensors.emplace_back(reinterpret_cast<const float*>(bytes.data()),
                           bytes.size() / sizeof(float));
    }
    Encoded encoded;
    TRY_ASSIGN(encoded.frames, frames_for(way.inputs, tensors));
    for (size_t i = 0; i < way.goes_around.size(); ++i) {
      encoded.around.push_back(way.goes_around[i] ? run::output_tensor(engine, i) : Tensor());
    }
    return encoded;
  });
}

Result<std::vector<Tensor>> decode(const Way& way, const Frames& frames,
                                   const std::vector<Tensor>& around) {
  TRY_ASSIGN(const std::vector<std::vector<float>> values, values_of(way.outputs, frames));
  std::vector<Tensor> device;
  for (size_t i = 0; i < values.size(); ++i) {
    device.push_back(Tensor::of<float>(way.output_shapes[i], values[i]));
  }
  std::vector<Tensor> host;
  const auto tensor_of = [&](const Source& source) -> const Tensor& {
    if (source.kind == Source::kDevice) return device[source.index];
    return source.kind == Source::kAround ? around[source.index] : host[source.index];
  };
  if (way.host) {
    std::vector<Tensor> inputs;
    for (const Source& source : way.host_inputs) inputs.push_back(tensor_of(source));
    TRY_ASSIGN(host,
               with_engine(*way.host, [&](run::Engine& engine) -> Result<std::vector<Tensor>> {
                 TRY(run::run_tensors(engine, inputs));
                 return outputs_of(engine);
               }));
  }
  std::vector<Tensor> answers;
  for (const Source& source : way.answers) answers.push_back(tensor_of(source));
  return answers;
}

Result<run::Plan> plan_member(const bundle::Bundle& bundle, std::string_view name) {
  TRY_ASSIGN(const std::string_view bytes, bundle::member(bundle, name));
  Result<run::Plan> plan = run::parse_plan(bytes);
  if (!plan.ok()) return std::move(plan).error().within(name);
  Result<void> checked = run::check_plan(*plan);
  if (!checked.ok()) return std::move(checked).error().within(name);
  return plan;
}

Result<run::Engine> engine_of(run::Plan plan, run::EngineInputs inputs, kernels::Isa isa) {
  return run::load_engine(std::move(plan), {.isa = isa, .inputs = inputs});
}

}  // namespace

Result<Network> cpu_network(const run::Engine& engine) {
  TRY_ASSIGN(const std::shared_ptr<Pool> pool, pool_of(engine));
  Network network;
  network.cpu_name = run::engine_name(engine);
  network.cpu = [pool](std::span<const float> window) {
    return with_engine(*pool, [&](run::Engine& mine) -> Result<std::vector<Tensor>> {
      TRY(run::run(mine, window));
      return outputs_of(mine);
    });
  };
  network.encode = [](std::span<const float>) -> Result<Encoded> {
    return unsupported("device", "is none for this bundle");
  };
  network.decode = [](const Frames&, const std::vector<Tensor>&) -> Result<std::vector<Tensor>> {
    return unsupported("device", "is none for this bundle");
  };
  const Result<size_t> logits = run::logits_output(run::plan_of(engine));
  if (logits.ok()) network.compared_output = *logits;
  return network;
}

Result<DeviceNetwork> device_network(const bundle::Bundle& bundle, const run::Engine& engine) {
  TRY_ASSIGN(const std::string_view text, bundle::member(bundle, kDeviceMapMember));
  TRY_ASSIGN(const DeviceMap map, parse_device_map(text));
  TRY_ASSIGN(const std::string_view bytes, bundle::member(bundle, kHefMember));
  if (bundle::sha256_hex(bytes) != map.hef_sha256) {
    return contradiction("is of another HEF than model.hef");
  }
  Result<HefDevice> device = hef_device(std::string(bytes));
  if (!device.ok()) return std::move(device).error().within(kHefMember);
  const auto way = std::make_shared<Way>();
  way->inputs = device->inputs;
  way->outputs = device->outputs;
  const hef::Group& group = device->hef.groups.front();
  TRY_ASSIGN(run::Plan before, plan_member(bundle, kBeforePlanMember));
  std::optional<run::Plan> host;
  if (bundle.members.contains(std::string(kHostPlanMember))) {
    TRY_ASSIGN(host, plan_member(bundle, kHostPlanMember));
  }
  TRY_ASSIGN(run::Engine first, engine_of(before, run::EngineInputs::kWindow, run::isa_of(engine)));
  const run::Plan& whole = run::plan_of(engine);
  if (shape_of(before, before.inputs[0]) != shape_of(whole, whole.inputs[0])) {
    return contradiction("before.plan takes other windows than cpu.plan");
  }
  TRY(bind_inputs(*way, map, group, before));
  TRY(bind_outputs(*way, map, group, before, host ? &*host : nullptr, whole));
  way->before = std::make_shared<Pool>(std::move(first));
  if (host) {
    TRY_ASSIGN(run::Engine behind,
               engine_of(*std::move(host), run::EngineInputs::kTensors, run::isa_of(engine)));
    way->host = std::make_shared<Pool>(std::move(behind));
  }
  DeviceNetwork result;
  TRY_ASSIGN(result.network, cpu_network(engine));
  result.network.encode = [way](std::span<const float> window) { return encode(*way, window); };
  result.network.decode = [way](const Frames& frames, const std::vector<Tensor>& around) {
    return decode(*way, frames, around);
  };
  result.device = *std::move(device);
  return result;
}

}  // namespace graupel::npu
