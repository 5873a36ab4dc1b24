// Judging model scripts. See script_check.h. Test: script_check_test.cc.
//
// Idea: a table says of each command which of its arguments name layers and whether it sets things
// that can be set twice. Commands and value ranges are those of the vendor's published scripts
// (model zoo, all releases); what those do not use is doubted, not refused, for the compiler's own
// list is not public.
#include "hailo/script_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace graupel::hailo {
namespace {

struct Command {
  std::string_view name;
  size_t layer_positions = 0;  // so many positional arguments at the front name layers
  bool sets = false;           // key=value settings, each to be given once
  bool in_quantizer = false;   // runs before layers are split or added by the compiler
  std::string_view layer_key = "";
};

constexpr size_t kAll = SIZE_MAX;

constexpr std::array kCommands = {
    // model
    Command{"normalization", kAll, false, true},
    Command{"input_conversion"},
    Command{"yuv_to_rgb"},
    Command{"resize"},
    Command{"resize_input"},
    Command{"transpose"},
    Command{"nms_postprocess"},
    Command{"change_output_activation", 0, false, true},
    Command{"logits_layer"},
    Command{"set_seed", 0, true},
    Command{"set_input_mask_to_softmax"},
    // quantisation
    Command{"model_optimization_flavor", 0, true, true},
    Command{"model_optimization_config", 0, true, true, "layers"},
    Command{"quantization_param", 1, true, true},
    Command{"pre_quantization_optimization", 0, true, true, "layers"},
    Command{"post_quantization_optimization", 0, true, true, "loss_layer_names"},
    Command{"convert_to_dense"},
    // allocation
    Command{"allocator_param", 0, true},
    Command{"resources_param", 0, true},
    Command{"performance_param", 0, true},
    Command{"compilation_param", 1, true},
    Command{"context_switch_param", 0, true},
    Command{"platform_param", 0, true},
    Command{"hef_param", 0, true},
    Command{"buffer_calc_param", 0, true},
    Command{"buffers", 2},
    Command{"optimize_buffers"},
    Command{"defuse", 1},
    Command{"defuse_block"},
    Command{"merge", kAll},
    Command{"concat"},
    Command{"shape_splitter", 1},
    Command{"feature_splitter", 1},
    Command{"shortcut", 1},
    Command{"portal", 1},
    Command{"l4_portal", 1},
    Command{"ddr", 1},
    Command{"join"},
    Command{"format_conversion", 1},
    Command{"remove_node", 1},
    Command{"transpose_concat"},
    Command{"mux_demux"},
    Command{"output_mux"},
    Command{"bucket"},
    Command{"context"},
    Command{"place"},
    Command{"network_group"},
    Command{"output_layer", 1},
    Command{"spatial_reshape_flow_params", 0, true},
};

// Published scripts set these as a whole, and further down some of it anew.
constexpr std::string_view kLayered[] = {"allocator_param", "context_switch_param",
                                         "resources_param", "compilation_param"};

const Command* find_command(std::string_view name) {
  for (const Command& command : kCommands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

// Levenshtein, capped: more than `most` edits give most + 1.
size_t edits(std::string_view a, std::string_view b, size_t most) {
  if (a.size() > b.size() + most || b.size() > a.size() + most) return most + 1;
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::string near_command(std::string_view name) {
  for (const Command& command : kCommands) {
    if (edits(command.name, name, 2) <= 2) return std::string(command.name);
  }
  return "";
}

// SPLIT_WIDTH and the like stand where layers do, which are never in capitals alone.
bool is_constant(std::string_view word) {
  return std::none_of(word.begin(), word.end(),
                      [](char c) { return (c >= 'a' && c <= 'z') || c == '/'; });
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('/') + 1); }

// '*', '?' and '[a-b]' as in a shell; linear backtracking on the last star.
bool glob_matches(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = pattern.npos, resume = 0;
  const auto one = [&](size_t& next) {
    if (p == pattern.size()) return false;
    next = p + 1;
    if (pattern[p] == '?') return true;
    if (pattern[p] != '[') return pattern[p] == name[n];
    const size_t close = pattern.find(']', p + 1);
    if (close == pattern.npos) return pattern[p] == name[n];
    bool inside = false;
    for (size_t i = p + 1; i < close; ++i) {
      if (i + 2 < close && pattern[i + 1] == '-') {
        inside = inside || (pattern[i] <= name[n] && name[n] <= pattern[i + 2]);
        i += 2;
      } else {
        inside = inside || pattern[i] == name[n];
      }
    }
    next = close + 1;
    return inside;
  };
  while (n < name.size()) {
    size_t next = 0;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (one(next)) {
      p = next;
      ++n;
    } else if (star != pattern.npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// "conv12" -> "conv", 12; nothing if the name does not end in a number.
std::optional<std::pair<std::string, int64_t>> stem_and_number(std::string_view name) {
  const size_t digits = name.find_last_not_of("0123456789") + 1;
  int64_t number = 0;
  const auto [end, status] =
      std::from_chars(name.data() + digits, name.data() + name.size(), number);
  if (digits == name.size() || status != std::errc() || end != name.data() + name.size()) {
    return std::nullopt;
  }
  return std::pair(std::string(name.substr(0, digits)), number);
}

std::optional<double> number_of(const Value& value) {
  if (value.kind != ValueKind::kInt && value.kind != ValueKind::kFloat) return std::nullopt;
  std::string_view text = value.text;
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

class Judge {
 public:
  explicit Judge(const ScriptContext& context) : context_(context) {
    if (!context.layers) return;
    for (const std::string& layer : *context.layers) known_.emplace(last_part(layer));
  }

  void statement(const Statement& statement) {
    where_ = statement.line == 0 ? "graupel's own line" : fmt::format("line {}", statement.line);
    const Command* const command = find_command(statement.command);
    for (const std::string& name : statement.names) made_.emplace(last_part(name));
    if (command == nullptr) {
      unknown_command(statement);
      return;
    }
    layers(statement, *command);
    if (command->sets) settings(statement);
    values(statement);
    if (statement.command == "normalization") normalization(statement);
  }

  std::vector<Finding> take() { return std::move(findings_); }

 private:
  void add(Severity severity, std::string id, std::string message, std::string fix) {
    findings_.push_back({severity, std::move(id), where_, std::move(message), std::move(fix)});
  }

  void unknown_command(const Statement& statement) {
    const std::string near = near_command(statement.command);
    if (!near.empty()) {
      add(Severity::kError, "unknown-command", fmt::format("'{}' is no command", statement.command),
          fmt::format("write {}", near));
      return;
    }
    add(Severity::kWarning, "unknown-command",
        fmt::format("'{}' is in none of the vendor's published scripts", statement.command),
        "check its name; the compiler has the last word");
  }

  void layer(const std::string& name, const Command& command) {
    const std::string_view plain = last_part(name);
    if (made_.contains(plain)) return;
    if (context_.layers && !known_.contains(plain)) {
      // The compiler makes layers of its own out of norms and softmax, and when it allocates.
      const bool can_appear_later =
          !command.in_quantizer || plain.find("layer_normalization") != plain.npos ||
          plain.find("softmax") != plain.npos || plain.find("splitter") != plain.npos;
      add(can_appear_later ? Severity::kWarning : Severity::kError, "unknown-layer",
          fmt::format("the parsed network has no layer '{}'", name),
          "graupel inspect of the .har lists its layers");
    }
    const auto named = stem_and_number(plain);
    if (context_.layers || !context_.most_layers || !named) return;
    const auto most = context_.most_layers->find(named->first);
    if (most == context_.most_layers->end() || named->second <= most->second) return;
    add(Severity::kWarning, "unknown-layer",
        fmt::format("there can be no layer '{}': the device part has at most {} of that kind", name,
                    most->second),
        "layers are numbered as the vendor's parser meets them; take the names from its .har");
  }

  void layers_of(const Value& value, const Command& command) {
    for (const Value& item : value.items) layers_of(item, command);
    if (value.kind == ValueKind::kWord && !is_constant(value.text)) layer(value.text, command);
    if (value.kind == ValueKind::kGlob && context_.layers) {
      const std::string pattern = value.text.substr(1, value.text.size() - 2);
      const auto matches = [&](const auto& name) { return glob_matches(last_part(pattern), name); };
      if (std::any_of(known_.begin(), known_.end(), matches)) return;
      if (std::any_of(made_.begin(), made_.end(), matches)) return;
      add(Severity::kWarning, "unknown-layer",
          fmt::format("{} matches no layer of the parsed network", value.text),
          "graupel inspect of the .har lists its layers");
    }
  }

  void layers(const Statement& statement, const Command& command) {
    size_t position = 0;
    for (const Argument& argument : statement.arguments) {
      if (argument.key.empty() && position++ < command.layer_positions) {
        layers_of(argument.value, command);
      }
      if (!argument.key.empty() && argument.key == command.layer_key) {
        layers_of(argument.value, command);
      }
    }
    if (statement.command == "change_output_activation" && statement.arguments.size() == 2) {
      layers_of(statement.arguments[0].value, command);
    }
  }

  void settings(const Statement& statement) {
    std::string subject = statement.scope + "." + statement.command;
    for (const Argument& argument : statement.arguments) {
      if (argument.key.empty()) subject += " " + format_value(argument.value);
    }
    // Clippings and ranges of several layers are several statements about several subjects.
    if (const Value* layers = argument(statement, "layers")) subject += " " + format_value(*layers);
    if (const Value* index = argument(statement, "force_range_index")) {
      subject += " #" + format_value(*index);
    }
    for (const Argument& argument : statement.arguments) {
      if (argument.key.empty() || argument.key == "layers") continue;
      const std::string value = format_value(argument.value);
      const auto [found, is_new] =
          set_.try_emplace(subject + " " + argument.key, std::pair(value, where_));
      if (is_new || found->second.first == value) continue;
      const bool is_layered = std::find(std::begin(kLayered), std::end(kLayered),
                                        statement.command) != std::end(kLayered);
      add(is_layered ? Severity::kInfo : Severity::kWarning,
          is_layered ? "set-again" : "contradiction",
          fmt::format("sets {} of {} to {}, but {} set it to {}", argument.key, statement.command,
                      value, found->second.second, found->second.first),
          "keep one; which of the two holds is not documented");
      found->second = {value, where_};
    }
  }

  void must_be(const Statement& statement, std::string_view key,
               const std::vector<std::string_view>& choices) {
    const Value* const value = argument(statement, key);
    if (value == nullptr) return;
    const std::string text = format_value(*value);
    if (std::find(choices.begin(), choices.end(), text) != choices.end()) return;
    add(Severity::kWarning, "unusual-value",
        fmt::format("{}={}; the published scripts use {}", key, text, fmt::join(choices, ", ")),
        "check it; the compiler has the last word");
  }

  void values(const Statement& statement) {
    must_be(statement, "precision_mode", {"a8_w8", "a8_w4", "a16_w16"});
    must_be(statement, "compiler_optimization_level", {"0", "1", "2", "max"});
    if (statement.command == "model_optimization_flavor") {
      must_be(statement, "optimization_level", {"-100", "0", "1", "2", "3", "4"});
      must_be(statement, "compression_level", {"0", "1", "2", "3", "4", "5"});
      levels(statement);
    }
    if (const Value* size = argument(statement, "calibset_size")) calibration_size(*size);
    for (const std::string_view key : {"force_range_in", "force_range_out", "clipping_values"}) {
      const Value* const range = argument(statement, key);
      if (range == nullptr || range->kind != ValueKind::kList) continue;
      range_of(key, *range);
    }
  }

  void range_of(std::string_view key, const Value& range) {
    if (range.items.size() != 2) return;
    const std::optional<double> low = number_of(range.items[0]);
    const std::optional<double> high = number_of(range.items[1]);
    if (!low || !high || *low < *high) return;
    add(Severity::kError, "empty-range",
        fmt::format("{}={} holds no value", key, format_value(range)), "write [low, high]");
  }

  void levels(const Statement& statement) {
    const Value* const level = argument(statement, "optimization_level");
    const Value* const compression = argument(statement, "compression_level");
    const std::optional<double> number = level ? number_of(*level) : std::nullopt;
    if (!number) return;
    if (compression != nullptr && *number == 0 && number_of(*compression).value_or(0) > 0) {
      add(Severity::kWarning, "contradiction",
          "asks for compression at optimization_level=0, where none is used",
          "raise the level or leave compression_level=0");
    }
    if (*number >= 2 && context_.calibration_windows.value_or(1024) < 1024) {
      add(Severity::kWarning, "level-needs-windows",
          fmt::format("asks for optimization_level={}, which wants 1024 calibration windows; there "
                      "are {}",
                      level->text, *context_.calibration_windows),
          "give more windows, or ask for level 1; the compiler may lower the level by itself");
    }
  }

  void calibration_size(const Value& size) {
    const std::optional<double> wanted = number_of(size);
    if (!wanted || size.kind != ValueKind::kInt || *wanted < 1) {
      add(Severity::kError, "calibration-size",
          fmt::format("calibset_size={} is no number of windows", format_value(size)),
          "write a whole number above 0");
    } else if (context_.calibration_windows &&
               *wanted > static_cast<double>(*context_.calibration_windows)) {
      add(Severity::kWarning, "calibration-size",
          fmt::format("calibset_size={}, but there are {} windows", size.text,
                      *context_.calibration_windows),
          "give more windows or a smaller size");
    }
  }

  void normalization(const Statement& statement) {
    std::string subject;
    for (const Argument& argument : statement.arguments) {
      if (argument.value.kind == ValueKind::kWord) subject = argument.value.text;
    }
    if (context_.normalized_on_host) {
      add(Severity::kError, "double-normalization",
          "normalises on the device, but the calibration windows are normalised already, and so is "
          "what the runtime sends",
          "remove the statement");
    }
    if (!normalized_.insert(subject).second) {
      add(Severity::kError, "double-normalization",
          fmt::format("normalises {} a second time", subject.empty() ? "the input" : subject),
          "keep one normalization per input");
    }
  }

  const ScriptContext& context_;
  std::string where_;
  std::set<std::string, std::less<>> known_, made_, normalized_;
  std::map<std::string, std::pair<std::string, std::string>> set_;  // value and place
  std::vector<Finding> findings_;
};

}  // namespace

bool is_known_command(std::string_view command) { return find_command(command) != nullptr; }

std::vector<Finding> check_script(const Script& script, const ScriptContext& context) {
  Judge judge(context);
  for (const Statement& statement : script.statements) judge.statement(statement);
  return judge.take();
}

}  // namespace graupel::hailo
