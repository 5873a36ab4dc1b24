// Layout of the cut's picture. See draw_layout.h. Reference: Sugiyama et al. 1981 (layers, then
// order by barycentre). Test: draw_test.cc.
#include "cut/draw_layout.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace graupel::cut {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

constexpr int kColumn = kBoxWidth + 20, kGap = 20, kMargin = 16, kLegendHeight = 26, kLane = 12;
constexpr size_t kMostSingleNodes = 60;  // more: chains
constexpr size_t kMostBoxes = 1500;      // more: one box per part
constexpr size_t kMostLines = 6000;
constexpr size_t kMostLanes = 24;
constexpr size_t kMostEnds = 200;   // inputs, and outputs
constexpr size_t kMostLabels = 12;  // below one box

enum class Detail { kNodes, kChains, kParts };

constexpr size_t kNoBox = static_cast<size_t>(-1);

// The one node before `id` in an unbranched chain of its part, or an invalid id.
NodeId chain_before(const Graph& graph, const Cut& cut, const ir::Uses& uses, NodeId id) {
  NodeId before;
  for (const ValueId input : graph.node(id).inputs) {
    if (!input.valid() || graph.constant(input) != nullptr) continue;
    const NodeId producer = uses.producer[input.index()];
    if (!producer.valid() || (before.valid() && before != producer)) return NodeId();
    before = producer;
  }
  if (!before.valid() || part_of(cut, before) != part_of(cut, id)) return NodeId();
  for (const ValueId output : graph.node(before).outputs) {
    if (!output.valid()) continue;
    if (uses.is_output[output.index()]) return NodeId();
    for (const NodeId reader : uses.readers[output.index()]) {
      if (reader != id) return NodeId();
    }
  }
  return before;
}

// Boxes of all live nodes; box_of is indexed by node.
std::vector<Box> node_boxes(const Graph& graph, const Cut& cut, const ir::Uses& uses, Detail detail,
                            std::vector<size_t>& box_of) {
  std::vector<Box> boxes;
  std::map<Part, size_t> part_box;
  box_of.assign(graph.nodes.size(), kNoBox);
  for (const NodeId id : ir::live_nodes(graph)) {
    const Part part = part_of(cut, id);
    size_t box = boxes.size();
    if (detail == Detail::kParts) {
      box = part_box.try_emplace(part, box).first->second;
    } else if (detail == Detail::kChains) {
      const NodeId before = chain_before(graph, cut, uses, id);
      if (before.valid()) box = box_of[before.index()];
    }
    if (box == boxes.size()) {
      boxes.emplace_back();
      boxes.back().part = part;
    }
    boxes[box].nodes.push_back(id);
    box_of[id.index()] = box;
  }
  return boxes;
}

Detail detail_for(const Graph& graph, const Cut& cut, const ir::Uses& uses) {
  if (ir::live_nodes(graph).size() <= kMostSingleNodes) return Detail::kNodes;
  std::vector<size_t> box_of;
  const size_t chains = node_boxes(graph, cut, uses, Detail::kChains, box_of).size();
  return chains <= kMostBoxes ? Detail::kChains : Detail::kParts;
}

// Every line once, in the order of readers; graph inputs and outputs become boxes on the way.
void connect(const Graph& graph, const ir::Uses& uses, const std::vector<size_t>& box_of,
             Layout& layout) {
  std::map<ValueId, size_t> input_box;
  const auto box_of_value = [&](ValueId id) {
    const NodeId producer = uses.producer[id.index()];
    if (producer.valid()) return box_of[producer.index()];
    const auto found = input_box.find(id);
    return found == input_box.end() ? kNoBox : found->second;
  };
  std::map<std::tuple<size_t, size_t, ValueId>, bool> known;
  const auto add_line = [&](size_t from, size_t to, ValueId value) {
    if (from == to) return;
    if (from == kNoBox || layout.lines.size() >= kMostLines) {
      ++layout.lines_left_out;
      return;
    }
    if (!known.try_emplace({from, to, value}, true).second) return;
    const Box& source = layout.boxes[from];
    const Box& reader = layout.boxes[to];
    const bool leaves = source.kind == Box::Kind::kNodes && source.part == Part::kDevice &&
                        (reader.kind == Box::Kind::kOutput || reader.part == Part::kHost);
    layout.lines.push_back({from, to, value, leaves, 0, -1});
  };
  for (const ValueId id : graph.inputs) {
    if (input_box.size() == kMostEnds) break;
    input_box[id] = layout.boxes.size();
    layout.boxes.push_back({Box::Kind::kInput, Part::kHost, {}, id, 0, 0, 0});
  }
  for (const NodeId id : ir::live_nodes(graph)) {
    for (const ValueId input : graph.node(id).inputs) {
      if (!input.valid() || graph.constant(input) != nullptr) continue;
      add_line(box_of_value(input), box_of[id.index()], input);
    }
  }
  for (size_t i = 0; i < std::min(graph.outputs.size(), kMostEnds); ++i) {
    const ValueId id = graph.outputs[i];
    if (!id.valid()) continue;
    layout.boxes.push_back({Box::Kind::kOutput, Part::kHost, {}, id, 0, 0, 0});
    add_line(box_of_value(id), layout.boxes.size() - 1, id);
  }
}

