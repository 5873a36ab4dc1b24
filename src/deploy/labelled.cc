// Windows, labels and groups for a compiled bundle. See labelled.h. Test: calibrate_test.cc.
#include "deploy/labelled.h"

#include <limits>

#include "base/files.h"
#include "data/npy.h"
#include "data/windows.h"
#include "deploy/stages.h"
#include "run/answers.h"
#include "run/load.h"

namespace graupel::deploy {
namespace {

// Elements of the logits, or of anything if the plan marks none: then no label can be judged.
int64_t classes_of(const run::Plan& plan) {
  const Result<size_t> output = run::logits_output(plan);
  if (!output.ok()) return std::numeric_limits<int64_t>::max();
  const run::Port& port = plan.outputs[*output];
  return element_count(plan.buffers[port.buffer.index()].shape).value_or(0);
}

Result<std::string> digest_of(const std::string& path) {
  TRY_ASSIGN(const std::string bytes, read_file(path, data::kNpyLimitBytes));
  return bundle::sha256_hex(bytes);
}

}  // namespace

Result<Labelled> load_labelled(const bundle::Bundle& bundle, const LabelledPaths& paths) {
  TRY_ASSIGN(const std::string_view bytes, bundle::member(bundle, run::kPlanMember));
  TRY_ASSIGN(const run::Plan plan, run::parse_plan(bytes));
  const Shape& input = plan.buffers[plan.inputs[0].buffer.index()].shape;
  TRY_ASSIGN(data::WindowSet set,
             data::load_windows(paths.data, Shape(input.begin() + 1, input.end())));
  Labelled result;
  TRY_ASSIGN(result.data_sha256, digest_of(paths.data));
  const int64_t classes = classes_of(plan);
  std::optional<Tensor> labels = std::move(set.labels);
  if (!paths.labels.empty()) {
    TRY_ASSIGN(labels, data::load_labels(paths.labels, set.count(), classes));
    TRY_ASSIGN(result.labels_sha256, digest_of(paths.labels));
  } else if (labels) {
    TRY_ASSIGN(labels, data::check_labels(*labels, set.count(), classes, paths.data));
  }
  TRY_ASSIGN(result.groups, groups_of(paths.groups, set));
  using MaybeNormalization = std::optional<data::Normalization>;
  TRY_ASSIGN(const MaybeNormalization normalization, bundle_normalization(bundle));
  TRY_ASSIGN(result.windows,
             normalized_windows(std::move(set.windows), std::move(labels), normalization));
  return result;
}

}  // namespace graupel::deploy
