// Splits by person, the leakage check, and balanced choices. See split.h. Test: split_test.cc.
#include "prepare/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/rng.h"
#include "data/npy.h"

namespace graupel::prepare {
namespace {

constexpr double kShare = 0.15;

template <class T>
void shuffle(std::vector<T>& values, Rng& rng) {
  for (size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[static_cast<size_t>(rng.below(i))]);
  }
}

Error too_few(size_t count) {
  return invalid_input("subjects",
                       fmt::format("windows come from {} person{}; training, validation, "
                                   "calibration and test need four different people. Splitting "
                                   "one person's windows would only measure memory; record more "
                                   "people",
                                   count, count == 1 ? "" : "s"));
}

Result<void> name_split(const std::vector<int64_t>& named, std::set<int64_t>& free,
                        const std::string& split, const std::vector<int64_t>& all) {
  for (const int64_t subject : named) {
    if (!std::binary_search(all.begin(), all.end(), subject)) {
      return invalid_input("subjects",
                           fmt::format("{} is named for {} but has no windows", subject, split));
    }
    if (free.erase(subject) == 0) {
      return invalid_input("subjects",
                           fmt::format("{} is named twice, last for {}", subject, split));
    }
  }
  return ok();
}

}  // namespace

Result<std::vector<Split>> make_fold(const std::vector<int64_t>& subjects, int64_t left_out) {
  if (subjects.size() < 4) return too_few(subjects.size());
  const auto found = std::lower_bound(subjects.begin(), subjects.end(), left_out);
  if (found == subjects.end() || *found != left_out) {
    return invalid_input("subjects",
                         fmt::format("{} is to be left out but has no windows", left_out));
  }
  const auto at = static_cast<size_t>(found - subjects.begin());
  std::vector<Split> splits = {
      {"train", {}}, {"validation", {}}, {"calibration", {}}, {"test", {}}};
  for (size_t i = 0; i < subjects.size(); ++i) {
    const size_t behind = (i + subjects.size() - at) % subjects.size();
    const size_t split = behind == 0 ? 3 : behind == 1 ? 1 : behind == 2 ? 2 : 0;
    splits[split].subjects.push_back(subjects[i]);
  }
  return splits;
}

Result<std::vector<Split>> make_splits(const std::vector<int64_t>& subjects,
                                       const SplitOptions& options) {
  if (options.kind == SplitKind::kAllFolds) {
    if (subjects.size() < 4) return too_few(subjects.size());
    return std::vector<Split>{{"all", subjects}};
  }
  if (options.kind == SplitKind::kLeaveOneOut) {
    if (options.test_subjects.size() != 1) {
      return invalid_input("subjects", "leaving one out needs exactly one test subject");
    }
    return make_fold(subjects, options.test_subjects[0]);
  }
  std::vector<Split> splits = {{"train", {}},
                               {"validation", options.validation_subjects},
                               {"calibration", options.calibration_subjects},
                               {"test", options.test_subjects}};
  std::set<int64_t> free(subjects.begin(), subjects.end());
  for (size_t s = 1; s < splits.size(); ++s) {
    TRY(name_split(splits[s].subjects, free, splits[s].name, subjects));
  }
  std::vector<int64_t> drawn(free.begin(), free.end());
  Rng rng(options.seed);
  shuffle(drawn, rng);
  const auto share = std::max<size_t>(
      1, static_cast<size_t>(std::lround(kShare * static_cast<double>(subjects.size()))));
  for (size_t s = 3; s >= 1; --s) {
    if (!splits[s].subjects.empty()) continue;
    for (size_t i = 0; i < share; ++i) {
      if (drawn.empty()) return too_few(subjects.size());
      splits[s].subjects.push_back(drawn.back());
      drawn.pop_back();
    }
  }
  if (drawn.empty()) return too_few(subjects.size());
  splits[0].subjects = std::move(drawn);
  for (Split& split : splits) std::sort(split.subjects.begin(), split.subjects.end());
  return splits;
}

std::vector<size_t> windows_of(const WindowStore& store, const Split& split) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < store.records().size(); ++i) {
    if (std::binary_search(split.subjects.begin(), split.subjects.end(),
                           store.records()[i].subject)) {
      indices.push_back(i);
    }
  }
  return indices;
}

Result<Leakage> check_leakage(const std::string& folder, const std::vector<Split>& splits,
                              const WindowStore& store) {
  Leakage leakage;
  std::map<int64_t, std::set<size_t>> found_in;
  for (size_t s = 0; s < splits.size(); ++s) {
    TRY_ASSIGN(const Tensor groups, data::read_npy(folder + "/" + splits[s].name + "/groups.npy"));
    for (const int64_t subject : groups.to_int64s()) found_in[subject].insert(s);
  }
  std::map<int64_t, size_t> split_of;
  for (const auto& [subject, in] : found_in) {
    split_of[subject] = *in.begin();
    if (in.size() < 2) continue;
    ++leakage.shared_subjects;
    leakage.example = fmt::format("person {} is in {} splits", subject, in.size());
  }
  std::vector<size_t> order(store.records().size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const std::vector<WindowRecord>& records = store.records();
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return records[a].hash < records[b].hash; });
  std::vector<float> one(store.window_size()), other(store.window_size());
  for (size_t i = 1; i < order.size(); ++i) {
    const WindowRecord& a = records[order[i - 1]];
    const WindowRecord& b = records[order[i]];
    if (a.hash != b.hash || split_of[a.subject] == split_of[b.subject]) continue;
    TRY(store.read(order[i - 1], one));
    TRY(store.read(order[i], other));
    if (one != other) continue;
    ++leakage.equal_windows;
    leakage.example =
        fmt::format("a window of person {} ({}) is also one of person {} ({})", a.subject,
                    splits[split_of[a.subject]].name, b.subject, splits[split_of[b.subject]].name);
  }
  return leakage;
}

std::vector<size_t> balanced(const WindowStore& store, std::span<const size_t> indices,
                             size_t wanted, uint64_t seed) {
  Rng rng(seed);
  // Class -> person -> windows in drawn order.
  std::map<int32_t, std::map<int64_t, std::vector<size_t>>> pools;
  for (const size_t index : indices) {
    const WindowRecord& record = store.records()[index];
    pools[record.label][record.subject].push_back(index);
  }
  // Class -> its windows, people in turn.
  std::map<int32_t, std::vector<size_t>> queues;
  for (auto& [label, people] : pools) {
    size_t longest = 0;
    for (auto& [subject, windows] : people) {
      shuffle(windows, rng);
      longest = std::max(longest, windows.size());
    }
    for (size_t round = 0; round < longest; ++round) {
      for (const auto& [subject, windows] : people) {
        if (round < windows.size()) queues[label].push_back(windows[round]);
      }
    }
  }
  std::vector<size_t> chosen;
  for (size_t round = 0; chosen.size() < wanted && chosen.size() < indices.size(); ++round) {
    for (const auto& [label, windows] : queues) {
      if (round < windows.size() && chosen.size() < wanted) chosen.push_back(windows[round]);
    }
  }
  return chosen;
}

}  // namespace graupel::prepare
