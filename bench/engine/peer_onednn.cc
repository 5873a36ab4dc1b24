// The example network in oneDNN primitives, called one after the other.
//
// Idea: uint8 activations with zero point 0, int8 weights, ReLU as post-operation, requantisation
// by output scales, blocked layouts where the library asks for them; from a float32 input to
// float32 logits. Weights are constant: only the time is of interest.
#include "peers.h"

#if defined(GRAUPEL_ONEDNN)
#include <dnnl.hpp>
#include <memory>
#include <unordered_map>
#include <utility>
#endif

namespace graupel::bench {

#if defined(GRAUPEL_ONEDNN)
namespace {

using dnnl::memory;
using Type = memory::data_type;
using Tag = memory::format_tag;

struct Stack {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::vector<std::pair<dnnl::primitive, std::unordered_map<int, memory>>> calls;

  dnnl::primitive_attr scaled(float scale, bool relu, int mask) {
    dnnl::primitive_attr attributes;
    attributes.set_output_scales(0, {scale});
    static_cast<void>(mask);
    if (relu) {
      dnnl::post_ops ops;
      ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
      attributes.set_post_ops(ops);
    }
    return attributes;
  }
  memory reordered(const memory& x, const memory::desc& wanted) {
    if (x.get_desc() == wanted) return x;
    memory y(wanted, engine);
    calls.push_back({dnnl::reorder(x, y), {{DNNL_ARG_FROM, x}, {DNNL_ARG_TO, y}}});
    return y;
  }
  // Constant weights in the layout that the primitive wants.
  memory filled(const memory::desc& desc) {
    memory m(desc, engine);
    auto* bytes = static_cast<unsigned char*>(m.get_data_handle());
    for (size_t i = 0; i < desc.get_size(); ++i) bytes[i] = static_cast<unsigned char>(i % 7);
    return m;
  }
  memory conv(const memory& x, const memory::dims& weights, const memory::dims& pad) {
    const memory::dims in = x.get_desc().dims();
    const memory::dims out = {in[0], weights[0], in[2], in[3]};
    const dnnl::convolution_forward::desc desc(
        dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
        memory::desc(in, Type::u8, Tag::any), memory::desc(weights, Type::s8, Tag::any),
        memory::desc({weights[0]}, Type::s32, Tag::x), memory::desc(out, Type::u8, Tag::any),
        {1, 1}, pad, pad);
    const dnnl::convolution_forward::primitive_desc made(desc, scaled(0.01f, true, 0), engine);
    const memory source = reordered(x, made.src_desc());
    memory y(made.dst_desc(), engine);
    calls.push_back({dnnl::convolution_forward(made),
                     {{DNNL_ARG_SRC, source},
                      {DNNL_ARG_WEIGHTS, filled(made.weights_desc())},
                      {DNNL_ARG_BIAS, filled(made.bias_desc())},
                      {DNNL_ARG_DST, y}}});
    return y;
  }
  memory pool(const memory& x, dnnl::algorithm algorithm, const memory::dims& kernel) {
    const memory::dims in = x.get_desc().dims();
    const memory::dims out = {in[0], in[1], in[2] / kernel[0], in[3] / kernel[1]};
    const dnnl::pooling_forward::desc desc(dnnl::prop_kind::forward_inference, algorithm,
                                           x.get_desc(), memory::desc(out, Type::u8, Tag::any),
                                           kernel, kernel, {0, 0}, {0, 0});
    const dnnl::pooling_forward::primitive_desc made(desc, engine);
    memory y(made.dst_desc(), engine);
    calls.push_back({dnnl::pooling_forward(made), {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}}});
    return y;
  }
  memory dense(const memory& x, int64_t features, bool relu, Type type) {
    const memory::dims in = {x.get_desc().dims()[0], x.get_desc().dims()[1]};
    const dnnl::inner_product_forward::desc desc(
        dnnl::prop_kind::forward_inference, memory::desc(in, Type::u8, Tag::any),
        memory::desc({features, in[1]}, Type::s8, Tag::any),
        memory::desc({features}, Type::s32, Tag::x),
        memory::desc({in[0], features}, type, Tag::nc));
    const dnnl::inner_product_forward::primitive_desc made(desc, scaled(0.01f, relu, 0), engine);
    const memory flat(memory::desc(in, Type::u8, Tag::nc), engine, x.get_data_handle());
    const memory source = reordered(flat, made.src_desc());
    memory y(made.dst_desc(), engine);
    calls.push_back({dnnl::inner_product_forward(made),
                     {{DNNL_ARG_SRC, source},
                      {DNNL_ARG_WEIGHTS, filled(made.weights_desc())},
                      {DNNL_ARG_BIAS, filled(made.bias_desc())},
                      {DNNL_ARG_DST, y}}});
    return y;
  }
};

}  // namespace

Peer one_dnn(Example example, int64_t batch) {
  const dnnl_version_t* version = dnnl_version();
  Peer peer{"oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) +
                "." + std::to_string(version->patch),
            {},
            {},
            {}};
  const auto stack = std::make_shared<Stack>();
  try {
    const memory input(memory::desc({batch, 9, 2, 100}, Type::f32, Tag::nchw), stack->engine);
    auto* values = static_cast<float*>(input.get_data_handle());
    for (int64_t i = 0; i < batch * 1800; ++i) values[i] = static_cast<float>(i % 11) * 0.1f;
    memory x(memory::desc({batch, 9, 2, 100}, Type::u8, Tag::nhwc), stack->engine);
    dnnl::primitive_attr quantize;
    quantize.set_output_scales(0, {42.5f});
    stack->calls.push_back(
        {dnnl::reorder(input, x, quantize), {{DNNL_ARG_FROM, input}, {DNNL_ARG_TO, x}}});
    const int64_t features[] = {32, 64, 128}, widths[] = {7, 5, 3};
    for (int layer = 0; layer < 3; ++layer) {
      const bool rows = example == Example::kRows;
      const int64_t high = rows ? 1 : 3, wide = rows ? widths[layer] : 3;
      x = stack->conv(x, {features[layer], x.get_desc().dims()[1], high, wide},
                      {high / 2, wide / 2});
      if (layer < 2) x = stack->pool(x, dnnl::algorithm::pooling_max, {1, 2});
    }
    x = stack->pool(x, dnnl::algorithm::pooling_avg_exclude_padding, {2, 25});
    x = stack->dense(x, 8, false, Type::u8);
    x = stack->dense(x, 64, true, Type::u8);
    stack->dense(x, 10, false, Type::f32);
  } catch (const dnnl::error& error) {
    peer.skipped = error.what();
    return peer;
  }
  peer.run = [stack] {
    for (auto& [primitive, arguments] : stack->calls) primitive.execute(stack->stream, arguments);
    stack->stream.wait();
  };
  return peer;
}
#else
Peer one_dnn(Example, int64_t) {
  return {"oneDNN", "not built in (apt install libdnnl-dev)", {}, {}};
}
#endif

}  // namespace graupel::bench
