// Understanding the compiler's log. See log.h. Test: log_test.cc.
//
// Idea: patterns are text with holes ("No successful assignments: {} errors: {}"); a line matches
// if the pieces between the holes occur in order. No regular expressions: lines are long and come
// from elsewhere.
#include "hailo/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace graupel::hailo {
namespace {

using Holes = std::vector<std::string>;

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t'\"");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t'\"") + 1 - begin);
}

// The text in the holes of `pattern`; the last one reaches to the end of the line if nothing is
// behind it.
std::optional<Holes> match(std::string_view line, std::string_view pattern) {
  Holes holes;
  size_t at = 0;
  bool is_hole = false;
  while (true) {
    const size_t hole = pattern.find("{}");
    const std::string_view piece = pattern.substr(0, hole);
    const size_t found = piece.empty() && is_hole ? line.size() : line.find(piece, at);
    if (found == line.npos) return std::nullopt;
    if (is_hole) holes.emplace_back(trimmed(line.substr(at, found - at)));
    at = found + piece.size();
    if (hole == pattern.npos) return holes;
    is_hole = true;
    pattern.remove_prefix(hole + 2);
    if (pattern.empty()) {
      holes.emplace_back(trimmed(line.substr(at)));
      return holes;
    }
  }
}

// A decimal comma is a point.
std::optional<double> number(std::string text) {
  std::replace(text.begin(), text.end(), ',', '.');
  while (!text.empty() && (text.back() == '%' || text.back() == ' ')) text.pop_back();
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// Without terminal colours; a tab is a space.
std::string without_escapes(std::string_view line) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\x1b') {
      text += line[i] == '\t' ? ' ' : line[i];
      continue;
    }
    ++i;
    if (i >= line.size() || line[i] != '[') continue;
    do ++i;
    while (i < line.size() && (line[i] < '@' || line[i] > '~'));
  }
  return text;
}

struct Sign {
  std::string_view pattern;
  Severity severity;
  std::string_view id;
  std::string_view message;  // {0}, {1}: the holes
  std::string_view fix;
};

