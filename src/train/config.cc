// The TOML form of a training run. See config.h.
//
// Idea: one list of keys, each bound to its field, serves reading, writing and the messages, so a
// key cannot be written without being read. Test: config_test.cc; fuzz/train_config_fuzz.cc.
#include "train/config.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <cmath>
#include <functional>
#include <variant>

#include "base/files.h"

namespace graupel::train {
namespace {

constexpr uint64_t kLimitBytes = 1 << 20;
constexpr size_t kMostLayers = 32;

struct Choice {
  uint8_t* value;
  std::vector<std::string_view> names;  // by enumerator
};
using Field = std::variant<int64_t*, uint64_t*, double*, bool*, std::string*, std::vector<int64_t>*,
                           std::array<int64_t, 2>*, Choice>;
struct Key {
  std::string_view name;
  Field field;
};

template <class Enum>
Choice choice(Enum& value, std::vector<std::string_view> names) {
  static_assert(sizeof(Enum) == 1);
  return {reinterpret_cast<uint8_t*>(&value), std::move(names)};
}

std::vector<Key> keys_of(Layer& layer) {
  return {{"channels", &layer.channels},
          {"kernel", &layer.kernel},
          {"stride", &layer.stride},
          {"pool", &layer.pool},
          {"separable", &layer.separable}};
}
std::vector<Key> network_keys(Network& network) {
  return {{"pooling", choice(network.pooling, {"average", "max"})},
          {"projection", &network.projection},
          {"hidden", &network.hidden},
          {"dropout", &network.dropout}};
}
std::vector<Key> fsq_keys(Network& network) {
  return {{"levels", &network.fsq_levels}, {"variant", &network.fsq_variant}};
}
std::vector<Key> keys_of(Optimization& run) {
  return {{"epochs", &run.epochs},
          {"batch", &run.batch},
          {"learning_rate", &run.learning_rate},
          {"weight_decay", &run.weight_decay},
          {"schedule", choice(run.schedule, {"constant", "cosine", "one-cycle"})},
          {"warmup", &run.warmup},
          {"label_smoothing", &run.label_smoothing},
          {"class_weights", &run.class_weights},
          {"patience", &run.patience},
          {"averaging", &run.averaging},
          {"seed", &run.seed}};
}
std::vector<Key> keys_of(Augmentation& change) {
  return {{"rotation_deg", &change.rotation_deg},
          {"scaling", &change.scaling},
          {"jitter", &change.jitter},
          {"time_warp", &change.time_warp},
          {"magnitude_warp", &change.magnitude_warp},
          {"sensor_dropout", &change.sensor_dropout}};
}
std::vector<Key> keys_of(Distillation& distillation) {
  return {{"weight", &distillation.weight}, {"temperature", &distillation.temperature}};
}

struct Source {
  const std::string& name;
  Error at(const toml::node& node, std::string what) const {
    return invalid_input(fmt::format("{}:{}", name, node.source().begin.line), std::move(what));
  }
};

Result<std::vector<int64_t>> whole_numbers(const Source& source, const std::string& path,
                                           const toml::node& node) {
  const toml::array* const list = node.as_array();
  if (list == nullptr || list->size() > 64) {
    return source.at(node, fmt::format("'{}' is not a list of at most 64 whole numbers", path));
  }
  std::vector<int64_t> numbers;
  for (const toml::node& item : *list) {
    const toml::value<int64_t>* const number = item.as_integer();
    if (number == nullptr) return source.at(item, fmt::format("'{}' holds no whole number", path));
    numbers.push_back(number->get());
  }
  return numbers;
}

// Writes the node's value into the field.
struct Reader {
  const Source& source;
  const std::string& path;
  const toml::node& node;

