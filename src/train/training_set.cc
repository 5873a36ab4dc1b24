// Windows, labels and people of each split. See training_set.h. Test: training_set_test.cc.
#include "train/training_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "base/window_at.h"
#include "data/npy.h"
#include "data/statistics.h"
#include "data/windows.h"

namespace graupel::train {
namespace {

constexpr uint64_t kTextLimitBytes = 1 << 20;

bool is_there(const std::string& path) {
  std::error_code failed;
  return std::filesystem::exists(path, failed);
}

Result<std::vector<std::string>> read_classes(const std::string& path) {
  TRY_ASSIGN(const std::string text, read_file(path, kTextLimitBytes));
  std::vector<std::string> classes;
  std::string line;
  for (const char c : text + "\n") {
    if (c != '\n') {
      if (c != '\r') line += c;
    } else if (!line.empty()) {
      classes.push_back(std::exchange(line, {}));
    }
  }
  if (classes.size() >= 2) return classes;
  return invalid_input(
      path, fmt::format("names {} classes; expected two or more, one a line", classes.size()));
}

Result<void> check_windows(const Tensor& windows, const std::string& path) {
  if (windows.dtype() != DType::kFloat32 || windows.rank() != 4 || windows.size() == 0) {
    return invalid_input(path, fmt::format("holds {} {}; expected float32 windows x channels x "
                                           "sensors x samples",
                                           to_string(windows.dtype()), to_string(windows.shape())));
  }
  const std::span<const float> values = windows.data<float>();
  const auto bad = std::find_if_not(values.begin(), values.end(),
                                    [](float value) { return std::isfinite(value); });
  if (bad == values.end()) return ok();
  const auto per_window = static_cast<int64_t>(values.size()) / windows.shape()[0];
  return invalid_input(path, fmt::format("window {} holds a value that is not finite",
                                         (bad - values.begin()) / per_window));
}

Result<LabelledWindows> read_split(const std::string& folder, size_t classes) {
  LabelledWindows split;
  const std::string path = folder + "/windows.npy";
  TRY_ASSIGN(split.windows, data::read_npy(path));
  TRY(check_windows(split.windows, path));
  const int64_t count = split.windows.shape()[0];
  TRY_ASSIGN(const Tensor labels,
             data::load_labels(folder + "/labels.npy", count, static_cast<int64_t>(classes)));
  split.labels = labels.to_int64s();
  if (!is_there(folder + "/groups.npy")) return split;
  TRY_ASSIGN(const Tensor people, data::read_npy(folder + "/groups.npy"));
  if (people.shape() != Shape{count} || !is_integer(people.dtype())) {
    return invalid_input(folder + "/groups.npy",
                         fmt::format("holds {} {}; expected a whole number for each of {} windows",
                                     to_string(people.dtype()), to_string(people.shape()), count));
  }
  split.people = people.to_int64s();
  return split;
}

WindowShape shape_of(const LabelledWindows& split) {
  const Shape& shape = split.windows.shape();
  return {shape[1], shape[2], shape[3]};
}

// The windows of `from` at `indices`.
LabelledWindows chosen(const LabelledWindows& from, const std::vector<size_t>& indices) {
  LabelledWindows result;
  if (indices.empty()) return result;
  result.windows = windows_at(from.windows, indices);
  for (const size_t index : indices) {
    result.labels.push_back(from.labels[index]);
    if (!from.people.empty()) result.people.push_back(from.people[index]);
  }
  return result;
}

void append(LabelledWindows& to, const LabelledWindows& more) {
  Shape shape = to.windows.shape();
  shape[0] += more.count();
  Tensor both(DType::kFloat32, shape);
  const std::span<float> target = both.mutable_data<float>();
  const std::span<const float> first = to.windows.data<float>();
  const std::span<const float> second = more.windows.data<float>();
  std::copy(first.begin(), first.end(), target.begin());
  std::copy(second.begin(), second.end(),
            target.begin() + static_cast<std::ptrdiff_t>(first.size()));
  const bool known = !to.people.empty() && !more.people.empty();
  to.windows = std::move(both);
  to.labels.insert(to.labels.end(), more.labels.begin(), more.labels.end());
  to.people.insert(to.people.end(), more.people.begin(), more.people.end());
  if (!known) to.people.clear();
}

// ---- a folder with one set per split ----

Result<void> read_splits(const SetOptions& options, TrainingSet& set) {
  if (!is_there(options.folder + "/train/windows.npy")) {
    const bool folds = is_there(options.folder + "/folds.json");
    return io_error(options.folder,
                    folds ? "holds all folds; choose the person who is tested: --fold PERSON"
                          : "holds no train/windows.npy; expected a folder that `graupel prepare` "
                            "wrote");
  }
  const size_t classes = set.classes.size();
  TRY_ASSIGN(set.train, read_split(options.folder + "/train", classes));
  set.shape = shape_of(set.train);
  std::vector<std::string> names = options.joined;
  for (const char* usual : {"validation", "test"}) {
    const bool joined = std::find(names.begin(), names.end(), usual) != names.end();
    if (!joined && is_there(options.folder + "/" + usual + "/windows.npy")) names.push_back(usual);
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string folder = options.folder + "/" + names[i];
    TRY_ASSIGN(LabelledWindows split, read_split(folder, classes));
    if (shape_of(split) != set.shape) {
      return invalid_input(
          folder + "/windows.npy",
          fmt::format("has windows {}, but those of train are {}", to_string(split.windows.shape()),
                      to_string(set.train.windows.shape())));
    }
    if (i < options.joined.size()) {
      append(set.train, split);
    } else {
      (names[i] == "test" ? set.test : set.validation) = std::move(split);
    }
  }
  return ok();
}

// ---- a folder with everybody and a list of folds ----

using Json = nlohmann::ordered_json;

Result<std::vector<int64_t>> people_of(const Json& fold, const std::string& split,
                                       const std::string& path) {
  std::vector<int64_t> people;
  const auto list = fold.find(split);
  if (list == fold.end() || !list->is_array()) {
    return invalid_input(path, fmt::format("a fold has no list '{}'", split));
  }
  for (const Json& person : *list) {
    if (!person.is_number_integer()) return invalid_input(path, "a person is no whole number");
    people.push_back(person.get<int64_t>());
  }
  return people;
}

Result<Json> find_fold(const std::string& path, const std::string& wanted) {
  TRY_ASSIGN(const std::string text, read_file(path, kTextLimitBytes));
  const Json folds = Json::parse(text, nullptr, false);
  std::string known;
  for (const Json& fold : folds.is_array() ? folds : Json::array()) {
    if (!fold.is_object() || !fold.contains("fold")) continue;
    const std::string name = fold["fold"].dump();
    if (name == wanted) return fold;
    known += (known.empty() ? "" : ", ") + name;
  }
  return invalid_input(path, fmt::format("has no fold '{}'; it has: {}", wanted, known));
}

Result<void> read_fold(const SetOptions& options, TrainingSet& set) {
  const std::string path = options.folder + "/folds.json";
  TRY_ASSIGN(const Json fold, find_fold(path, options.fold));
  TRY_ASSIGN(const LabelledWindows all, read_split(options.folder + "/all", set.classes.size()));
  if (all.people.empty()) return invalid_input(options.folder, "all/ has no groups.npy");
  const auto windows_of = [&](const std::vector<int64_t>& people) {
    std::vector<size_t> indices;
    for (size_t i = 0; i < all.people.size(); ++i) {
      if (std::find(people.begin(), people.end(), all.people[i]) != people.end()) {
        indices.push_back(i);
      }
    }
    return indices;
  };
  TRY_ASSIGN(std::vector<int64_t> learning, people_of(fold, "train", path));
  for (const std::string& name : options.joined) {
    TRY_ASSIGN(const std::vector<int64_t> more, people_of(fold, name, path));
    learning.insert(learning.end(), more.begin(), more.end());
  }
  set.train = chosen(all, windows_of(learning));
  if (set.train.count() == 0) return invalid_input(path, "the fold has nobody to learn from");
  for (const char* name : {"validation", "test"}) {
    if (std::find(options.joined.begin(), options.joined.end(), name) != options.joined.end()) {
      continue;
    }
    TRY_ASSIGN(const std::vector<int64_t> people, people_of(fold, name, path));
    (name == std::string("test") ? set.test : set.validation) = chosen(all, windows_of(people));
  }
  set.shape = shape_of(set.train);
  return ok();
}

Result<void> check_people(const TrainingSet& set, const std::string& folder) {
  const std::set<int64_t> learning(set.train.people.begin(), set.train.people.end());
  for (const LabelledWindows* other : {&set.validation, &set.test}) {
    for (const int64_t person : other->people) {
      if (!learning.contains(person)) continue;
      return invalid_input(folder, fmt::format("person {} is trained on and in the {} split; such "
                                               "figures would say nothing about new people",
                                               person, other == &set.test ? "test" : "validation"));
    }
  }
  return ok();
}

}  // namespace

Result<TrainingSet> load_training_set(const SetOptions& options) {
  for (const std::string& name : options.joined) {
    if (name != "validation" && name != "calibration" && name != "test") {
      return invalid_input("--join", fmt::format("'{}' is no split; expected validation, "
                                                 "calibration or test",
                                                 name));
    }
  }
  if (!is_there(options.folder)) return io_error(options.folder, "does not exist");
  TrainingSet set;
  TRY_ASSIGN(set.classes, read_classes(options.folder + "/class_names.txt"));
  std::string chain = options.folder + "/normalization.json";
  if (options.fold.empty()) {
    TRY(read_splits(options, set));
  } else {
    TRY(read_fold(options, set));
    chain = fmt::format("{}/folds/{}/normalization.json", options.folder, options.fold);
  }
  TRY(check_people(set, options.folder));
  TRY_ASSIGN(const std::string text, read_file(chain, kTextLimitBytes));
  Result<data::Normalization> normalization = data::parse_normalization(text);
  if (!normalization.ok()) return std::move(normalization).error().within(chain);
  set.normalization = *std::move(normalization);
  const auto channels = static_cast<int64_t>(set.normalization.mean.size());
  if (channels == set.shape.channels) return set;
  return invalid_input(chain, fmt::format("is for {} channels, but the windows have {}", channels,
                                          set.shape.channels));
}

}  // namespace graupel::train
