// Where the boxes and lines of the cut's picture go. Internal to draw.cc.
//
// Idea: a small graph gets a box per node; a larger one a box per unbranched chain of one part; a
// huge one a box per part, so a picture stays readable and bounded whatever the graph. Rows are
// longest distances from the inputs, boxes stand in a row by the mean place of their producers,
// and a line that passes a row runs in a lane beside the boxes. Test: draw_test.cc.
#pragma once

#include <cstddef>
#include <vector>

#include "cut/cut.h"

namespace graupel::cut {

inline constexpr int kBoxWidth = 224, kBoxHeight = 40, kEndHeight = 26;
inline constexpr int kLabelHeight = 20;  // of a tensor that crosses the cut

struct Box {
  enum class Kind { kNodes, kInput, kOutput };
  Kind kind = Kind::kNodes;
  Part part = Part::kHost;
  std::vector<ir::NodeId> nodes;  // kNodes, in order
  ir::ValueId value;              // kInput, kOutput
  size_t row = 0;
  int center_x = 0, top = 0;

  int height() const { return kind == Kind::kNodes ? kBoxHeight : kEndHeight; }
  int bottom() const { return top + height(); }
};

struct Line {
  size_t from = 0, to = 0;  // boxes
  ir::ValueId value;
  bool crosses = false;  // leaves the device
  int lane_x = 0;        // 0: straight to the next row
  int label = -1;        // place of its label below the box, or -1: none (or on another line)
};

struct Layout {
  std::vector<Box> boxes;
  std::vector<Line> lines;
  size_t lines_left_out = 0;  // beyond what a picture can show
  int width = 0, height = 0;
};

Part part_of(const Cut& cut, ir::NodeId id);
Layout lay_out(const ir::Graph& graph, const Cut& cut);

}  // namespace graupel::cut
