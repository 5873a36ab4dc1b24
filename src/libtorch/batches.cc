// Windows to batches. See batches.h. Test: libtorch_test.cc.
#include "libtorch/batches.h"

#include <algorithm>
#include <numeric>

#include "base/rng.h"
#include "data/preprocess.h"
#include "libtorch/network.h"

namespace graupel::libtorch {
namespace {

uint64_t mixed(uint64_t seed, uint64_t epoch, uint64_t window) {
  Rng rng(seed ^ (epoch * 0x9E3779B97F4A7C15u) ^ (window * 0xD1B54A32D192ED03u));
  return rng.next_u64();
}

struct Copied {
  Tensor windows;
  at::Tensor labels;
};

// `indices` of the split's windows, as recorded.
Copied copied(const train::TrainingSet& set, const train::LabelledWindows& split,
              const std::vector<size_t>& indices) {
  const auto size = static_cast<size_t>(set.shape.size());
  Shape shape = split.windows.shape();
  shape[0] = static_cast<int64_t>(indices.size());
  Copied copy{Tensor(DType::kFloat32, shape), at::empty({shape[0]}, at::kLong)};
  const std::span<const float> source = split.windows.data<float>();
  const std::span<float> target = copy.windows.mutable_data<float>();
  for (size_t i = 0; i < indices.size(); ++i) {
    std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(indices[i] * size), size,
                target.begin() + static_cast<std::ptrdiff_t>(i * size));
    copy.labels.data_ptr<int64_t>()[i] = split.labels[indices[i]];
  }
  return copy;
}

}  // namespace

std::vector<size_t> shuffled(size_t count, uint64_t seed, int64_t epoch) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  Rng rng(mixed(seed, static_cast<uint64_t>(epoch), ~uint64_t{0}));
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

Result<Batch> make_batch(const train::TrainingSet& set, const train::Config& config, int64_t epoch,
                         const std::vector<size_t>& order, size_t first, size_t last) {
  const std::vector<size_t> indices(order.begin() + static_cast<std::ptrdiff_t>(first),
                                    order.begin() + static_cast<std::ptrdiff_t>(last));
  Copied copy = copied(set, set.train, indices);
  const auto size = static_cast<size_t>(set.shape.size());
  std::vector<Rng> draws;
  const std::span<float> recorded = copy.windows.mutable_data<float>();
  for (size_t i = 0; i < indices.size(); ++i) {
    draws.emplace_back(mixed(config.optimization.seed, static_cast<uint64_t>(epoch), indices[i]));
    train::augment_recorded(recorded.subspan(i * size, size), set.shape, config.augmentation,
                            draws[i]);
  }
  TRY_ASSIGN(Tensor scaled, data::preprocess(copy.windows, set.normalization));
  const std::span<float> values = scaled.mutable_data<float>();
  for (size_t i = 0; i < indices.size(); ++i) {
    train::augment_scaled(values.subspan(i * size, size), set.shape, config.augmentation, draws[i]);
  }
  return Batch{to_torch(scaled), copy.labels};
}

Result<Batch> plain_batch(const train::TrainingSet& set, const train::LabelledWindows& split,
                          size_t first, size_t last) {
  std::vector<size_t> indices(last - first);
  std::iota(indices.begin(), indices.end(), first);
  const Copied copy = copied(set, split, indices);
  TRY_ASSIGN(const Tensor scaled, data::preprocess(copy.windows, set.normalization));
  return Batch{to_torch(scaled), copy.labels};
}

}  // namespace graupel::libtorch
