// STAND-IN for the vendor's `hailo`, for tests only. Nothing of the vendor's is in it.
//
// It takes only flags the real tool was seen to take, insists on real input files, prints lines as
// published logs have them, and writes a HEF with the network's real streams and the calibration
// set's real range, but nothing a device could run. Its behaviour is chosen by
// GRAUPEL_STANDIN_SCENARIO: success, recommendation, downgrade, infeasible, crash, hang, silent
// (ends well without a result), memory, random; and for the HEF it makes: placeholder,
// more_outputs, turned, other_arch, other_end, slow, large. GRAUPEL_STANDIN_CALLS names a file that
// gets a line per call.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "data/npy.h"
#include "hef/hef_writer.h"
#include "ir/graph.h"
#include "onnx/onnx.h"

namespace {

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int usage(const std::string& what) {
  std::fprintf(stderr, "usage: hailo [-h] ...\nhailo: error: %s\n", what.c_str());
  return 2;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

struct Call {
  std::vector<std::string> positional;
  std::map<std::string, std::vector<std::string>> flags;
  std::string error;
};

// 'n': no value, '1': one, '*': one or more.
Call parse(const std::vector<std::string>& words, const std::map<std::string, char>& known) {
  Call call;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i][0] != '-') {
      call.positional.push_back(words[i]);
      continue;
    }
    const auto found = known.find(words[i]);
    if (found == known.end()) {
      call.error = "unrecognized arguments: " + words[i];
      return call;
    }
    std::vector<std::string>& values = call.flags[words[i]];
    const size_t most = found->second == 'n' ? 0 : found->second == '1' ? 1 : 1000;
    while (values.size() < most && i + 1 < words.size() && words[i + 1][0] != '-') {
      values.push_back(words[++i]);
    }
    if (most > 0 && values.empty())
      call.error = "argument " + found->first + ": expected one argument";
  }
  return call;
}

void preamble(const std::string& command) {
  say("[info] Current Time: 13:38:40, 02/13/25");
  say("[info] CPU: Architecture: x86_64, Model: , Number Of Cores: 2, Utilization: 4.0%");
  say("[info] Hailo DFC Version: 3.32.0 (STAND-IN)");
  say("[info] HailoRT Version: Not Installed");
  say("[info] Running `hailo " + command + " ...`");
}

int misbehave(const std::string& scenario) {
  if (scenario == "crash") {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    std::raise(SIGSEGV);
  }
  if (scenario == "hang") {
    std::signal(SIGTERM, SIG_IGN);
    while (true) sleep(60);
  }
  return 0;
}

// "input|output height width features" and the names of its nodes, tab between them: a line of what
// the stand-in keeps of a network in place of a HAR.
std::string stream_line(const graupel::ir::Graph& graph, graupel::ir::ValueId value, bool output) {
  const graupel::Shape shape = graph.shape(value);
  std::string line = output ? "output" : "input";
  if (shape.size() == 4) {
    for (const size_t axis : {2, 3, 1}) line += "\t" + std::to_string(shape[axis]);
  } else {
    line += "\t1\t1\t" + std::to_string(shape.back());
  }
  const graupel::ir::Uses uses = graupel::ir::find_uses(graph);
  if (output) return line + "\t" + graph.node(uses.producer[value.index()]).name + "\n";
  for (const auto reader : uses.readers[value.index()]) line += "\t" + graph.node(reader).name;
  return line + "\n";
}

std::string streams_of(const graupel::ir::Graph& graph) {
  std::string text = "STAND-IN HAR\n";
  for (const auto input : graph.inputs) text += stream_line(graph, input, false);
  for (const auto output : graph.outputs) text += stream_line(graph, output, true);
  return text;
}

int parser(const Call& call, const std::string& scenario) {
  if (call.positional.size() != 2 || call.positional[0] != "onnx") return usage("needs onnx MODEL");
  const std::string model = contents(call.positional[1]);
  if (model.empty()) return usage("no model at " + call.positional[1]);
  if (!call.flags.contains("--har-path") || !call.flags.contains("--hw-arch")) {
    return usage("the stand-in expects --har-path and --hw-arch");
  }
  say("[info] Translation started on ONNX model net");
  const std::vector<std::string>& ends = call.flags.at("--end-node-names");
  const std::string recommended = setting("GRAUPEL_STANDIN_RECOMMENDS");
  const bool taken = std::find(ends.begin(), ends.end(), recommended) != ends.end();
  if (scenario == "recommendation" && !taken) {
    say("hailo_sdk_client.ParsingWithRecommendationException: Parsing failed. The errors found in "
        "the graph are:");
    say(" UnsupportedOperationError in op /fsq/Round: Round operation is unsupported");
    say("Please try to parse the model again, using these end node names: " +
        (recommended.empty() ? "/fsq/Sub" : recommended));
    return 1;
  }
  for (const std::string& node : ends) {
    if (model.find(node) != model.npos) continue;
    say("InvalidHNError: The original node name " + node +
        " in end_node_names is missing in the HN");
    return 1;
  }
  say("[info] Translation completed on ONNX model net (completion time: 00:00:00.10)");
  const auto graph = graupel::onnx::read_model(call.positional[1]);
  if (!graph.ok()) return usage(graph.error().message());
  std::ofstream(call.flags.at("--har-path")[0]) << streams_of(*graph);
  return 0;
}

