// Pictures of a cut graph: text for the terminal, SVG for the report. See cut.h.
//
// Idea: draw_layout.h says where everything goes; here it gets its words and colours. The part is
// the colour and is named in the legend, every tensor that crosses the cut is drawn dashed with
// its size. The SVG brings its own style under one class name, so it looks the same alone and in
// the report, in light, dark and print. Test: draw_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "cut/cut.h"
#include "cut/draw_layout.h"

namespace graupel::cut {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

constexpr size_t kNameColumns = 32, kOperatorColumns = 29;
constexpr size_t kTextNameColumns = 120;
constexpr size_t kTitleNames = 30;
constexpr int kBend = 6;        // radius of the corners of a line in a lane
constexpr int kBeside = 36;     // where it leaves and meets a box, right of the middle
constexpr double kGlyph = 6.2;  // mean width of an 11 px character

const char* part_name(Part part) {
  switch (part) {
    case Part::kBefore: return "before";
    case Part::kDevice: return "device";
    case Part::kHost: return "host";
  }
  return "host";
}

std::string value_shape(const Graph& graph, ValueId id) {
  return id.valid() && graph.value(id).shape ? to_string(graph.shape(id)) : "?";
}

std::string output_shape(const Graph& graph, const ir::Node& node) {
  return value_shape(graph, node.outputs.empty() ? ValueId() : node.outputs[0]);
}

std::string short_escaped(std::string_view text, size_t columns, Keep keep = Keep::kStart) {
  return html_escaped(shortened(text, columns, keep));
}

std::string size_text(int64_t size_bytes) {
  if (size_bytes < 1024) return fmt::format("{} B", size_bytes);
  if (size_bytes < 1024 * 1024) return fmt::format("{:.1f} KiB", size_bytes / 1024.0);
  return fmt::format("{:.1f} MiB", static_cast<double>(size_bytes) / (1024.0 * 1024.0));
}

struct BoxText {
  std::string operators, name, title;  // as they are, not escaped
};

BoxText box_text(const Graph& graph, const Box& box) {
  if (box.kind != Box::Kind::kNodes) {
    const std::string& name = graph.value(box.value).name;
    const std::string shape = " " + value_shape(graph, box.value);
    // The shape is what matters at the ends; a long name gives way to it.
    const size_t name_columns = kOperatorColumns - std::min(shape.size(), kOperatorColumns / 2);
    return {shortened(name, name_columns, Keep::kEnd) + shape, "",
            name + (box.kind == Box::Kind::kInput ? " (input)" : " (output)")};
  }
  const ir::Node& last = graph.node(box.nodes.back());
  if (box.nodes.size() == 1) {
    const std::string shape = output_shape(graph, last);
    return {std::string(ir::op_type(last.op)) + " " + shape, last.name, last.name + " " + shape};
  }
  BoxText text;
  text.name = fmt::format("{} nodes, to {}", box.nodes.size(), last.name);
  for (size_t i = 0; i < std::min(box.nodes.size(), kTitleNames); ++i) {
    const ir::Node& node = graph.node(box.nodes[i]);
    text.operators += (i > 0 ? " · " : "") + std::string(ir::op_type(node.op));
    text.title += (i > 0 ? ", " : "") + node.name;
  }
  if (box.nodes.size() > kTitleNames) text.title += ", …";
  return text;
}

void draw_box(std::string& svg, const Graph& graph, const Box& box) {
  const BoxText text = box_text(graph, box);
  const bool is_end = box.kind != Box::Kind::kNodes;
  fmt::format_to(std::back_inserter(svg),
                 "<g class=\"{}\"><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" "
                 "height=\"{}\" rx=\"{}\"/><text x=\"{}\" y=\"{}\" class=\"op\">{}</text>",
                 is_end ? "end" : part_name(box.part), html_escaped(text.title),
                 box.center_x - kBoxWidth / 2, box.top, kBoxWidth, box.height(),
                 is_end ? kEndHeight / 2 : 7, box.center_x, box.top + 17,
                 short_escaped(text.operators, kOperatorColumns));
  if (!text.name.empty()) {
    fmt::format_to(std::back_inserter(svg), "<text x=\"{}\" y=\"{}\" class=\"name\">{}</text>",
                   box.center_x, box.top + 33, short_escaped(text.name, kNameColumns, Keep::kEnd));
  }
  svg += "</g>\n";
}

// Down, across to the lane, down the lane, back across, down into the box.
std::string lane_path(int x0, int y0, int lane, int x1, int y1) {
  const int across0 = y0 + 9, across1 = y1 - 9;
  return fmt::format(
      "M{0} {1}V{2}Q{0} {3} {4} {3}H{5}Q{6} {3} {6} {7}V{8}Q{6} {9} {5} {9}H{10}Q{11} {9} {11} "
      "{12}V{13}",
      x0, y0, across0 - kBend, across0, x0 + kBend, lane - kBend, lane, across0 + kBend,
      across1 - kBend, across1, x1 + kBend, x1, across1 + kBend, y1);
}

void draw_line(std::string& svg, const Layout& layout, const Line& line) {
  const Box& from = layout.boxes[line.from];
  const Box& to = layout.boxes[line.to];
  std::string path;
  if (line.lane_x != 0) {
    path = lane_path(from.center_x + kBeside, from.bottom(), line.lane_x, to.center_x + kBeside,
                     to.top);
  } else {
    const int bend = (to.top - from.bottom()) / 2;
    path = fmt::format("M{} {}C{} {} {} {} {} {}", from.center_x, from.bottom(), from.center_x,
                       from.bottom() + bend, to.center_x, to.top - bend, to.center_x, to.top);
  }
  fmt::format_to(std::back_inserter(svg), "<path class=\"{}\" d=\"{}\"/>\n",
                 line.crosses ? "line cut" : "line", path);
}

void draw_label(std::string& svg, const Graph& graph, const Layout& layout, const Line& line) {
  const Box& from = layout.boxes[line.from];
  const std::string size =
      graph.value(line.value).shape
          ? size_text(element_count(graph.shape(line.value)).value_or(0)) + " as INT8"
          : "";
  const std::string text = shortened(value_shape(graph, line.value) + " · " + size, 32);
  const int width = static_cast<int>(static_cast<double>(display_columns(text)) * kGlyph) + 16;
  const int top = from.bottom() + kLabelHeight / 2 + line.label * kLabelHeight;
  fmt::format_to(std::back_inserter(svg),
                 "<g class=\"crossing\"><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" "
                 "height=\"{}\" rx=\"8\"/><text x=\"{}\" y=\"{}\">{}</text></g>\n",
                 html_escaped(graph.value(line.value).name), from.center_x - width / 2, top, width,
                 kLabelHeight - 3, from.center_x, top + 12, html_escaped(text));
}

// The part is also said in words for those who cannot see the colour.
void draw_legend(std::string& svg, const Layout& layout) {
  int x = 16;
  const auto entry = [&](std::string_view kind, std::string_view word) {
    fmt::format_to(std::back_inserter(svg),
                   "<g class=\"{}\"><rect x=\"{}\" y=\"12\" width=\"12\" height=\"12\" rx=\"3\"/>"
                   "<text class=\"legend\" x=\"{}\" y=\"22\">{}</text></g>\n",
                   kind, x, x + 17, word);
    x += 17 + static_cast<int>(static_cast<double>(display_columns(word)) * kGlyph) + 14;
  };
  for (const Part part : {Part::kBefore, Part::kDevice, Part::kHost}) {
    const bool present = std::any_of(layout.boxes.begin(), layout.boxes.end(), [&](const Box& box) {
      return box.kind == Box::Kind::kNodes && box.part == part;
    });
    if (present) entry(part_name(part), part_name(part));
  }
  const bool crosses = std::any_of(layout.lines.begin(), layout.lines.end(),
                                   [](const Line& line) { return line.crosses; });
  if (crosses) {
    fmt::format_to(std::back_inserter(svg),
                   "<path class=\"line cut\" d=\"M{} 18h22\"/><text class=\"legend\" x=\"{}\" "
                   "y=\"22\">cut</text>\n",
                   x, x + 27);
  }
  if (layout.lines_left_out > 0) {
    fmt::format_to(std::back_inserter(svg),
                   "<text class=\"legend\" x=\"16\" y=\"36\">{} lines not drawn</text>\n",
                   layout.lines_left_out);
  }
}

constexpr std::string_view kStyle = R"(<style>
.graupel-cut{max-width:none;font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
.graupel-cut .paper{fill:#fff}
.graupel-cut text{text-anchor:middle;font-size:11px;fill:#54646f}
.graupel-cut .op{font-size:12px;font-weight:600;fill:#15222b}
.graupel-cut .legend{text-anchor:start}
.graupel-cut rect{stroke-width:1.2}
.graupel-cut .device rect{fill:#d8eaf7;stroke:#3f8ec4}
.graupel-cut .host rect{fill:#fbead0;stroke:#c98524}
.graupel-cut .before rect{fill:#edf2f5;stroke:#8796a0}
.graupel-cut .end rect{fill:#fff;stroke:#8796a0}
.graupel-cut .line{fill:none;stroke:#8796a0;stroke-width:1.4}
.graupel-cut .cut{stroke:#c0362c;stroke-width:2;stroke-dasharray:6 4}
.graupel-cut .crossing rect{fill:#fce6e4;stroke:none}
.graupel-cut .crossing text{fill:#b3261e;font-weight:600}
@media screen and (prefers-color-scheme:dark){
.graupel-cut .paper{fill:#162027}
.graupel-cut text{fill:#a9bac5}
.graupel-cut .op{fill:#e5edf2}
.graupel-cut .device rect{fill:#143752;stroke:#4a9ad0}
.graupel-cut .host rect{fill:#453010;stroke:#cf8f3c}
.graupel-cut .before rect{fill:#26333c;stroke:#7b8c97}
.graupel-cut .end rect{fill:#162027;stroke:#7b8c97}
.graupel-cut .line{stroke:#7b8c97}
.graupel-cut .cut{stroke:#ff9188}
.graupel-cut .crossing rect{fill:#3d1815}
.graupel-cut .crossing text{fill:#ff9188}}
</style>
)";

std::string description(const Graph& graph, const Cut& cut) {
  size_t device = 0, host = 0;
  for (const NodeId id : ir::live_nodes(graph)) {
    (part_of(cut, id) == Part::kDevice ? device : host) += 1;
  }
  return fmt::format("Network graph: {} nodes on the device, {} on the host; {} tensor{} cut",
                     device, host, cut.crossings.size(), cut.crossings.size() == 1 ? "" : "s");
}

}  // namespace

std::string draw_text(const Graph& graph, const Cut& cut) {
  std::string text;
  size_t name_columns = 4, type_columns = 2;
  for (const NodeId id : ir::live_nodes(graph)) {
    const std::string name = shortened(graph.node(id).name, kTextNameColumns, Keep::kEnd);
    name_columns = std::max(name_columns, display_columns(name));
    type_columns = std::max(type_columns, display_columns(ir::op_type(graph.node(id).op)));
  }
  for (const Part part : {Part::kBefore, Part::kDevice, Part::kHost}) {
    for (const NodeId id : ir::live_nodes(graph)) {
      if (part_of(cut, id) != part) continue;
      const ir::Node& node = graph.node(id);
      const std::string name = shortened(node.name, kTextNameColumns, Keep::kEnd);
      const std::string type = clean_utf8(ir::op_type(node.op));
      fmt::format_to(std::back_inserter(text), "{:<6}  {}{}  {}{}  {}\n", part_name(part), type,
                     std::string(type_columns - std::min(type_columns, display_columns(type)), ' '),
                     name, std::string(name_columns - display_columns(name), ' '),
                     output_shape(graph, node));
    }
    if (part != Part::kDevice) continue;
    for (const Crossing& crossing : cut.crossings) {
      fmt::format_to(std::back_inserter(text), "------  cut behind {}: {} ({}, {} B as INT8)\n",
                     shortened(crossing.end_node, kTextNameColumns, Keep::kEnd),
                     shortened(crossing.value, kTextNameColumns, Keep::kEnd),
                     to_string(crossing.shape), crossing.size_bytes);
    }
  }
  return text;
}

std::string draw_svg(const Graph& graph, const Cut& cut) {
  const Layout layout = lay_out(graph, cut);
  std::string svg = fmt::format(
      "<svg class=\"graupel-cut\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "width=\"{0}\" height=\"{1}\" role=\"img\" aria-label=\"{2}\">\n",
      layout.width, layout.height, description(graph, cut));
  svg += kStyle;
  fmt::format_to(std::back_inserter(svg), "<rect class=\"paper\" width=\"{}\" height=\"{}\"/>\n",
                 layout.width, layout.height);
  draw_legend(svg, layout);
  for (const Line& line : layout.lines) draw_line(svg, layout, line);
  for (const Box& box : layout.boxes) draw_box(svg, graph, box);
  for (const Line& line : layout.lines) {
    if (line.label >= 0) draw_label(svg, graph, layout, line);
  }
  return svg + "</svg>\n";
}

}  // namespace graupel::cut