// First match wins. Ids of one cause are one finding each time its text differs.
constexpr Sign kSigns[] = {
    {"Reducing optimization level to {} (", Severity::kWarning, "silent-downgrade",
     "the compiler lowered the optimisation level to {0}",
     "give 1024 calibration windows or more, or a GPU (see its log for which is missing), or ask "
     "for the lower level with --optimization-level"},
    {"Reducing output bits of {} by {} bits", Severity::kWarning, "demoted-precision",
     "the output of {0} lost {1} bits",
     "look at this layer's noise; a wider range elsewhere or a16_w16 may help"},
    {"The calibration set seems to not be normalized{}", Severity::kWarning,
     "calibration-not-normalized", "the compiler doubts the calibration set{0}",
     "check that the windows are normalised once, not twice and not never"},
    {"random calibration{}", Severity::kWarning, "random-calibration",
     "the compiler calibrated on random data", "give real windows with --calib"},
    {"BadInputsShape: Data shape ({}) for layer {} doesn't match network's input shape ({})",
     Severity::kError, "calibration-shape",
     "calibration windows of shape {0} do not fit layer {1}, which takes {2}",
     "windows have to be channels last; take the calibration file graupel wrote"},
    {"Quantization failed in layer {} due to unsupported required slope. Desired shift is {}, but",
     Severity::kError, "slope", "layer {0} cannot be quantised: it needs a shift of {1}",
     "widen the range of its input: quantization_param({0}, force_range_in=[...]) in your script"},
    {"GPU memory has been exhausted{}", Severity::kError, "gpu-memory",
     "the graphics card ran out of memory", "use a smaller batch_size, or hide the card"},
    {"by a factor of {}", Severity::kError, "shift-delta",
     "a layer needs a larger range at its inputs, by a factor of {0}",
     "quantization_param([LAYER], force_range_in=[...], force_range_index=...) with the range "
     "times that factor"},
    {"layer {} does not support shift delta{}", Severity::kError, "shift-delta",
     "layer {0} needs a larger range at its inputs",
     "quantization_param([{0}], force_range_in=[...], force_range_index=...) in your script, with "
     "the factor the log names"},
    {"The original node name {} in end_node_names is missing in the HN", Severity::kError,
     "end-node-missing", "the end node {0} does not exist for the compiler, or was merged away",
     "name another end node (a node, not a tensor) with graupel parse --end-nodes"},
    {"Unable to find end node name{}", Severity::kError, "end-node-missing",
     "an end node does not exist for the compiler{0}",
     "name another end node with graupel parse --end-nodes"},
    {"Unspecified inputs: {}", Severity::kError, "inputs", "the network has more inputs: {0}",
     "pin their shapes or cut behind them"},
    {"No successful assignments: {} errors: {}", Severity::kError, "infeasible",
     "layer {0} could not be placed: {1}",
     "--effort max, lower --resources max_control_utilization=0.6, or cut earlier"},
    {"could not find a valid partition to contexts. Most commom error is: {} on {} with {} "
     "failures",
     Severity::kError, "partition", "no partition to contexts was found: {0} on {1}",
     "--effort max, or cut earlier"},
    {"{} capacity exceeded (available: {}, required: {})", Severity::kError, "capacity",
     "{0} is too small: {1} available, {2} required",
     "make the named layer smaller or compress it (precision_mode=a8_w4), or cut earlier"},
    {"Resources presolve failed: {}=({}/{})", Severity::kError, "resources",
     "the network needs {1} of {2} {0}",
     "fewer layers: merge or remove normalisation and softmax, or cut earlier"},
    {"{} failed on kernel validation: {}", Severity::kError, "kernel",
     "{0} cannot be computed: {1}", "change this layer, or cut before it"},
    {"{} APUs but max allowed is {}", Severity::kError, "apus", "{0} APUs, at most {1} allowed",
     "split the layer, or cut before it"},
    {"Reshape is needed for layers: {}, but adding a reshape has failed", Severity::kError,
     "reshape", "the compiler could not change the layout at {0}", "change these layers"},
    {"Splitter failed to find a possible solution{}", Severity::kError, "splitter",
     "a layer is too large and could not be split", "make it smaller, or cut before it"},
    {"Auto defused failed {} required too many SCs", Severity::kError, "subclusters",
     "{0} needs too many subclusters", "make it smaller, or lower the FPS asked for"},
    {"Failed to reach required FPS{}", Severity::kError, "fps", "the FPS asked for is not reached",
     "ask for less with --fps"},
    {"Model requires quantized weights{}", Severity::kError, "not-quantized",
     "the network was not quantised", "run the optimize stage again (--fresh)"},
    {"unrecognized arguments: {}", Severity::kError, "arguments",
     "this release of the compiler does not know {0}", "leave it out, or use another release"},
    {"is not a valid MOConfigCommand{}", Severity::kError, "script",
     "the model script has a command this release does not know", "see the log, mend the script"},
    {"AllocatorScriptParserException{}", Severity::kError, "script",
     "the compiler could not read the model script{0}", "mend the script"},
    {"NMSConfigPostprocessException{}", Severity::kError, "nms", "the NMS settings do not fit{0}",
     "mend the NMS file"},
};

void add(Log& log, Finding finding) {
  const auto same = [&](const Finding& other) {
    return other.id == finding.id && other.message == finding.message;
  };
  if (std::any_of(log.findings.begin(), log.findings.end(), same)) return;
  if (log.findings.size() < 200) log.findings.push_back(std::move(finding));
}

// {0}, {1}, ... in `text` replaced.
std::string filled(std::string_view text, const Holes& holes) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t index = i + 2 < text.size() ? static_cast<size_t>(text[i + 1] - '0') : 10;
    if (text[i] != '{' || index > 9 || text[i + 2] != '}') {
      result += text[i];
      continue;
    }
    if (index < holes.size()) result += shortened(holes[index], 120);
    i += 2;
  }
  return result;
}

// " UnsupportedFooError in op NODE: TEXT"
bool read_parse_error(Log& log, std::string_view line) {
  const std::optional<Holes> holes = match(line, "{}Error in op {}: {}");
  if (!holes || (*holes)[0].find(' ') != std::string::npos) return false;
  add(log, {Severity::kError, "unsupported-node", (*holes)[1],
            (*holes)[0] + "Error: " + shortened((*holes)[2], 200),
            "cut before it: graupel parse --end-nodes"});
  return true;
}