int optimize(const Call& call, const std::string& scenario) {
  if (call.positional.size() != 1 || contents(call.positional[0]).empty()) return usage("no HAR");
  const bool random = call.flags.contains("--use-random-calib-set");
  if (random == call.flags.contains("--calib-set-path")) return usage("one calibration set");
  if (!random) {
    const std::string set = contents(call.flags.at("--calib-set-path")[0]);
    if (set.find("NUMPY") == set.npos || set.find("'<f4'") == set.npos) {
      return usage("the calibration set is no float32 .npy");
    }
  }
  if (random) say("[warning] Using a random calibration set of 64 entries");
  if (contents(call.flags.at("--model-script")[0]).empty()) return usage("no model script");
  say("[info] Starting Model Optimization");
  if (scenario == "downgrade") {
    say("[warning] Reducing optimization level to 0 (the accuracy won't be optimized and "
        "compression "
        "won't be used) because there's less data than the recommended amount (1024), and there's "
        "no available GPU");
  }
  if (scenario == "memory") std::raise(SIGKILL);
  say("Calibration: 100%|##########| 64/64 [00:01<00:00, 50.0entries/s]");
  say("[info] Output layers signal-to-noise ratio (SNR): measures the quantization noise");
  say("[info] \tnet/output_layer1 SNR:\t31.25 dB");
  say("[info] Model Optimization is done");
  float low = 0.0f, high = 1.0f;  // of random windows
  if (!random) {
    const auto set = graupel::data::read_npy(call.flags.at("--calib-set-path")[0]);
    if (!set.ok()) return usage(set.error().message());
    const auto values = set->data<float>();
    low = *std::min_element(values.begin(), values.end());
    high = *std::max_element(values.begin(), values.end());
  }
  std::ofstream(call.flags.at("--output-har-path")[0])
      << contents(call.positional[0]) << "optimized\t" << low << "\t" << high << "\n";
  return 0;
}

std::vector<std::string> words_between_tabs(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream stream(line);
  for (std::string word; std::getline(stream, word, '\t');) words.push_back(word);
  return words;
}

// The streams of an optimised stand-in HAR, as the scenario wants them.
std::vector<graupel::hef::WrittenStream> written_streams(const std::string& har,
                                                         const std::string& scenario) {
  std::vector<graupel::hef::WrittenStream> streams;
  float low = 0.0f, high = 1.0f;
  std::istringstream text(har);
  for (std::string line; std::getline(text, line);) {
    const std::vector<std::string> words = words_between_tabs(line);
    if (words.size() == 3 && words[0] == "optimized") {
      low = std::stof(words[1]);
      high = std::stof(words[2]);
    }
    if (words.size() < 5) continue;
    graupel::hef::WrittenStream stream;
    stream.output = words[0] == "output";
    stream.name = "net/" + words[0] + "_layer" + std::to_string(streams.size() + 1);
    stream.height = std::stoul(words[1]);
    stream.width = std::stoul(words[2]);
    stream.features = std::stoul(words[3]);
    if (stream.height * stream.width == 1) stream.format = 2;  // NC
    stream.original_names.assign(words.begin() + 4, words.end());
    if (scenario == "more_outputs" && stream.output) ++stream.features;
    if (scenario == "turned" && !stream.output) std::swap(stream.height, stream.width);
    if (scenario == "other_end" && stream.output) stream.original_names = {"/other/Conv"};
    streams.push_back(stream);
  }
  for (graupel::hef::WrittenStream& stream : streams) {
    // Of outputs it knows no range: 16 bits, wide enough for any.
    stream.low = stream.output ? -1000.0f : low;
    stream.high = stream.output ? 1000.0f : high;
    stream.data_bytes = stream.output ? 2 : 1;
    stream.scale = (high - low) / 255.0f;
    stream.zero_point = static_cast<float>(static_cast<int>(-low / stream.scale));
  }
  return streams;
}

