// Passes that remove, fold or merge: before and after, and what must not change.
#include "simplify/test_support.h"

namespace graupel::simplify {
namespace {

TEST(Remove, NoOps) {
  expect_rows(remove_no_ops, {{"a graph output keeps its name", R"(
  input x: float32[1x2x3x3]
  const one: float32[] = [1]
  const zero: float32[2x1x1] = [0, 0]
  r: Relu(x) -> a
  i: Identity(a) -> b
  m: Mul(one, b) -> c
  p: Add(c, zero) -> d
  t: Transpose{perm=[0, 1, 2, 3]}(d) -> e
  k: Concat{axis=1}(e) -> y
  output y)",
                               R"(
  input x: float32[1x2x3x3]
  r: Relu(x) -> y
  output y)"},
                              {"an identity between input and output", R"(
  input x: float32[1x2]
  i: Identity(x) -> y
  output y)",
                               ""},
                              {"a factor that enlarges", R"(
  input x: float32[1x2]
  const one: float32[2x2] = [1, 1, 1, 1]
  m: Mul(x, one) -> a
  r: Relu(a) -> y
  output y)",
                               ""},
                              {"zero minus x, one over x", R"(
  input x: float32[2]
  const zero: float32[] = [0]
  s: Sub(zero, x) -> a
  r: Relu(a) -> y
  output y)",
                               ""},
                              {"a slice backwards", R"(
  input x: float32[4]
  const starts: int64[1] = [-1]
  const ends: int64[1] = [-100]
  const axes: int64[1] = [0]
  const steps: int64[1] = [-1]
  s: Slice(x, starts, ends, axes, steps) -> a
  r: Relu(a) -> y
  output y)",
                               ""},
                              {"a transpose of square maps", R"(
  input x: float32[1x2x3x3]
  t: Transpose{perm=[0, 1, 3, 2]}(x) -> a
  r: Relu(a) -> y
  output y)",
                               ""}});
}

TEST(Remove, Repeats) {
  expect_rows(remove_repeats, {{"relu relu, floor of round", R"(
  input x: float32[4]
  a: Relu(x) -> b
  c: Relu(b) -> d
  e: Round(d) -> f
  g: Floor(f) -> y
  output y)",
                                R"(
  input x: float32[4]
  a: Relu(x) -> b
  e: Round(b) -> y
  output y)"},
                               {"tanh tanh", R"(
  input x: float32[4]
  a: Tanh(x) -> b
  c: Tanh(b) -> y
  output y)",
                                ""}});
}

TEST(Remove, DeadNodes) {
  expect_row(eliminate_dead, {"unread branch and constant", R"(
  input x: float32[4]
  const k: float32[4] = [1, 2, 3, 4]
  a: Relu(x) -> y
  b: Mul(x, k) -> c
  output y)",
                              R"(
  input x: float32[4]
  a: Relu(x) -> y
  output y)"});
}

TEST(Fold, ShapesAndConstants) {
  expect_rows(fold_shapes, {{"shape and size", R"(
  input x: float32[1x2x3x3]
  s: Shape{start=-3, end=-1}(x) -> y
  n: Size(x) -> z
  p: Mul(y, z) -> a
  output a)",
                             R"(
  input x: float32[1x2x3x3]
  const y: int64[2] = [2, 3]
  const z: int64[] = [18]
  p: Mul(y, z) -> a
  output a)"}});
  expect_rows(fold_constants, {{"a sum of constants", R"(
  input x: float32[2]
  const a: float32[2] = [1, 2]
  const b: float32[2] = [3, 4]
  p: Add(a, b) -> c
  m: Mul(x, c) -> y
  output y)",
                                R"(
  input x: float32[2]
  const c: float32[2] = [4, 6]
  m: Mul(x, c) -> y
  output y)"},
                               {"INT8 weights stay INT8", R"(
  input x: float32[2]
  const w: int8[2] = [1, 2]
  const s: float32[] = [0.5]
  d: DequantizeLinear(w, s) -> c
  m: Mul(x, c) -> y
  output y)",
                                ""}});
}

TEST(Fold, WhereAndExpand) {
  expect_row(fold_where, {"always true", R"(
  input x: float32[2]
  input z: float32[2]
  const c: bool[1] = [1]
  r: Relu(x) -> a
  w: Where(c, a, z) -> y
  output y)",
                          R"(
  input x: float32[2]
  input z: float32[2]
  r: Relu(x) -> y
  output y)"});
  expect_rows(skip_expand, {{"broadcast anyway", R"(
  input x: float32[1x3]
  input z: float32[2x3]
  const s: int64[2] = [2, 3]
  e: Expand(x, s) -> a
  p: Add(a, z) -> y
  output y)",
                             R"(
  input x: float32[1x3]
  input z: float32[2x3]
  p: Add(x, z) -> y
  output y)"},
                            {"the expand makes the shape", R"(
  input x: float32[1x3]
  input z: float32[1x3]
  const s: int64[2] = [2, 3]
  e: Expand(x, s) -> a
  p: Add(a, z) -> y
  output y)",
                             ""}});
}

