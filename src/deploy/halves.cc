// Evaluating the recombined halves. See halves.h. Test: deploy_test.cc.
#include "deploy/halves.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/parallel.h"
#include "base/window_at.h"

namespace graupel::deploy {
namespace {

using Named = std::map<std::string, Tensor>;

Result<Named> evaluate_one(const Halves& halves, Tensor window, const ir::EvalOptions& options) {
  Named known, outputs;
  const std::vector<const ir::Graph*> parts = {&halves.before, &halves.device, &halves.host};
  for (const ir::Graph* part : parts) {
    if (part->inputs.empty()) continue;
    if (known.empty()) known[part->value(part->inputs[0]).name] = std::move(window);
    std::vector<Tensor> inputs;
    for (const ir::ValueId id : part->inputs) {
      const auto found = known.find(part->value(id).name);
      if (found == known.end()) {
        return invalid_input(part->value(id).name, "is an input that no part in front of it makes");
      }
      inputs.push_back(found->second);
    }
    TRY_ASSIGN(const std::vector<Tensor> results, ir::evaluate(*part, inputs, options));
    for (size_t i = 0; i < results.size(); ++i) {
      const std::string& name = part->value(part->outputs[i]).name;
      known[name] = results[i];
      outputs[name] = results[i];
    }
  }
  return outputs;
}

// [1, ...] tensors become rows of [N, ...]; any other shape gets a new first dimension.
Named stacked(const std::vector<Named>& rows) {
  Named result;
  if (rows.empty()) return result;
  for (const auto& [name, first] : rows[0]) {
    Shape shape = first.shape();
    if (shape.empty() || shape[0] != 1) shape.insert(shape.begin(), 1);
    shape[0] = static_cast<int64_t>(rows.size());
    Tensor all(first.dtype(), std::move(shape));
    std::byte* out = all.mutable_bytes();
    for (const Named& row : rows) {
      const Tensor& tensor = row.at(name);
      out = std::copy_n(tensor.bytes(), tensor.size_bytes(), out);
    }
    result[name] = std::move(all);
  }
  return result;
}

}  // namespace

const ir::Graph& first_part(const Halves& halves) {
  return halves.before.inputs.empty() ? halves.device : halves.before;
}

const ir::Graph& last_part(const Halves& halves) {
  return halves.host.outputs.empty() ? halves.device : halves.host;
}

Result<Named> evaluate_halves(const Halves& halves, const Tensor& windows,
                              const ir::EvalOptions& options) {
  const auto count = static_cast<size_t>(windows.shape()[0]);
  std::vector<Named> rows(count);
  std::vector<std::optional<Error>> errors(count);
  parallel_for(count, [&](size_t index, size_t) {
    Result<Named> outputs = evaluate_one(halves, window_at(windows, index), options);
    if (outputs.ok()) {
      rows[index] = std::move(outputs).value();
    } else {
      errors[index] = std::move(outputs).error();
    }
  });
  for (const std::optional<Error>& error : errors) {
    if (error) return *error;
  }
  return stacked(rows);
}

Tensor first_windows(const Tensor& windows, int64_t count) {
  Shape shape = windows.shape();
  shape[0] = std::min(shape[0], count);
  Tensor first(windows.dtype(), std::move(shape));
  std::copy_n(windows.bytes(), first.size_bytes(), first.mutable_bytes());
  return first;
}

}  // namespace graupel::deploy