std::string made_hef(const std::string& har, std::string arch, const std::string& scenario) {
  if (scenario == "placeholder") return "DUMMY_HEF_CONTENT";
  std::vector<graupel::hef::Message> edges;
  for (const auto& stream : written_streams(har, scenario)) edges.push_back(edge_message(stream));
  graupel::hef::WrittenFile file;
  if (scenario == "other_arch") arch = arch == "hailo8" ? "hailo8l" : "hailo8";
  file.arch = arch == "hailo8l" ? 3 : 1;
  file.compiler = "0.00 STAND-IN";
  graupel::hef::GroupFigures figures;
  if (scenario == "slow") figures = {.bottleneck_fps = 5.0, .latency_s = 0.2};
  graupel::hef::Message group = graupel::hef::group_message("net", {edges}, {}, figures);
  // Files for Hailo-8L hold a group once per layout of clusters.
  if (file.arch == 3) group = graupel::hef::partial_message(group);
  file.groups = {group};
  const size_t config_bytes = scenario == "large" ? 11'000'000 : 4096;
  return graupel::hef::wrap_hef(2, graupel::hef::hef_protobuf(file),
                                std::string(config_bytes, 'c'));
}

int compiler(const Call& call, const std::string& scenario) {
  if (call.positional.size() != 1) return usage("needs one HAR");
  const std::string har = call.positional[0];
  if (contents(har).find("optimized") == std::string::npos) {
    say("Model requires quantized weights in order to run on HW, but none were given");
    return 1;
  }
  say("[info] Starting Hailo allocation and compilation flow");
  if (scenario == "infeasible") {
    say("[error] Mapping Failed (allocation time: 12s)");
    say("No successful assignments: conv5 errors: Agent infeasible");
    say("[error] Failed to produce compiled graph");
    return 1;
  }
  say("[info] Using Single-context flow");
  say("[info] | Cluster   | Control Utilization | Compute Utilization | Memory Utilization |");
  say("[info] | cluster_0 | 75%                 | 62.9%               | 47.8%              |");
  say("[info] | Total     | 75%                 | 62.9%               | 47.8%              |");
  say("[info] Successful Mapping (allocation time: 3s)");
  say("[info] Successful Compilation (compilation time: 1s)");
  if (scenario == "silent") return 0;
  const std::string name = har.substr(0, har.rfind("_optimized.har"));
  std::ofstream(call.flags.at("--output-dir")[0] + "/" + name + ".hef", std::ios::binary)
      << made_hef(contents(har), call.flags.at("--hw-arch")[0], scenario);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) return usage("too few arguments");
  if (words[0] == "--version") {
    say("STAND-IN for hailo, 3.32.0");
    return 0;
  }
  const std::string calls = setting("GRAUPEL_STANDIN_CALLS");
  if (!calls.empty()) std::ofstream(calls, std::ios::app) << words[0] << "\n";
  const std::string scenario = setting("GRAUPEL_STANDIN_SCENARIO");
  const std::map<std::string, std::map<std::string, char>> known = {
      {"parser",
       {{"--net-name", '1'},
        {"--har-path", '1'},
        {"--hw-arch", '1'},
        {"--start-node-names", '*'},
        {"--end-node-names", '*'},
        {"--tensor-shapes", '*'},
        {"--input-format", '*'},
        {"--parsing-report-path", '1'},
        {"--augmented-path", '1'},
        {"--disable-onnx-simplifier", 'n'},
        {"--disable-rt-metadata-extraction", 'n'},
        {"--compare", 'n'},
        {"-y", 'n'}}},
      {"optimize",
       {{"--hw-arch", '1'},
        {"--calib-set-path", '1'},
        {"--use-random-calib-set", 'n'},
        {"--model-script", '1'},
        {"--output-har-path", '1'},
        {"--work-dir", '1'},
        {"--full-precision-only", 'n'}}},
      {"compiler",
       {{"--hw-arch", '1'},
        {"--output-dir", '1'},
        {"--output-har-path", '1'},
        {"--model-script", '1'},
        {"--auto-model-script", '1'}}}};
  const auto found = known.find(words[0]);
  if (found == known.end()) return usage("invalid choice: '" + words[0] + "'");
  const Call call = parse({words.begin() + 1, words.end()}, found->second);
  if (!call.error.empty()) return usage(call.error);
  preamble(words[0]);
  misbehave(scenario);
  if (words[0] == "parser") return parser(call, scenario);
  return words[0] == "optimize" ? optimize(call, scenario) : compiler(call, scenario);
}
