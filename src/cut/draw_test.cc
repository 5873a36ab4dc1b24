// The pictures of a cut: every node, its part, what crosses, and names that would break markup.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cut/cut.h"
#include "ir/testing.h"

namespace graupel::cut {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ir::Graph graph() {
  return ir::graph_of(R"(graph g opset 17 ir 8 {
    input "x<y>": float32[1x2x4x4]
    const w: float32[2x2x1x1] = [1, 2, 3, 4]
    "conv & <first>": Conv("x<y>", w) -> a
    "ääääääääääääääääääääääääääääääääääääääää": Round(a) -> b
    output b
  })");
}

TEST(Draw, TextListsPartsInOrderAndTheCutBetween) {
  const ir::Graph whole = graph();
  const Result<Cut> result = cut(whole, {true, false}, {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(draw_text(whole, *result),
            "device  Conv   conv & <first>                            1x2x4x4\n"
            "------  cut behind conv & <first>: a (1x2x4x4, 32 B as INT8)\n"
            "host    Round  ääääääääääääääääääääääääääääääääääääääää  1x2x4x4\n");
}

TEST(Draw, SvgIsWellFormed) {
  const ir::Graph whole = graph();
  const Result<Cut> result = cut(whole, {true, false}, {});
  ASSERT_TRUE(result.ok());
  const std::string svg = draw_svg(whole, *result);
  EXPECT_THAT(svg, HasSubstr("conv &amp; &lt;first&gt;"));
  EXPECT_THAT(svg, HasSubstr("x&lt;y&gt; 1x2x4x4"));
  EXPECT_THAT(svg, Not(HasSubstr("<first>")));
  EXPECT_THAT(svg, HasSubstr("class=\"edge cut\""));
  EXPECT_THAT(svg, HasSubstr("32 B"));
  EXPECT_THAT(svg, HasSubstr("…ä"));
  // Every tag is closed.
  size_t open = 0, closed = 0;
  for (size_t i = 0; i + 1 < svg.size(); ++i) {
    if (svg[i] == '<') (svg[i + 1] == '/' ? closed : open) += 1;
    if (svg[i] == '/' && svg[i + 1] == '>') ++closed;
  }
  EXPECT_EQ(open, closed);
}

}  // namespace
}  // namespace graupel::cut
