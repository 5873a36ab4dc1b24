// Tests of the pictures of a cut graph: what they say, that they stay safe and bounded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "base/text.h"
#include "cut/cut.h"
#include "cut/draw_layout.h"

namespace graupel::cut {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;
using testing::HasSubstr;
using testing::Not;

// A graph under construction whose nodes all keep the shape 1x8x4x4.
struct Builder {
  Graph graph;
  Cut cut;
  ValueId input = ir::add_input(graph, "image", DType::kFloat32, {1, 8, 4, 4});

  ValueId relu(const std::string& name, ValueId x, Part part) {
    return add(name, ir::Unary{ir::UnaryKind::kRelu}, {x}, part);
  }
  ValueId sum(const std::string& name, ValueId a, ValueId b, Part part) {
    return add(name, ir::Binary{ir::BinaryKind::kAdd}, {a, b}, part);
  }
  ValueId add(const std::string& name, ir::Op op, std::vector<ValueId> inputs, Part part) {
    const Result<NodeId> node = ir::add_node(graph, name, std::move(op), std::move(inputs));
    EXPECT_TRUE(node.ok());
    cut.parts.resize(graph.nodes.size(), part);
    return graph.node(node.value()).outputs[0];
  }
};

size_t occurrences(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

Builder residual() {
  Builder b;
  const ValueId first = b.relu("first", b.input, Part::kDevice);
  const ValueId second = b.relu("second", first, Part::kDevice);
  const ValueId third = b.relu("third", second, Part::kHost);
  b.graph.outputs = {b.sum("sum", third, first, Part::kHost)};
  b.cut.crossings = {{"second_output_0", "second", {1, 8, 4, 4}, 128}};
  return b;
}

TEST(DrawText, NamesPartsShapesAndTheCut) {
  const Builder b = residual();
  EXPECT_EQ(draw_text(b.graph, b.cut),
            "device  Relu  first   1x8x4x4\n"
            "device  Relu  second  1x8x4x4\n"
            "------  cut behind second: second_output_0 (1x8x4x4, 128 B as INT8)\n"
            "host    Relu  third   1x8x4x4\n"
            "host    Add   sum     1x8x4x4\n");
}

TEST(DrawSvg, ShowsNodesPartsAndCrossings) {
  const Builder b = residual();
  const std::string svg = draw_svg(b.graph, b.cut);
  EXPECT_TRUE(svg.starts_with("<svg class=\"graupel-cut\""));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_EQ(occurrences(svg, "<g class=\"device\">"), 3u);  // two nodes and the legend
  EXPECT_EQ(occurrences(svg, "<g class=\"host\">"), 3u);
  EXPECT_EQ(occurrences(svg, "<g class=\"end\">"), 2u);
  EXPECT_EQ(occurrences(svg, "<g class=\"crossing\">"), 2u);
  EXPECT_THAT(svg, HasSubstr("1x8x4x4 · 128 B as INT8"));
  EXPECT_EQ(occurrences(svg, "<g"), occurrences(svg, "</g>"));
  EXPECT_EQ(draw_svg(b.graph, b.cut), svg);
}

TEST(DrawSvg, StyleReachesNothingOutside) {
  const Builder b = residual();
  const std::string svg = draw_svg(b.graph, b.cut);
  const size_t start = svg.find("<style>") + 8;
  const std::string style = svg.substr(start, svg.find("</style>") - start);
  std::istringstream lines(style);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(line.starts_with(".graupel-cut") || line.starts_with("@media")) << line;
  }
}

TEST(Layout, RowsGoDownAndLongLinesTakeALane) {
  const Builder b = residual();
  const Layout layout = lay_out(b.graph, b.cut);
  ASSERT_EQ(layout.boxes.size(), 6u);
  ASSERT_EQ(layout.lines.size(), 6u);
  size_t in_lanes = 0, crossing = 0;
  for (const Line& line : layout.lines) {
    const Box& from = layout.boxes[line.from];
    const Box& to = layout.boxes[line.to];
    EXPECT_LT(from.bottom(), to.top);
    EXPECT_EQ(line.lane_x != 0, to.row > from.row + 1);
    in_lanes += line.lane_x != 0 ? 1 : 0;
    crossing += line.crosses ? 1 : 0;
    for (const Box& box : layout.boxes) {
      EXPECT_TRUE(line.lane_x == 0 || line.lane_x > box.center_x + kBoxWidth / 2);
    }
  }
  EXPECT_EQ(in_lanes, 1u);
  EXPECT_EQ(crossing, 2u);
}

TEST(Layout, BoxesNeverOverlap) {
  Builder b;
  std::vector<ValueId> tips = {b.input};
  uint32_t seed = 7;
  for (int i = 0; i < 50; ++i) {
    seed = seed * 1664525u + 1013904223u;
    const ValueId a = tips[seed % tips.size()], c = tips[(seed >> 8) % tips.size()];
    tips.push_back(b.sum("n" + std::to_string(i), a, c, i < 25 ? Part::kDevice : Part::kHost));
  }
  b.graph.outputs = {tips.back()};
  const Layout layout = lay_out(b.graph, b.cut);
  for (size_t i = 0; i < layout.boxes.size(); ++i) {
    const Box& one = layout.boxes[i];
    EXPECT_GE(one.center_x - kBoxWidth / 2, 0);
    EXPECT_LE(one.center_x + kBoxWidth / 2, layout.width);
    EXPECT_LE(one.bottom(), layout.height);
    for (size_t j = 0; j < i; ++j) {
      const Box& other = layout.boxes[j];
      const bool beside = std::abs(one.center_x - other.center_x) >= kBoxWidth;
      EXPECT_TRUE(beside || one.bottom() < other.top || other.bottom() < one.top) << i << " " << j;
    }
  }
}

TEST(DrawSvg, HostileNamesStayText) {
  Builder b;
  const std::string hostile =
      "\"><script>\xff\x01 größe波形" + std::string(200, 'x') + "ö波\xe6\xb3";
  ValueId x = b.relu(hostile, b.input, Part::kDevice);
  b.graph.values[x.index()].name = hostile + "2";
  b.graph.outputs = {b.relu(hostile + "3", x, Part::kHost)};
  b.cut.crossings = {{hostile, hostile, {1, 8, 4, 4}, 128}};
  std::string svg = draw_svg(b.graph, b.cut);
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_THAT(svg, HasSubstr("&lt;script&gt;"));
  std::erase(svg, '\n');
  EXPECT_EQ(clean_utf8(svg), svg);
  std::string text = draw_text(b.graph, b.cut);
  std::erase(text, '\n');
  EXPECT_EQ(clean_utf8(text), text);
}

TEST(DrawSvg, LargeGraphsShowChains) {
  Builder b;
  ValueId x = b.input;
  for (int i = 0; i < 333; ++i) {
    const std::string name = "/block" + std::to_string(i);
    const Part part = i < 300 ? Part::kDevice : Part::kHost;
    const ValueId y = b.relu(name + "/b", b.relu(name + "/a", x, part), part);
    x = b.sum(name + "/sum", x, y, part);
  }
  b.graph.outputs = {x};
  const Layout layout = lay_out(b.graph, b.cut);
  EXPECT_EQ(layout.boxes.size(), 333u * 2 + 2);
  size_t nodes = 0;
  for (const Box& box : layout.boxes) nodes += box.nodes.size();
  EXPECT_EQ(nodes, 999u);
  const std::string svg = draw_svg(b.graph, b.cut);
  EXPECT_LT(svg.size(), 1u << 20);
  EXPECT_THAT(svg, HasSubstr("Relu · Relu"));
  EXPECT_THAT(svg, HasSubstr("2 nodes, to /block0/b"));
  EXPECT_THAT(svg, HasSubstr("900 nodes on the device, 99 on the host"));
}

TEST(DrawSvg, HugeGraphsShowParts) {
  Builder b;
  ValueId device = b.input;
  std::vector<ValueId> wide;
  for (int i = 0; i < 3000; ++i) {
    wide.push_back(b.relu("d" + std::to_string(i), device, Part::kDevice));
  }
  for (int i = 0; i < 3000; ++i) {
    b.graph.outputs.push_back(
        b.relu("h" + std::to_string(i), wide[static_cast<size_t>(i)], Part::kHost));
  }
  const Layout layout = lay_out(b.graph, b.cut);
  EXPECT_LT(layout.boxes.size(), 300u);
  EXPECT_EQ(layout.boxes[0].nodes.size(), 3000u);
  EXPECT_EQ(layout.boxes[1].nodes.size(), 3000u);
  EXPECT_LT(draw_svg(b.graph, b.cut).size(), 2u << 20);
}

TEST(DrawSvg, EmptyGraph) {
  const std::string svg = draw_svg(Graph(), Cut());
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_EQ(draw_text(Graph(), Cut()), "");
}

}  // namespace
}  // namespace graupel::cut
