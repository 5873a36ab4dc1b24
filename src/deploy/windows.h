// The windows a stage works on: loaded, checked against the model's input, normalised.
// Test: deploy_test.cc.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "data/statistics.h"
#include "data/windows.h"
#include "ir/graph.h"

namespace graupel::deploy {

struct WindowOptions {
  std::string windows;  // .npy, .npz, .csv, or "random"
  std::string labels;   // optional; else those the windows' file carries
  // How raw windows become what the model takes: "" (as the bundle says; without one they are it
  // already), "none" (they are it already), "fit" (z-score measured on these windows), or a
  // normalization.json.
  std::string normalization;
  std::string groups = {};  // who each window is of; optional; else the subjects the file carries
};

struct Windows {
  Tensor raw;                        // float32 [N, C, ...] as recorded
  Tensor model;                      // float32 [N, C, ...] as the model takes them
  std::optional<Tensor> labels;      // int64 [N]
  std::vector<int64_t> groups = {};  // who each window is of; empty: not known
  std::optional<data::Normalization> normalization;
  bool random = false;  // noise instead of recordings
};

inline constexpr int64_t kRandomWindows = 256;

// `graph` has one input [1, ...]; labels are checked against the size of its first output, or of
// that of `last`, where another part of the network ends it. `own`: the normalization of the
// bundle, if there is one. Errors name the file.
Result<Windows> load_windows(const WindowOptions& options, const ir::Graph& graph,
                             const std::optional<data::Normalization>& own = std::nullopt,
                             const ir::Graph* last = nullptr);
// The same for windows at hand.
Result<Windows> normalized_windows(Tensor raw, std::optional<Tensor> labels,
                                   std::optional<data::Normalization> normalization);

// One number per window: from the file, else the subjects the windows carry, else none (empty).
// Errors: those of data::load_labels.
Result<std::vector<int64_t>> groups_of(const std::string& path, const data::WindowSet& set);

// Classes the graph tells apart: elements of its first output per window.
int64_t class_count(const ir::Graph& graph);

}  // namespace graupel::deploy
