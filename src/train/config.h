// What a training run is: the network, its quantizer, the schedule, the augmentation.
//
// Idea: one plain description that the TOML file, the checkpoint and the exported model share. Its
// text form is complete, so a checkpoint that carries it can be resumed, distilled from or refined
// without any other file, and two runs with equal text are the same run.
// Reference: docs/training.md. Test: config_test.cc; fuzz/train_config_fuzz.cc.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace graupel::train {

// Conv2d(kernel) - BatchNorm - ReLU, then MaxPool(pool) if that is not 1x1. {sensors, samples}.
// Along samples the input is padded by kernel / 2 on both sides; along sensors not at all, so a
// kernel of 2 there makes one row of two sensors. `separable`: one filter per channel (groups),
// then a 1x1 convolution to `channels`.
struct Layer {
  int64_t channels = 0;
  std::array<int64_t, 2> kernel = {1, 1};
  std::array<int64_t, 2> stride = {1, 1};
  std::array<int64_t, 2> pool = {1, 1};
  bool separable = false;
  bool operator==(const Layer&) const = default;
};

enum class Pooling : uint8_t { kAverage, kMax };  // over all sensors and samples that are left

struct Network {
  std::vector<Layer> layers;
  Pooling pooling = Pooling::kAverage;
  // Finite scalar quantizer: one dimension per entry. Empty: none; the projection then has
  // `projection` outputs and the head reads them as they are (0: no projection either).
  std::vector<int64_t> fsq_levels = {8, 6, 5, 5, 4};
  std::string fsq_variant = "lucidrains-2024";  // a name of fsq_constants
  int64_t projection = 0;                       // without FSQ only
  int64_t hidden = 64;                          // of the head; 0: one linear layer
  double dropout = 0.1;                         // in front of the last linear layer
  bool operator==(const Network&) const = default;
};

// The networks that have a name: "cross", "plain", "wide", "separable".
Result<Network> named_network(std::string_view name);
inline constexpr std::string_view kNetworkNames = "cross, plain, wide, separable";

// Each is drawn anew for every window and epoch; 0 switches it off. See augment.h.
struct Augmentation {
  double rotation_deg = 20.0;   // sigma of the rotation vector, per sensor
  double scaling = 0.1;         // sigma of the gain, per sensor and kind of reading
  double jitter = 0.05;         // sigma of white noise, in scaled units
  double time_warp = 0.0;       // sigma of the speed along the window
  double magnitude_warp = 0.0;  // sigma of a gain that varies along the window
  double sensor_dropout = 0.0;  // probability that one sensor reads nothing
  bool operator==(const Augmentation&) const = default;
};

enum class Schedule : uint8_t { kConstant, kCosine, kOneCycle };

struct Optimization {
  int64_t epochs = 8;
  int64_t batch = 128;
  double learning_rate = 3e-3;  // the highest
  double weight_decay = 1e-2;   // AdamW's
  Schedule schedule = Schedule::kOneCycle;
  double warmup = 0.3;  // share of the steps that go up; not for kConstant
  double label_smoothing = 0.05;
  bool class_weights = false;  // inverse frequency, mean 1
  int64_t patience = 0;        // epochs without a better validation loss; 0: run all epochs
  double averaging = 0.0;      // decay per step of the averaged weights that are kept; 0: none
  uint64_t seed = 1;
  bool operator==(const Optimization&) const = default;
};

// Loss = (1 - weight) CE + weight T^2 KL(teacher / T || student / T).
struct Distillation {
  double weight = 0.5;
  double temperature = 4.0;
  bool operator==(const Distillation&) const = default;
};

struct Config {
  Network network;
  Optimization optimization;
  Augmentation augmentation;
  Distillation distillation;
  bool operator==(const Config&) const = default;
};

Config default_config();

// Tables [network], [fsq], [optimization], [augmentation], [distillation]; every key is optional,
// an unknown one is an error. `name` is what errors call the text, with the line.
Result<Config> parse_config(std::string_view toml, const std::string& name);
Result<Config> read_config(const std::string& path);
// Every key; parse_config gives an equal value back.
std::string format_config(const Config& config);
// Ranges that keep every later size and step in bounds; parse_config has applied it.
Result<void> check_config(const Config& config);

// rounded value = round(factor * f(scale * z + shift) + term) [Floor instead of Round where
// `floors`], then code = (rounded - center) / half_width: about [-1, 1] for every variant.
enum class Bounding : uint8_t { kTanh, kSigmoid, kClamp };
struct FsqConstants {
  Bounding bounding = Bounding::kTanh;
  bool floors = false;
  double scale = 1.0;                                           // of z
  std::vector<double> shift, factor, term, center, half_width;  // one per dimension
};
// "lucidrains-2024", "lucidrains-2023", "paper-2023", "hard-clamp", "symmetric", "ifsq", as
// cut::find_fsq calls them. Error kInvalidInput for another name or fewer than 2 levels.
Result<FsqConstants> fsq_constants(std::string_view variant, const std::vector<int64_t>& levels);

}  // namespace graupel::train