  Error wrong(std::string_view expected) const {
    return source.at(node, fmt::format("'{}' is not {}", path, expected));
  }
  Result<void> operator()(int64_t* field) const {
    const toml::value<int64_t>* const number = node.as_integer();
    if (number == nullptr) return wrong("a whole number");
    *field = number->get();
    return ok();
  }
  Result<void> operator()(uint64_t* field) const {
    const toml::value<int64_t>* const number = node.as_integer();
    if (number == nullptr || number->get() < 0) return wrong("a whole number of 0 or more");
    *field = static_cast<uint64_t>(number->get());
    return ok();
  }
  Result<void> operator()(double* field) const {
    const std::optional<double> number = node.value<double>();
    if (!number || !std::isfinite(*number)) return wrong("a number");
    *field = *number;
    return ok();
  }
  Result<void> operator()(bool* field) const {
    const toml::value<bool>* const flag = node.as_boolean();
    if (flag == nullptr) return wrong("true or false");
    *field = flag->get();
    return ok();
  }
  Result<void> operator()(std::string* field) const {
    const toml::value<std::string>* const text = node.as_string();
    if (text == nullptr) return wrong("a string");
    *field = text->get();
    return ok();
  }
  Result<void> operator()(std::vector<int64_t>* field) const {
    TRY_ASSIGN(*field, whole_numbers(source, path, node));
    return ok();
  }
  Result<void> operator()(std::array<int64_t, 2>* field) const {
    TRY_ASSIGN(const std::vector<int64_t> numbers, whole_numbers(source, path, node));
    if (numbers.size() != 2) return wrong("a pair [sensors, samples]");
    *field = {numbers[0], numbers[1]};
    return ok();
  }
  Result<void> operator()(const Choice& field) const {
    const toml::value<std::string>* const text = node.as_string();
    for (size_t i = 0; text != nullptr && i < field.names.size(); ++i) {
      if (field.names[i] == text->get()) {
        *field.value = static_cast<uint8_t>(i);
        return ok();
      }
    }
    return wrong(fmt::format("one of {}", fmt::join(field.names, ", ")));
  }
};

using KeyHandler = std::function<Result<bool>(std::string_view key, const toml::node& node)>;

// `special` is asked first and says whether the key was its own.
Result<void> read_table(const Source& source, const std::string& name, const toml::node& node,
                        const std::vector<Key>& keys, const KeyHandler& special = {}) {
  const toml::table* const table = node.as_table();
  if (table == nullptr) return source.at(node, fmt::format("'{}' is not a table", name));
  for (const auto& [key, value] : *table) {
    if (special) {
      TRY_ASSIGN(const bool taken, special(key.str(), value));
      if (taken) continue;
    }
    const Key* found = nullptr;
    std::string known;
    for (const Key& candidate : keys) {
      if (candidate.name == key.str()) found = &candidate;
      known += (known.empty() ? "" : ", ") + std::string(candidate.name);
    }
    const std::string path = fmt::format("{}.{}", name, key.str());
    if (found == nullptr) {
      return source.at(value, fmt::format("unknown key '{}'; expected {}", path, known));
    }
    TRY(std::visit(Reader{source, path, value}, found->field));
  }
  return ok();
}

Result<void> read_layers(const Source& source, const toml::node& node, Network& network) {
  const toml::array* const list = node.as_array();
  if (list == nullptr || list->empty() || list->size() > kMostLayers) {
    return source.at(
        node, fmt::format("'network.layer' is not 1 to {} tables [[network.layer]]", kMostLayers));
  }
  network.layers.clear();
  for (const toml::node& item : *list) {
    Layer layer;
    TRY(read_table(source, "network.layer", item, keys_of(layer)));
    network.layers.push_back(layer);
  }
  return ok();
}

Result<void> read_network(const Source& source, const toml::node& node, Network& network) {
  // The name replaces everything, so it goes first whatever its place in the file.
  if (const toml::table* table = node.as_table(); table != nullptr) {
    if (const toml::node* name = table->get("name")) {
      Result<Network> named = named_network(name->value_or(std::string()));
      if (!named.ok()) return source.at(*name, std::move(named).error().what);
      const Network before = std::exchange(network, *named);
      network.fsq_levels = before.fsq_levels;
      network.fsq_variant = before.fsq_variant;
    }
  }
  return read_table(source, "network", node, network_keys(network),
                    [&](std::string_view key, const toml::node& value) -> Result<bool> {
                      if (key == "name") return true;
                      if (key != "layer") return false;
                      TRY(read_layers(source, value, network));
                      return true;
                    });
}

Result<Config> config_of(const toml::table& table, const Source& source) {
  Config config = default_config();
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (name == "network") {
      TRY(read_network(source, node, config.network));
    } else if (name == "fsq") {
      TRY(read_table(source, name, node, fsq_keys(config.network)));
    } else if (name == "optimization") {
      TRY(read_table(source, name, node, keys_of(config.optimization)));
    } else if (name == "augmentation") {
      TRY(read_table(source, name, node, keys_of(config.augmentation)));
    } else if (name == "distillation") {
      TRY(read_table(source, name, node, keys_of(config.distillation)));
    } else {
      return source.at(node, fmt::format("unknown table '{}'; expected network, fsq, optimization, "
                                         "augmentation or distillation",
                                         name));
    }
  }
  return config;
}

struct Writer {
  std::string operator()(const int64_t* field) const { return std::to_string(*field); }
  std::string operator()(const uint64_t* field) const { return std::to_string(*field); }
  std::string operator()(const double* field) const {
    const std::string text = fmt::format("{}", *field);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  std::string operator()(const bool* field) const { return *field ? "true" : "false"; }
  std::string operator()(const std::string* field) const { return fmt::format("\"{}\"", *field); }
  std::string operator()(const std::vector<int64_t>* field) const {
    return fmt::format("[{}]", fmt::join(*field, ", "));
  }
  std::string operator()(const std::array<int64_t, 2>* field) const {
    return fmt::format("[{}]", fmt::join(*field, ", "));
  }
  std::string operator()(const Choice& field) const {
    return fmt::format("\"{}\"", field.names[*field.value]);
  }
};

void write_table(std::string& text, std::string_view header, const std::vector<Key>& keys) {
  text += fmt::format("{}\n", header);
  for (const Key& key : keys) {
    text += fmt::format("{} = {}\n", key.name, std::visit(Writer{}, key.field));
  }
}

Result<void> in_range(std::string_view name, double value, double low, double high) {
  if (value >= low && value <= high) return ok();
  return invalid_input("", fmt::format("{} is {}; expected {} to {}", name, value, low, high));
}

Result<void> check_layer(const Layer& layer) {
  TRY(in_range("channels of a layer", static_cast<double>(layer.channels), 1, 4096));
  for (size_t i = 0; i < 2; ++i) {
    TRY(in_range("kernel of a layer", static_cast<double>(layer.kernel[i]), 1, 127));
    TRY(in_range("stride of a layer", static_cast<double>(layer.stride[i]), 1, 64));
    TRY(in_range("pool of a layer", static_cast<double>(layer.pool[i]), 1, 64));
  }
  if (layer.kernel[1] % 2 == 0) {
    return invalid_input("", fmt::format("kernel {} along samples is even; expected an odd one, "
                                         "which is padded alike on both sides",
                                         layer.kernel[1]));
  }
  return ok();
}

Result<void> check_optimization(const Optimization& run) {
  TRY(in_range("epochs", static_cast<double>(run.epochs), 1, 100000));
  TRY(in_range("batch", static_cast<double>(run.batch), 2, 65536));
  TRY(in_range("learning_rate", run.learning_rate, 1e-8, 10));
  TRY(in_range("weight_decay", run.weight_decay, 0, 10));
  TRY(in_range("warmup", run.warmup, 0, 0.9));
  TRY(in_range("label_smoothing", run.label_smoothing, 0, 0.9));
  TRY(in_range("patience", static_cast<double>(run.patience), 0, 100000));
  return in_range("averaging", run.averaging, 0, 0.99999);
}

Result<void> check_augmentation(const Augmentation& change) {
  TRY(in_range("rotation_deg", change.rotation_deg, 0, 180));
  TRY(in_range("scaling", change.scaling, 0, 1));
  TRY(in_range("jitter", change.jitter, 0, 10));
  TRY(in_range("time_warp", change.time_warp, 0, 0.5));
  TRY(in_range("magnitude_warp", change.magnitude_warp, 0, 1));
  return in_range("sensor_dropout", change.sensor_dropout, 0, 0.9);
}

}  // namespace

Result<void> check_config(const Config& config) {
  const Network& network = config.network;
  TRY(in_range("number of layers", static_cast<double>(network.layers.size()), 1, kMostLayers));
  for (const Layer& layer : network.layers) TRY(check_layer(layer));
  TRY(in_range("projection", static_cast<double>(network.projection), 0, 4096));
  TRY(in_range("hidden", static_cast<double>(network.hidden), 0, 4096));
  TRY(in_range("dropout", network.dropout, 0, 0.95));
  for (const int64_t levels : network.fsq_levels) {
    TRY(in_range("FSQ levels", static_cast<double>(levels), 2, 128));
  }
  TRY(fsq_constants(network.fsq_variant, network.fsq_levels));
  TRY(check_optimization(config.optimization));
  TRY(check_augmentation(config.augmentation));
  TRY(in_range("distillation weight", config.distillation.weight, 0, 1));
  return in_range("distillation temperature", config.distillation.temperature, 0.1, 100);
}

Result<Config> parse_config(std::string_view text, const std::string& name) {
  try {
    const toml::table table = toml::parse(text, std::string_view(name));
    TRY_ASSIGN(Config config, config_of(table, Source{name}));
    if (Result<void> checked = check_config(config); !checked.ok()) {
      return std::move(checked).error().within(name);
    }
    return config;
  } catch (const toml::parse_error& failure) {  // toml++ reports syntax errors only this way
    return invalid_input(fmt::format("{}:{}", name, failure.source().begin.line),
                         std::string(failure.description()));
  } catch (const std::exception& failure) {
    return invalid_input(name, failure.what());
  }
}

Result<Config> read_config(const std::string& path) {
  TRY_ASSIGN(const std::string text, read_file(path, kLimitBytes));
  return parse_config(text, path);
}

std::string format_config(const Config& config) {
  Config copy = config;
  std::string text;
  write_table(text, "[network]", network_keys(copy.network));
  for (Layer& layer : copy.network.layers) write_table(text, "[[network.layer]]", keys_of(layer));
  write_table(text, "[fsq]", fsq_keys(copy.network));
  write_table(text, "[optimization]", keys_of(copy.optimization));
  write_table(text, "[augmentation]", keys_of(copy.augmentation));
  write_table(text, "[distillation]", keys_of(copy.distillation));
  return text;
}

}  // namespace graupel::train
