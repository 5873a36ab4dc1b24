// Three parts by group or by block. See split.h.
//
// Idea: units (groups, or blocks of consecutive windows) are shuffled and each goes to the part
// that lacks most of its share. Blocks keep overlapping neighbours together but for their ends.
// Test: split_test.cc.
#include "calibrate/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/rng.h"

namespace graupel::calibrate {
namespace {

constexpr size_t kLeastWindows = 30;

using Unit = std::vector<size_t>;  // windows that stay together

template <class T>
void shuffle(std::vector<T>& items, Rng& rng) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.below(i)]);
}

// For each unit the part it goes to. Every part gets at least one unit if there are enough.
std::vector<size_t> assign(const std::vector<Unit>& units, const std::vector<double>& shares,
                           uint64_t seed) {
  std::vector<size_t> order(units.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  Rng rng(seed);
  shuffle(order, rng);
  double total = 0.0;
  for (const Unit& unit : units) total += static_cast<double>(unit.size());
  std::vector<double> taken(shares.size(), 0.0);
  std::vector<size_t> part_of(units.size(), 0);
  for (const size_t unit : order) {
    size_t best = 0;
    double largest = -1e300;
    for (size_t part = 0; part < shares.size(); ++part) {
      // A part without any unit comes first, the last part (judge) before the others.
      const double lack = shares[part] * total - taken[part];
      const double want = taken[part] == 0.0 ? total * (1.0 + static_cast<double>(part)) : lack;
      if (shares[part] > 0.0 && want > largest) best = part, largest = want;
    }
    part_of[unit] = best;
    taken[best] += static_cast<double>(units[unit].size());
  }
  return part_of;
}

std::vector<Unit> blocks_of(const std::vector<size_t>& windows, size_t length) {
  // Small sets get shorter blocks, so that each part holds several.
  const size_t block = std::clamp<size_t>(std::min(length, windows.size() / 30), 1, length);
  std::vector<Unit> blocks;
  for (size_t i = 0; i < windows.size(); ++i) {
    if (i % block == 0) blocks.emplace_back();
    blocks.back().push_back(windows[i]);
  }
  return blocks;
}

void add(Part& part, const Unit& unit) {
  part.windows.insert(part.windows.end(), unit.begin(), unit.end());
}

void split_blocks(Split& split, const std::vector<size_t>& windows,
                  const std::vector<double>& shares, const SplitOptions& options) {
  const std::vector<Unit> blocks = blocks_of(windows, options.block_windows);
  const std::vector<size_t> part_of = assign(blocks, shares, options.seed);
  const std::array<Part*, 3> parts = {&split.fit, &split.conformal, &split.judge};
  for (size_t i = 0; i < blocks.size(); ++i) add(*parts[part_of[i]], blocks[i]);
}

void split_groups(Split& split, const std::map<int64_t, Unit>& members,
                  const SplitOptions& options) {
  std::vector<Unit> units;
  std::vector<int64_t> names;
  for (const auto& [group, windows] : members) {
    names.push_back(group);
    units.push_back(windows);
  }
  const double judge_share = 1.0 - options.fit_share - options.conformal_share;
  const std::vector<size_t> part_of =
      assign(units, {options.fit_share, options.conformal_share, judge_share}, options.seed);
  const std::array<Part*, 3> parts = {&split.fit, &split.conformal, &split.judge};
  for (size_t i = 0; i < units.size(); ++i) {
    add(*parts[part_of[i]], units[i]);
    parts[part_of[i]]->groups.push_back(names[i]);
  }
}

}  // namespace

Result<Split> split_windows(size_t windows, std::span<const int64_t> groups,
                            const SplitOptions& options) {
  if (windows < kLeastWindows) {
    return invalid_input("windows", fmt::format("are {}, at least {} are needed to fit and judge",
                                                windows, kLeastWindows));
  }
  if (!groups.empty() && groups.size() != windows) {
    return invalid_input("groups",
                         fmt::format("are {}, but there are {} windows", groups.size(), windows));
  }
  if (!(options.fit_share > 0.0 && options.conformal_share > 0.0 &&
        options.fit_share + options.conformal_share < 1.0)) {
    return invalid_input("split", "needs shares above 0 for fitting, thresholds and judging");
  }
  std::map<int64_t, Unit> members;
  for (size_t i = 0; i < windows; ++i) members[groups.empty() ? 0 : groups[i]].push_back(i);
  Split split;
  const double judge_share = 1.0 - options.fit_share - options.conformal_share;
  if (options.within_groups) {
    split.by = SplitBy::kBlock;
    for (const auto& [group, own] : members) {
      split_blocks(split, own, {options.fit_share, options.conformal_share, judge_share}, options);
    }
    split.warning =
        "every group is in every part, because something is fitted per group: nothing "
        "here says how well the numbers hold for other people";
  } else if (members.size() >= 3) {
    split_groups(split, members, options);
  } else if (members.size() == 2) {
    const auto& [judged, judged_windows] = *members.rbegin();
    split.judge = {judged_windows, {judged}};
    const double fit = options.fit_share / (options.fit_share + options.conformal_share);
    split_blocks(split, members.begin()->second, {fit, 1.0 - fit, 0.0}, options);
    split.fit.groups = split.conformal.groups = {members.begin()->first};
    split.warning =
        "there are two groups only: temperature and thresholds come from one of them, "
        "and one person is judged; record more people";
  } else {
    split.by = SplitBy::kBlock;
    split_blocks(split, members.begin()->second,
                 {options.fit_share, options.conformal_share, judge_share}, options);
    split.warning = fmt::format(
        "{}: the split is by blocks of windows, so nothing here says how well the numbers hold "
        "for other people (give --groups with at least three)",
        groups.empty() ? "no groups were given" : "there is one group only");
  }
  for (Part* part : {&split.fit, &split.conformal, &split.judge}) {
    std::sort(part->windows.begin(), part->windows.end());
  }
  return split;
}

}  // namespace graupel::calibrate