// Longest distance from the inputs. Lines come in the order of their readers' first nodes, and a
// box is fed only through its first node, so one sweep suffices; parts have their fixed order.
void set_rows(Layout& layout, Detail detail) {
  for (Box& box : layout.boxes) {
    if (box.kind != Box::Kind::kNodes) continue;
    box.row = detail == Detail::kParts ? 1 + static_cast<size_t>(box.part) : 1;
  }
  for (const Line& line : layout.lines) {
    Box& reader = layout.boxes[line.to];
    const size_t after = layout.boxes[line.from].row + 1;
    reader.row = std::max(reader.row, after);
  }
}

void set_columns(Layout& layout, const std::vector<std::vector<size_t>>& rows) {
  size_t widest = 1;
  for (const std::vector<size_t>& row : rows) widest = std::max(widest, row.size());
  const int middle = kMargin + static_cast<int>(widest) * kColumn / 2;
  std::vector<std::vector<size_t>> producers(layout.boxes.size());
  for (const Line& line : layout.lines) producers[line.to].push_back(line.from);
  std::vector<double> wish(layout.boxes.size(), 0);
  for (std::vector<size_t> row : rows) {
    for (const size_t box : row) {
      double sum = 0;
      for (const size_t from : producers[box]) sum += layout.boxes[from].center_x;
      wish[box] =
          producers[box].empty() ? middle : sum / static_cast<double>(producers[box].size());
    }
    std::stable_sort(row.begin(), row.end(), [&](size_t a, size_t b) { return wish[a] < wish[b]; });
    for (size_t i = 0; i < row.size(); ++i) {
      const int twice_offset = 2 * static_cast<int>(i) - static_cast<int>(row.size()) + 1;
      layout.boxes[row[i]].center_x = middle + twice_offset * kColumn / 2;
    }
  }
  layout.width = kMargin * 2 + static_cast<int>(widest) * kColumn;
}

// One label per tensor and box; they stand below each other under the box.
void set_labels(Layout& layout) {
  std::map<size_t, std::vector<ValueId>> labelled;
  for (Line& line : layout.lines) {
    if (!line.crosses) continue;
    std::vector<ValueId>& values = labelled[line.from];
    if (values.size() == kMostLabels ||
        std::find(values.begin(), values.end(), line.value) != values.end()) {
      continue;
    }
    line.label = static_cast<int>(values.size());
    values.push_back(line.value);
  }
}

void set_tops(Layout& layout, const std::vector<std::vector<size_t>>& rows) {
  std::vector<int> labels(rows.size(), 0);
  for (const Line& line : layout.lines) {
    int& most = labels[layout.boxes[line.from].row];
    most = std::max(most, line.label + 1);
  }
  int top = kMargin + kLegendHeight;
  for (size_t r = 0; r < rows.size(); ++r) {
    int height = 0;
    for (const size_t box : rows[r]) {
      layout.boxes[box].top = top;
      height = std::max(height, layout.boxes[box].height());
    }
    // Boxes of a row share their bottom line, so that labels below them line up.
    for (const size_t box : rows[r]) layout.boxes[box].top += height - layout.boxes[box].height();
    top += height + kGap + labels[r] * kLabelHeight;
  }
  layout.height = top - kGap + kMargin;
}

// Lines that pass a row: one lane per tensor, reused when free again.
void set_lanes(Layout& layout) {
  using Source = std::tuple<size_t, size_t, ValueId>;  // row, box, tensor
  std::map<Source, size_t> last_row;
  const auto source_of = [&](const Line& line) {
    return Source{layout.boxes[line.from].row, line.from, line.value};
  };
  for (const Line& line : layout.lines) {
    const size_t to = layout.boxes[line.to].row;
    if (to <= layout.boxes[line.from].row + 1) continue;
    size_t& last = last_row[source_of(line)];
    last = std::max(last, to);
  }
  std::vector<size_t> busy_until;
  std::map<Source, size_t> lane_of;
  for (const auto& [source, last] : last_row) {
    size_t lane = 0;
    while (lane < busy_until.size() && busy_until[lane] > std::get<0>(source)) ++lane;
    lane = std::min(lane, kMostLanes - 1);
    if (lane == busy_until.size()) busy_until.push_back(0);
    busy_until[lane] = std::max(busy_until[lane], last);
    lane_of[source] = lane;
  }
  const int first_x = layout.width - kMargin;
  for (Line& line : layout.lines) {
    if (layout.boxes[line.to].row <= layout.boxes[line.from].row + 1) continue;
    line.lane_x = first_x + static_cast<int>(lane_of[source_of(line)]) * kLane;
  }
  layout.width += static_cast<int>(busy_until.size()) * kLane;
}

}  // namespace

Part part_of(const Cut& cut, NodeId id) {
  return id.index() < cut.parts.size() ? cut.parts[id.index()] : Part::kHost;
}

Layout lay_out(const Graph& graph, const Cut& cut) {
  const ir::Uses uses = ir::find_uses(graph);
  const Detail detail = detail_for(graph, cut, uses);
  Layout layout;
  std::vector<size_t> box_of;
  layout.boxes = node_boxes(graph, cut, uses, detail, box_of);
  connect(graph, uses, box_of, layout);
  set_rows(layout, detail);
  std::vector<std::vector<size_t>> rows;
  for (size_t box = 0; box < layout.boxes.size(); ++box) {
    const size_t row = layout.boxes[box].row;
    if (row >= rows.size()) rows.resize(row + 1);
    rows[row].push_back(box);
  }
  set_columns(layout, rows);
  set_labels(layout);
  set_tops(layout, rows);
  set_lanes(layout);
  return layout;
}

}  // namespace graupel::cut
