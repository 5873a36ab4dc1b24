// Windows, axes and shapes of one node or tensor, for the table of facts. Test: rules_test.cc.
#pragma once

#include <optional>
#include <string>

#include "check/facts.h"

namespace graupel::check {

const ir::Graph& graph_of(const Subject& subject);
const ir::Node& node_of(const Subject& subject);

// The tensor a subject is about: a node's first input, or the graph input or output itself.
ir::ValueId main_value(const Subject& subject);
ir::ValueId result_value(const Subject& subject);  // likewise, a node's first output
const Shape* shape_of(const Subject& subject, ir::ValueId value);  // nullptr if not known

FactValue number(int64_t value);
FactValue rank_of(const Subject& subject, ir::ValueId value);
FactValue dim_of(const Subject& subject, ir::ValueId value, size_t dim);
FactValue elements(const Subject& subject, ir::ValueId value);

// The kernel, from the weights where the attribute is left out; empty if not known.
ir::Ints kernel_of(const Subject& subject);
// Of a 2-D window; for a 1-D window the height is 1.
FactValue height_of(const ir::Ints& ints);
FactValue width_of(const ir::Ints& ints);
// Strides or dilations with the default, ones, filled in.
ir::Ints or_ones(const Subject& subject, const ir::Ints ir::Window::*member);
std::optional<int64_t> group_of(const ir::Op& op);

FactValue axes_text(const Subject& subject);
FactValue channel_axis(const Subject& subject);
FactValue batch_axis(const Subject& subject);
FactValue spatial_axes(const Subject& subject);

}  // namespace graupel::check
