// The trained network as a graph, in the form PyTorch's exporter gives: BatchNorm unfused, the FSQ
// with its Round, named input `imu` and output `behavior_logits`, batch 1.
// Reference: torch.onnx.export of the same modules (opset 17). Test: export_test.cc, and against
// libtorch in src/libtorch/libtorch_test.cc.
#pragma once

#include "base/result.h"
#include "ir/graph.h"
#include "train/backend.h"
#include "train/config.h"

namespace graupel::train {

inline constexpr double kBatchNormEpsilon = 1e-5;

// Errors: kInvalidInput if a layer takes more than the window has (names the layer), or a weight is
// missing or of another shape.
Result<ir::Graph> build_graph(const Network& network, WindowShape shape, int64_t classes,
                              const Weights& weights);
// Shapes of the weights a network has, by name: what training starts from and build_graph wants.
Result<std::map<std::string, Shape>> weight_shapes(const Network& network, WindowShape shape,
                                                   int64_t classes);

struct ExportCheck {
  int64_t windows = 0;
  // Windows with a value so close to where the FSQ rounds that the last bit of a sum decides; there
  // the rounded codes and so the logits may differ, and only `bounded` is compared.
  int64_t at_a_threshold = 0;
  double largest_difference = 0.0;
};
inline constexpr double kExportTolerance = 1e-5;
// The graph against what libtorch answered to the same preprocessed windows. Error kInternal above
// kExportTolerance.
Result<ExportCheck> check_export(const ir::Graph& graph, const Tensor& windows,
                                 const Answers& answers);

}  // namespace graupel::train
