// The module's one entry: the functions of train/backend.h, with libtorch's exceptions made errors.
// Test: libtorch_test.cc.
#include <fmt/format.h>

#include <new>

#include "libtorch/loop.h"
#include "libtorch/network.h"
#include "train/backend.h"

namespace graupel::libtorch {
namespace {

// The first line: behind it libtorch prints its call stack.
std::string first_line(const char* text) {
  const std::string all(text);
  return all.substr(0, all.find('\n'));
}

template <class T, class Action>
Result<T> guarded(const Action& action) {
  try {
    return action();
  } catch (const std::bad_alloc&) {
    return invalid_input("training",
                         "takes more memory than there is; lower optimization.batch or "
                         "give fewer windows");
  } catch (const std::exception& failure) {
    return internal_error("libtorch", first_line(failure.what()));
  }
}

Result<train::Outcome> train_guarded(const train::Job& job, const train::Progress& progress) {
  return guarded<train::Outcome>([&] { return run_training(job, progress); });
}

Result<train::Answers> answer_guarded(const train::Network& network, const train::Weights& weights,
                                      const Tensor& windows) {
  return guarded<train::Answers>([&]() -> Result<train::Answers> {
    at::NoGradGuard no_gradient;
    State state = to_state(weights);
    const Forward result = forward({network, Mode::kEvaluate, nullptr}, state, to_torch(windows));
    return train::Answers{from_torch(result.logits), result.bounded.defined()
                                                         ? from_torch(result.bounded)
                                                         : Tensor(DType::kFloat32, {0})};
  });
}

}  // namespace
}  // namespace graupel::libtorch

extern "C" const graupel::train::Backend* graupel_libtorch_backend() {
  static const graupel::train::Backend backend{graupel::libtorch::train_guarded,
                                               graupel::libtorch::answer_guarded};
  return &backend;
}