TEST(Merge, Layout) {
  expect_rows(merge_transposes, {{"two that do not cancel", R"(
  input x: float32[2x3x4]
  a: Transpose{perm=[1, 2, 0]}(x) -> b
  c: Transpose{perm=[0, 2, 1]}(b) -> y
  output y)",
                                  R"(
  input x: float32[2x3x4]
  c: Transpose{perm=[1, 0, 2]}(x) -> y
  output y)"},
                                 {"two that cancel", R"(
  input x: float32[2x3x4]
  r: Relu(x) -> z
  a: Transpose{perm=[1, 2, 0]}(z) -> b
  c: Transpose{perm=[2, 0, 1]}(b) -> y
  output y)",
                                  R"(
  input x: float32[2x3x4]
  r: Relu(x) -> y
  output y)"}});
  expect_rows(merge_reshapes, {{"flatten, then unsqueeze", R"(
  input x: float32[2x3x4]
  const axes: int64[1] = [0]
  a: Flatten(x) -> b
  c: Unsqueeze(b, axes) -> y
  output y)",
                                R"(
  input x: float32[2x3x4]
  const c.shape: int64[3] = [1, 2, 12]
  c: Reshape(x, c.shape) -> y
  output y)"},
                               {"another reader between", R"(
  input x: float32[2x3x4]
  const axes: int64[1] = [0]
  a: Flatten(x) -> b
  c: Unsqueeze(b, axes) -> y
  r: Relu(b) -> z
  output y
  output z)",
                                ""}});
}

TEST(Merge, Chains) {
  expect_row(merge_concats, {"same axis, written differently", R"(
  input x: float32[1x2]
  input z: float32[1x3]
  a: Concat{axis=1}(x, z) -> b
  c: Concat{axis=-1}(x, b, z) -> y
  output y)",
                             R"(
  input x: float32[1x2]
  input z: float32[1x3]
  c: Concat{axis=-1}(x, x, z, z) -> y
  output y)"});
  expect_row(merge_slices, {"strides multiply", R"(
  input x: float32[20]
  const s: int64[1] = [1]
  const e: int64[1] = [100]
  const axes: int64[1] = [0]
  const two: int64[1] = [2]
  a: Slice(x, s, e, axes, two) -> b
  c: Slice(b, s, e, axes, two) -> y
  output y)",
                            R"(
  input x: float32[20]
  const c.starts: int64[1] = [3]
  const c.ends: int64[1] = [20]
  const c.axes: int64[1] = [0]
  const c.steps: int64[1] = [4]
  c: Slice(x, c.starts, c.ends, c.axes, c.steps) -> y
  output y)"});
  expect_rows(merge_clips, {{"relu, then clip", R"(
  input x: float32[20]
  const low: float32[] = [-1]
  const high: float32[] = [6]
  a: Relu(x) -> b
  c: Clip(b, low, high) -> y
  output y)",
                             R"(
  input x: float32[20]
  const low: float32[] = [0]
  const high: float32[] = [6]
  c: Clip(x, low, high) -> y
  output y)"},
                            {"clip to nothing left", R"(
  input x: float32[20]
  const low: float32[] = [1]
  const high: float32[] = [0.5]
  a: Relu(x) -> b
  c: Clip(b, low, high) -> y
  output y)",
                             ""}});
}

TEST(Merge, Duplicates) {
  expect_rows(merge_duplicate_nodes, {{"duplicates of duplicates", R"(
  input x: float32[4]
  a: Relu(x) -> b
  c: Relu(x) -> d
  e: Tanh(b) -> f
  g: Tanh(d) -> h
  p: Add(f, h) -> y
  output y)",
                                       R"(
  input x: float32[4]
  a: Relu(x) -> b
  e: Tanh(b) -> f
  p: Add(f, f) -> y
  output y)"},
                                      {"two outputs", R"(
  input x: float32[4]
  a: Relu(x) -> y
  c: Relu(x) -> z
  output y
  output z)",
                                       ""}});
  expect_rows(merge_duplicate_constants, {{"equal bytes", R"(
  input x: float32[2]
  const a: float32[2] = [1, 2]
  const b: float32[2] = [1, 2]
  p: Add(x, a) -> c
  q: Mul(c, b) -> y
  output y)",
                                           R"(
  input x: float32[2]
  const a: float32[2] = [1, 2]
  p: Add(x, a) -> c
  q: Mul(c, a) -> y
  output y)"},
                                          {"equal numbers of other type or shape", R"(
  input x: float32[2]
  const a: float32[2] = [1, 2]
  const b: float32[1x2] = [1, 2]
  p: Add(x, a) -> c
  q: Mul(c, b) -> y
  output y)",
                                           ""}});
}

}  // namespace
}  // namespace graupel::simplify