bool read_recommendation(Log& log, std::string_view line) {
  std::optional<Holes> holes = match(line, "using these end node names: {}");
  if (!holes) holes = match(line, "recommendations for end node names: [{}]");
  if (!holes) return false;
  std::string_view rest = (*holes)[0];
  std::vector<std::string> names;
  while (!rest.empty() && names.size() < 1000) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view name = trimmed(rest.substr(0, comma));
    if (!name.empty()) names.emplace_back(name);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  log.recommended_end_nodes = std::move(names);
  add(log,
      {Severity::kWarning, "recommended-cut", "",
       fmt::format("the compiler recommends another cut: {}",
                   shortened(fmt::format("{}", fmt::join(log.recommended_end_nodes, ", ")), 300)),
       "graupel parse --end-nodes with these, or --accept-recommendation"});
  return true;
}

void read_utilization(Log& log, std::string_view line) {
  const std::optional<Holes> holes = match(line, "|{}|{}|{}|{}|");
  if (!holes) return;
  const std::string& name = (*holes)[0];
  if (!name.starts_with("cluster_") && name != "Total") return;
  const auto control = number((*holes)[1]), compute = number((*holes)[2]),
             memory = number((*holes)[3]);
  if (!control || !compute || !memory || log.utilization.size() > 500) return;
  log.utilization.push_back({name, *control, *compute, *memory});
}

void read_facts(Log& log, std::string_view line) {
  if (const auto holes = match(line, "Hailo DFC Version: {}")) log.compiler_version = (*holes)[0];
  if (const auto holes = match(line, "HailoRT Version: {}")) log.runtime_version = (*holes)[0];
  if (const auto holes = match(line, "{} SNR:{}dB")) {
    if (const auto value = number((*holes)[1]); value && log.snr_db.size() < 1000) {
      const size_t space = (*holes)[0].rfind(' ');
      log.snr_db[space == std::string::npos ? (*holes)[0] : (*holes)[0].substr(space + 1)] = *value;
    }
  }
  if (line.find("Using Single-context flow") != line.npos) log.contexts = 1;
  if (const auto holes = match(line, "Found valid partition to {} contexts")) {
    if (const auto value = number((*holes)[0]); value && *value < 1000) {
      log.contexts = static_cast<int>(*value);
    }
  }
  for (const std::string_view what :
       {"allocation time", "compilation time", "completion time", "Time it took"}) {
    if (const auto holes = match(line, fmt::format("{}{{}}", what))) {
      std::string time = (*holes)[0];
      while (!time.empty() && std::string_view(":) is").find(time[0]) != std::string_view::npos) {
        time.erase(0, 1);
      }
      time = time.substr(0, time.find(')'));
      if (log.times.size() < 100) log.times.push_back(fmt::format("{}: {}", what, time));
    }
  }
}

void read_progress(Log& log, std::string_view line) {
  constexpr std::string_view kStages[] = {
      "Translation started",         "Translation completed",
      "Starting Model Optimization", "Model Optimization is done",
      "Starting Hailo allocation",   "Trying to compile",
      "Solving the allocation",      "Successful Mapping",
      "Compiling kernels",           "Building HEF",
      "Successful Compilation",      "Mapping Failed",
      "Model Optimization Algorithm"};
  for (const std::string_view stage : kStages) {
    const size_t found = line.find(stage);
    if (found == line.npos) continue;
    log.stage = shortened(line.substr(found), 100);
    log.percent.reset();
  }
  const std::optional<Holes> holes = match(line, "{}: {}%|");
  if (!holes) return;
  const std::optional<double> percent = number((*holes)[1]);
  if (!percent || *percent < 0 || *percent > 100) return;
  log.stage = shortened((*holes)[0], 60);
  log.percent = static_cast<int>(*percent);
}

}  // namespace

void read_line(Log& log, std::string_view raw) {
  const std::string line = without_escapes(raw.substr(0, 16384));
  read_facts(log, line);
  read_progress(log, line);
  read_utilization(log, line);
  if (read_recommendation(log, line) || read_parse_error(log, line)) return;
  for (const Sign& sign : kSigns) {
    const std::optional<Holes> holes = match(line, sign.pattern);
    if (!holes) continue;
    add(log, {sign.severity, std::string(sign.id), "", filled(sign.message, *holes),
              filled(sign.fix, *holes)});
    return;
  }
}

}  // namespace graupel::hailo
