// Pictures of a cut graph: text for the terminal, SVG for the report. See cut.h.
//
// Idea: nodes are laid out in rows by their longest distance from the inputs; the nodes of a row
// stand side by side, edges are curves, the part is the colour, and every tensor that crosses the
// cut is drawn dashed with its size. Test: draw_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "cut/cut.h"

namespace graupel::cut {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

constexpr int kBoxWidth = 210, kBoxHeight = 40, kColumn = 230, kRow = 68, kMargin = 20;
constexpr size_t kLabelColumns = 30;

const char* part_name(Part part) {
  switch (part) {
    case Part::kBefore: return "before";
    case Part::kDevice: return "device";
    case Part::kHost: return "host";
  }
  return "host";
}

std::string output_shape(const Graph& graph, const ir::Node& node) {
  const ValueId id = node.outputs.empty() ? ValueId() : node.outputs[0];
  return id.valid() && graph.value(id).shape ? to_string(graph.shape(id)) : "?";
}

struct Place {
  int row = 0, column = 0;
  int center_x() const { return kMargin + column * kColumn + kBoxWidth / 2; }
  int top() const { return kMargin + (row + 1) * kRow; }
};

std::map<NodeId, Place> lay_out(const Graph& graph, const ir::Uses& uses) {
  std::map<NodeId, Place> places;
  std::map<int, int> filled;
  for (const NodeId id : ir::live_nodes(graph)) {
    Place place;
    for (const ValueId input : graph.node(id).inputs) {
      const NodeId producer = input.valid() ? uses.producer[input.index()] : NodeId();
      if (producer.valid()) place.row = std::max(place.row, places[producer].row + 1);
    }
    place.column = filled[place.row]++;
    places[id] = place;
  }
  return places;
}

void draw_node(std::string& svg, const Graph& graph, NodeId id, const Place& place, Part part) {
  const ir::Node& node = graph.node(id);
  fmt::format_to(std::back_inserter(svg),
                 "<g class=\"{}\"><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" "
                 "height=\"{}\" rx=\"6\"/><text x=\"{}\" y=\"{}\" class=\"op\">{} {}</text>"
                 "<text x=\"{}\" y=\"{}\" class=\"name\">{}</text></g>\n",
                 part_name(part), html_escaped(node.name), place.center_x() - kBoxWidth / 2,
                 place.top(), kBoxWidth, kBoxHeight, place.center_x(), place.top() + 17,
                 html_escaped(ir::op_type(node.op)), output_shape(graph, node), place.center_x(),
                 place.top() + 32, html_escaped(shortened(node.name, kLabelColumns, Keep::kEnd)));
}

void draw_edge(std::string& svg, const Graph& graph, ValueId value, int x0, int y0, int x1, int y1,
               bool crosses) {
  const int bend = (y1 - y0) / 2;
  fmt::format_to(std::back_inserter(svg), "<path class=\"{}\" d=\"M{} {} C{} {} {} {} {} {}\"/>\n",
                 crosses ? "edge cut" : "edge", x0, y0, x0, y0 + bend, x1, y1 - bend, x1, y1);
  if (!crosses) return;
  fmt::format_to(std::back_inserter(svg),
                 "<text x=\"{}\" y=\"{}\" class=\"crossing\">✂ {} · {} B</text>\n",
                 (x0 + x1) / 2 + 8, (y0 + y1) / 2 + 4, to_string(graph.shape(value)),
                 element_count(graph.shape(value)).value_or(0));
}

constexpr std::string_view kStyle =
    "<style>.op{font:600 12px sans-serif;text-anchor:middle;fill:#10202b}"
    ".name{font:10px sans-serif;text-anchor:middle;fill:#45535c}"
    ".device rect{fill:#cfe6f5;stroke:#2b7bb0}.host rect{fill:#fbe6c6;stroke:#b9770e}"
    ".before rect{fill:#eee;stroke:#888}.edge{fill:none;stroke:#8796a0;stroke-width:1.3}"
    ".cut{stroke:#c0392b;stroke-width:2.2;stroke-dasharray:6 4}"
    ".crossing{font:600 11px sans-serif;fill:#c0392b}"
    ".io{font:600 12px sans-serif;text-anchor:middle;fill:#10202b}</style>\n";

}  // namespace

std::string draw_text(const Graph& graph, const Cut& cut) {
  std::string text;
  size_t name_width = 4, type_width = 2;
  for (const NodeId id : ir::live_nodes(graph)) {
    name_width = std::max(name_width, display_columns(clean_utf8(graph.node(id).name)));
    type_width = std::max(type_width, ir::op_type(graph.node(id).op).size());
  }
  for (const Part part : {Part::kBefore, Part::kDevice, Part::kHost}) {
    for (const NodeId id : ir::live_nodes(graph)) {
      if (cut.parts[id.index()] != part) continue;
      const ir::Node& node = graph.node(id);
      fmt::format_to(std::back_inserter(text), "{:<6}  {:<{}}  {:<{}}  {}\n", part_name(part),
                     ir::op_type(node.op), type_width, clean_utf8(node.name), name_width,
                     output_shape(graph, node));
    }
    if (part != Part::kDevice) continue;
    for (const Crossing& crossing : cut.crossings) {
      fmt::format_to(std::back_inserter(text), "------  cut behind {}: {} ({}, {} B as INT8)\n",
                     clean_utf8(crossing.end_node), clean_utf8(crossing.value),
                     to_string(crossing.shape), crossing.size_bytes);
    }
  }
  return text;
}

std::string draw_svg(const Graph& graph, const Cut& cut) {
  const ir::Uses uses = ir::find_uses(graph);
  const std::map<NodeId, Place> places = lay_out(graph, uses);
  int rows = 0, columns = 1;
  for (const auto& [id, place] : places) {
    rows = std::max(rows, place.row + 1);
    columns = std::max(columns, place.column + 1);
  }
  const int width = 2 * kMargin + columns * kColumn, height = 2 * kMargin + (rows + 2) * kRow;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" role=\"img\" "
      "aria-label=\"network graph with its cut\">\n",
      width, height, width);
  svg += kStyle;
  const int input_x = kMargin + kBoxWidth / 2;
  for (const auto& [id, place] : places) {
    for (const ValueId input : graph.node(id).inputs) {
      if (!input.valid() || graph.constant(input) != nullptr) continue;
      const NodeId producer = uses.producer[input.index()];
      if (!producer.valid()) {
        draw_edge(svg, graph, input, input_x, kMargin + kRow / 2 + 4, place.center_x(), place.top(),
                  false);
        continue;
      }
      const Place& from = places.at(producer);
      const bool crosses =
          cut.parts[producer.index()] == Part::kDevice && cut.parts[id.index()] == Part::kHost;
      draw_edge(svg, graph, input, from.center_x(), from.top() + kBoxHeight, place.center_x(),
                place.top(), crosses);
    }
  }
  for (const auto& [id, place] : places) draw_node(svg, graph, id, place, cut.parts[id.index()]);
  std::string inputs;
  for (const ValueId id : graph.inputs) {
    inputs += (inputs.empty() ? "" : ", ") + graph.value(id).name + " " +
              (graph.value(id).shape ? to_string(graph.shape(id)) : "?");
  }
  fmt::format_to(std::back_inserter(svg), "<text x=\"{}\" y=\"{}\" class=\"io\">{}</text>\n",
                 input_x, kMargin + kRow / 2, html_escaped(inputs));
  return svg + "</svg>\n";
}

}  // namespace graupel::cut
