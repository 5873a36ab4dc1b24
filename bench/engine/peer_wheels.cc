// ONNX Runtime and OpenVINO from their Python wheels, through their C interfaces.
//
// Idea: the wheels hold the libraries but not the headers. ONNX Runtime's interface is a table of
// functions whose order is fixed for good (onnxruntime_c_api.h); OpenVINO's are exported functions.
// The few that are needed are declared here.
#include <dlfcn.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>

#include "peers.h"

namespace graupel::bench {
namespace {

namespace fs = std::filesystem;

struct OrtBase {
  const void* const* (*get_api)(uint32_t version);
  const char* (*get_version)();
};

// Entries of the table by position.
enum OrtEntry {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetOptimizationLevel = 23,
  kSetIntraOpThreads = 24,
  kCreateTensor = 49,
  kCreateCpuMemoryInfo = 69,
};

template <class... Args>
void* ort(const void* const* api, OrtEntry entry, Args... args) {
  using Function = void* (*)(Args...);
  return reinterpret_cast<Function>(const_cast<void*>(api[entry]))(args...);
}

struct OrtSession {
  const void* const* api = nullptr;
  void* session = nullptr;
  void* input = nullptr;
  void* output = nullptr;
};

}  // namespace

std::string find_library(const std::string& folder, const std::string& prefix) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename().string().starts_with(prefix)) return entry.path().string();
  }
  return {};
}

Peer onnx_runtime(const PeerTask& task, const std::string& packages) {
  Peer peer{"ONNX Runtime", {}, {}, {}};
  const std::string path = find_library(packages + "/onnxruntime/capi", "libonnxruntime.so");
  void* library = path.empty() ? nullptr : dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    peer.skipped = path.empty() ? "no wheel (pip install onnxruntime)" : dlerror();
    return peer;
  }
  const auto get_base = reinterpret_cast<const OrtBase* (*)()>(dlsym(library, "OrtGetApiBase"));
  if (get_base == nullptr) {
    peer.skipped = "the library has no OrtGetApiBase";
    return peer;
  }
  peer.name += std::string(" ") + get_base()->get_version();
  auto session = std::make_shared<OrtSession>();
  session->api = get_base()->get_api(17);
  const void* const* api = session->api;
  void *env = nullptr, *options = nullptr, *memory = nullptr;
  void* failed = ort(api, kCreateEnv, 3, "bench", &env);
  if (failed == nullptr) failed = ort(api, kCreateSessionOptions, &options);
  if (failed == nullptr) failed = ort(api, kSetIntraOpThreads, options, 1);
  if (failed == nullptr) failed = ort(api, kSetOptimizationLevel, options, 99);
  if (failed == nullptr) {
    failed = ort(api, kCreateSession, env, task.model_path.c_str(), options, &session->session);
  }
  if (failed == nullptr) failed = ort(api, kCreateCpuMemoryInfo, 0, 0, &memory);
  const int64_t batch = task.input_shape[0];
  auto data = std::make_shared<std::pair<std::vector<float>, std::vector<float>>>(
      task.input, std::vector<float>(static_cast<size_t>(batch * task.outputs)));
  const int64_t output_shape[] = {batch, task.outputs};
  if (failed == nullptr) {
    failed = ort(api, kCreateTensor, memory, data->first.data(), data->first.size() * sizeof(float),
                 task.input_shape.data(), task.input_shape.size(), 1, &session->input);
  }
  if (failed == nullptr) {
    failed =
        ort(api, kCreateTensor, memory, data->second.data(), data->second.size() * sizeof(float),
            &output_shape[0], size_t{2}, 1, &session->output);
  }
  if (failed != nullptr) {
    using Message = const char* (*)(void*);
    peer.skipped = reinterpret_cast<Message>(const_cast<void*>(api[kGetErrorMessage]))(failed);
    return peer;
  }
  peer.run = [session, data, name = task.output_name] {
    const char* inputs[] = {"input"};
    const char* outputs[] = {name.c_str()};
    void* in[] = {session->input};
    void* out[] = {session->output};
    ort(session->api, kRun, session->session, static_cast<void*>(nullptr), &inputs[0], &in[0],
        size_t{1}, &outputs[0], size_t{1}, &out[0]);
  };
  peer.run();
  peer.output = data->second;
  return peer;
}

Peer open_vino(const PeerTask& task, const std::string& packages) {
  Peer peer{"OpenVINO", {}, {}, {}};
  const std::string path = find_library(packages + "/openvino/libs", "libopenvino_c.so");
  void* library = path.empty() ? nullptr : dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    peer.skipped = path.empty() ? "no wheel (pip install openvino)" : dlerror();
    return peer;
  }
  const auto function = [&](const char* name) { return dlsym(library, name); };
  const auto create = reinterpret_cast<int (*)(void**)>(function("ov_core_create"));
  const auto compile =
      reinterpret_cast<int (*)(void*, const char*, const char*, size_t, void**, ...)>(
          function("ov_core_compile_model_from_file"));
  const auto request =
      reinterpret_cast<int (*)(void*, void**)>(function("ov_compiled_model_create_infer_request"));
  const auto get_input =
      reinterpret_cast<int (*)(void*, void**)>(function("ov_infer_request_get_input_tensor"));
  const auto get_output =
      reinterpret_cast<int (*)(void*, void**)>(function("ov_infer_request_get_output_tensor"));
  const auto data = reinterpret_cast<int (*)(void*, void**)>(function("ov_tensor_data"));
  const auto infer = reinterpret_cast<int (*)(void*)>(function("ov_infer_request_infer"));
  if (!create || !compile || !request || !get_input || !get_output || !data || !infer) {
    peer.skipped = "the library lacks a function that is needed";
    return peer;
  }
  void *core = nullptr, *compiled = nullptr, *running = nullptr, *in = nullptr, *out = nullptr;
  void *in_data = nullptr, *out_data = nullptr;
  const bool ready = create(&core) == 0 &&
                     compile(core, task.model_path.c_str(), "CPU", 4, &compiled,
                             "INFERENCE_NUM_THREADS", "1", "PERFORMANCE_HINT", "LATENCY") == 0 &&
                     request(compiled, &running) == 0 && get_input(running, &in) == 0 &&
                     get_output(running, &out) == 0 && data(in, &in_data) == 0 &&
                     data(out, &out_data) == 0;
  if (!ready) {
    peer.skipped = "it does not take the network";
    return peer;
  }
  std::memcpy(in_data, task.input.data(), task.input.size() * sizeof(float));
  peer.run = [infer, running] { infer(running); };
  peer.run();
  const float* values = static_cast<const float*>(out_data);
  peer.output.assign(values, values + task.input_shape[0] * task.outputs);
  return peer;
}

}  // namespace graupel::bench
