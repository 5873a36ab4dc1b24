// See emit_c.h.
#include "compile/emit_c.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <set>
#include <type_traits>
#include <vector>

#include "compile/emit_c_parts.h"

namespace graupel::compile {
namespace {

using run::BufferId;
using run::Plan;

bool is_byte(const run::Buffer& b) { return b.dtype == DType::kInt8 || b.dtype == DType::kUInt8; }

std::string identifier(const std::string& name) {
  std::string out;
  for (const char c : name) out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  if (out.empty() || std::isdigit(static_cast<unsigned char>(out[0])) != 0) out = "net_" + out;
  return out;
}

struct Emitter {
  const Plan& plan;
  std::string constants, calls;
  std::set<std::string_view> parts;  // texts of emit_c_parts.h that are needed
  std::set<size_t> written;          // constants already there

  const run::Buffer& buffer(BufferId id) const { return plan.buffers[id.index()]; }
  int is_signed(BufferId id) const { return buffer(id).dtype == DType::kInt8 ? 1 : 0; }
  std::string arena(BufferId id) const { return fmt::format("&arena[{}]", buffer(id).offset); }

  template <class T>
  void array(std::string_view type, BufferId id, std::string_view format) {
    const auto* values = reinterpret_cast<const T*>(plan.constants.data() + buffer(id).offset);
    const auto count = static_cast<size_t>(run::buffer_elements(buffer(id)));
    constants += fmt::format("static const {} k{}[{}] = {{", type, id.index(), count);
    for (size_t i = 0; i < count; ++i) {
      constants += i % 16 == 0 ? "\n  " : " ";
      constants += fmt::format(fmt::runtime(format), values[i]) + (i + 1 < count ? "," : "");
    }
    constants += "\n};\n";
  }
  // The name of a constant buffer, written out on first use.
  std::string constant(BufferId id) {
    if (written.insert(id.index()).second) {
      switch (buffer(id).dtype) {
        case DType::kInt8: array<int8_t>("int8_t", id, "{}"); break;
        case DType::kUInt8: array<uint8_t>("uint8_t", id, "{}"); break;
        case DType::kInt32: array<int32_t>("int32_t", id, "{}"); break;
        case DType::kFloat32: array<float>("float", id, "{:a}f"); break;
        default: array<double>("double", id, "{:a}"); break;
      }
    }
    return fmt::format("k{}", id.index());
  }
  float float_constant(BufferId id) const {
    float value = 0.0f;
    std::memcpy(&value, plan.constants.data() + buffer(id).offset, sizeof value);
    return value;
  }
  // A byte table, whatever the sign of its elements.
  std::string byte_constant(BufferId id) {
    if (written.insert(id.index()).second) array<uint8_t>("uint8_t", id, "{}");
    return fmt::format("k{}", id.index());
  }

  static std::string window(const run::Window2d& w) {
    return fmt::format("{{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}}", w.channels, w.in_h,
                       w.in_w, w.out_h, w.out_w, w.kernel_h, w.kernel_w, w.stride_h, w.stride_w,
                       w.dilation_h, w.dilation_w, w.pad_top, w.pad_left);
  }
  static std::string range(const run::Requantize& r) {
    return fmt::format("{{{}, {}, {}}}", r.zero_point, r.low, r.high);
  }
  // A node's name as it may stand in a comment: nothing that ends one, begins one or continues a
  // line.
  static std::string comment(const std::string& node) {
    std::string text;
    for (const char c : node) {
      const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                         std::string_view(" _.-:/").find(c) != std::string_view::npos;
      text += !plain || (c == '/' && !text.empty() && text.back() == '/') ? '_' : c;
    }
    return text;
  }
  void call(const std::string& node, const std::string& body) {
    calls += fmt::format("  {{ /* {} */\n{}  }}\n", comment(node), body);
  }

  void step(const std::string& node, const run::ConvInt8& s) {
    parts.insert({kValuePart, kWindowPart, kImagePart, kConvPart});
    std::string body =
        fmt::format("    static const conv_t s = {{{}, {}, {}, {}, {}, {}}};\n", window(s.window),
                    s.out_channels, s.groups, is_signed(s.x), s.x_zero_point, range(s.requantize));
    const std::string operands = fmt::format("{}, {}, {}, {}", arena(s.x), constant(s.weights),
                                             constant(s.bias), constant(s.multiplier));
    if (s.pool) {
      parts.insert(kConvPoolPart);
      body += fmt::format("    static const window_t p = {};\n", window(*s.pool));
      body +=
          fmt::format("    conv_pool(&s, &p, {}, {}, {});\n", operands, is_signed(s.y), arena(s.y));
    } else if (s.average.valid()) {
      parts.insert(kConvAveragePart);
      body += fmt::format(
          "    static const range_t last = {};\n    conv_average(&s, {}, {:a}f, last, "
          "{});\n",
          range(s.last), operands, float_constant(s.average), arena(s.y));
    } else {
      parts.insert(kConvWholePart);
      body += fmt::format("    conv(&s, {}, {});\n", operands, arena(s.y));
    }
    if (s.residual.valid()) {
      parts.insert({kValuePart, kBinaryPart});
      body +=
          fmt::format("    binary(0, {}, {}, {}, {:a}f, {}, {}, {}, {:a}f, {:a}f, last, {}, {});\n",
                      arena(s.y), s.requantize.low < 0 ? 1 : 0, s.requantize.zero_point, s.q_scale,
                      arena(s.residual), is_signed(s.residual), s.residual_zero_point,
                      s.residual_scale, s.sum_scale, run::buffer_elements(buffer(s.y)), arena(s.y));
      body.insert(0, fmt::format("    static const range_t last = {};\n", range(s.last)));
    }
    call(node, body);
  }
  void step(const std::string& node, const run::MaxPoolInt8& s) {
    parts.insert({kValuePart, kWindowPart, kImagePart, kMaxPoolPart});
    call(node, fmt::format("    static const window_t p = {};\n    max_pool(&p, {}, {}, {});\n",
                           window(s.window), is_signed(s.x), arena(s.x), arena(s.y)));
  }
  void step(const std::string& node, const run::AveragePoolInt8& s) {
    parts.insert({kValuePart, kWindowPart, kImagePart, kAveragePoolPart});
    call(node, fmt::format("    static const window_t p = {};\n    static const range_t r = {};\n"
                           "    average_pool(&p, {}, {}, {}, r, {}, {});\n",
                           window(s.window), range(s.requantize), is_signed(s.x), s.x_zero_point,
                           constant(s.multiplier), arena(s.x), arena(s.y)));
  }
  void step(const std::string& node, const run::Lookup& s) {
    parts.insert(kLookupPart);
    call(node,
         fmt::format("    lookup({}, {}, {}, {}, {}, {});\n", arena(s.x), byte_constant(s.table),
                     s.tables, s.inner, run::buffer_elements(buffer(s.x)), arena(s.y)));
  }
  void step(const std::string& node, const run::BinaryInt8& s) {
    parts.insert({kValuePart, kBinaryPart});
    call(node,
         fmt::format("    static const range_t r = {};\n    binary({}, {}, {}, {}, {:a}f, {}, {}, "
                     "{}, {:a}f, {:a}f, r, {}, {});\n",
                     range(s.requantize), static_cast<int>(s.op), arena(s.a), is_signed(s.a),
                     s.a_zero_point, s.a_scale, arena(s.b), is_signed(s.b), s.b_zero_point,
                     s.b_scale, s.scale, run::buffer_elements(buffer(s.y)), arena(s.y)));
  }
  void step(const std::string& node, const run::Move& s) {
    const bool runs = s.kind == run::MoveTable::kRuns;
    parts.insert(runs ? kMoveRunsPart : kMovePart);
    const int64_t count = run::buffer_elements(buffer(s.table)) / (runs ? 3 : 1);
    const uint64_t to = buffer(s.y).offset + (runs ? 0 : static_cast<uint64_t>(s.y_first));
    call(node,
         fmt::format("    {}({}, {}, {}, {}, &arena[{}]);\n", runs ? "move_runs" : "move_bytes",
                     arena(s.x), constant(s.table), count, s.fill[0], to));
  }
};

// The plan's steps from the first quantisation to the last byte tensor, judged.
struct Extent {
  size_t first = 0;  // the Quantize
  size_t end = 0;    // behind the last step on bytes
  BufferId output;
};

// Whether a step prepares the window as `normalization` may ask for: mean, z-score, clip.
bool prepares(const run::Step& step) {
  const run::Unary* unary = std::get_if<run::Unary>(&step.body);
  return std::holds_alternative<run::RemoveMean>(step.body) ||
         std::holds_alternative<run::Normalize>(step.body) ||
         (unary != nullptr && unary->op == run::UnaryOp::kClip);
}

// The steps in front of the Quantize prepare the plan's input, one behind the other.
Result<size_t> quantize_of(const Plan& plan) {
  BufferId from = plan.inputs.empty() ? BufferId() : plan.inputs[0].buffer;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const run::StepBuffers used = run::step_buffers(plan.steps[i].body);
    const bool quantizes = std::holds_alternative<run::Quantize>(plan.steps[i].body);
    if ((!quantizes && !prepares(plan.steps[i])) || used.reads[0] != from) {
      return unsupported(
          plan.steps[i].node,
          "comes before the quantisation; only a window's mean, z-score and clip can "
          "be emitted as C");
    }
    if (quantizes) return i;
    from = used.write;
  }
  return unsupported("plan", "has no quantised input; only INT8 networks can be emitted as C");
}

Result<Extent> extent_of(const Plan& plan) {
  Extent extent;
  TRY_ASSIGN(extent.first, quantize_of(plan));
  for (size_t i = extent.first; i < plan.steps.size(); ++i) {
    const BufferId y = run::step_buffers(plan.steps[i].body).write;
    if (is_byte(plan.buffers[y.index()])) {
      extent.end = i + 1;
      extent.output = y;
    }
  }
  for (size_t i = extent.first + 1; i < extent.end; ++i) {
    const run::StepBuffers used = run::step_buffers(plan.steps[i].body);
    const bool bytes = is_byte(plan.buffers[used.write.index()]) &&
                       is_byte(plan.buffers[used.reads[0].index()]) &&
                       !std::holds_alternative<run::Quantize>(plan.steps[i].body);
    if (!bytes) {
      return unsupported(plan.steps[i].node, "is a " +
                                                 std::string(run::step_name(plan.steps[i].body)) +
                                                 " on floats between INT8 steps, which cannot be "
                                                 "emitted as C");
    }
  }
  for (size_t i = extent.end; i < plan.steps.size(); ++i) {
    for (const BufferId id : run::step_buffers(plan.steps[i].body).reads) {
      const run::Buffer& b = plan.buffers[id.index()];
      if (b.place == run::Place::kArena && is_byte(b) &&
          b.offset != plan.buffers[extent.output.index()].offset) {
        return unsupported(
            plan.steps[i].node,
            "reads a second INT8 tensor; only networks with one can be emitted as C");
      }
    }
  }
  return extent;
}

// Scale and zero point of the output, from the step that leaves the bytes behind.
struct OutputScale {
  float scale = 1.0f;
  int32_t zero_point = 0;
  run::ByteOrder order = run::ByteOrder::kSame;
  int32_t channels = 1;
  bool known = false;
};
OutputScale output_scale(const Plan& plan, const Extent& extent) {
  for (size_t i = extent.end; i < plan.steps.size(); ++i) {
    const run::Dequantize* d = std::get_if<run::Dequantize>(&plan.steps[i].body);
    if (d == nullptr) continue;
    if (plan.buffers[d->x.index()].offset != plan.buffers[extent.output.index()].offset) continue;
    return {d->scale, d->zero_point, d->order, d->channels, true};
  }
  return {};
}

std::string host_steps(const Plan& plan, const Extent& extent) {
  std::string names;
  for (size_t i = extent.end; i < plan.steps.size(); ++i) {
    if (std::holds_alternative<run::Dequantize>(plan.steps[i].body)) continue;
    names += " *   " + std::string(run::step_name(plan.steps[i].body)) + "\n";
  }
  return names.empty() ? " * Nothing lies behind the output.\n"
                       : " * Behind the output the host still has to do, in this order:\n" + names;
}

std::string header_of(const Plan& plan, const Extent& extent, const std::string& name) {
  const auto& quantize = std::get<run::Quantize>(plan.steps[extent.first].body);
  const run::Buffer& in = plan.buffers[quantize.y.index()];
  const run::Buffer& out = plan.buffers[extent.output.index()];
  const OutputScale scale = output_scale(plan, extent);
  const auto layout = [](const run::Buffer& b) {
    return std::string(b.layout == run::Layout::kChannelsLast ? "channels-last" : "row-major");
  };
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return fmt::format(
      "/* {0}: an INT8 network as C99, written by graupel. Compile {0}.c beside it.\n"
      " * No library, no allocation; state is static, so one call at a time.\n"
      " * Input {1}, {2}, {3}; output {4}, {5}, {6}.\n"
      " * Define GRAUPEL_PLAIN_C to keep SSE2 and NEON out; the answers are the same bytes.\n{7} "
      "*/\n"
      "#ifndef {8}_H\n#define {8}_H\n\n#include <stdint.h>\n\n"
      "#define {8}_INPUT_SIZE {9}\n#define {8}_INPUT_IS_UNSIGNED {10}\n"
      "#define {8}_INPUT_SCALE {11:a}f\n#define {8}_INPUT_ZERO_POINT {12}\n"
      "#define {8}_OUTPUT_SIZE {13}\n#define {8}_OUTPUT_IS_UNSIGNED {14}\n{15}\n"
      "#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n"
      "/* {8}_INPUT_SIZE bytes to {8}_OUTPUT_SIZE bytes; an unsigned tensor's bytes are passed as "
      "they "
      "are.\n * 0, or -1 for a null pointer. */\n"
      "int {0}_infer(const int8_t *input, int8_t *output);\n"
      "/* A float window, row-major, to the input's bytes{16}. */\n"
      "void {0}_quantize(const float *window, int8_t *input);\n{17}\n"
      "#ifdef __cplusplus\n}}\n#endif\n\n#endif\n",
      name, graupel::to_string(in.shape), std::string(graupel::to_string(in.dtype)), layout(in),
      graupel::to_string(out.shape), std::string(graupel::to_string(out.dtype)), layout(out),
      host_steps(plan, extent), upper, run::buffer_elements(in), in.dtype == DType::kUInt8 ? 1 : 0,
      quantize.scale, quantize.requantize.zero_point, run::buffer_elements(out),
      out.dtype == DType::kUInt8 ? 1 : 0,
      scale.known
          ? fmt::format("#define {0}_OUTPUT_SCALE {1:a}f\n#define {0}_OUTPUT_ZERO_POINT {2}\n",
                        upper, scale.scale, scale.zero_point)
          : "",
      quantize.mean.valid() || extent.first > 0 ? ", its preparation (mean, z-score, clip) included"
                                                : "",
      scale.known ? fmt::format("/* The output's bytes to floats, row-major. */\n"
                                "void {}_dequantize(const int8_t *output, float *values);\n",
                                name)
                  : "");
}

// The call that prepares the window `from` in place or into `prepared`.
std::string preparation(Emitter& e, const run::Step& step, const char* from) {
  if (const auto* mean = std::get_if<run::RemoveMean>(&step.body)) {
    e.parts.insert(kRemoveMeanPart);
    return fmt::format("  remove_mean({}, {}, {}, {}, {}, prepared);\n", from,
                       e.constant(mean->centred), mean->channels, mean->rows, mean->samples);
  }
  if (const auto* score = std::get_if<run::Normalize>(&step.body)) {
    e.parts.insert(kNormalizePart);
    return fmt::format("  normalize({}, {}, {}, {}, {}, prepared);\n", from,
                       e.constant(score->mean), e.constant(score->deviation), score->channels,
                       score->inner);
  }
  const auto& clip = std::get<run::Unary>(step.body);
  e.parts.insert(kClipPart);
  return fmt::format("  clip({}, {:a}f, {:a}f, {}, prepared);\n", from, clip.a, clip.b,
                     run::buffer_elements(e.buffer(clip.y)));
}

std::string quantize_function(Emitter& e, const Extent& extent, const std::string& name) {
  const auto& q = std::get<run::Quantize>(e.plan.steps[extent.first].body);
  e.parts.insert(kQuantizePart);
  const bool normalize = q.mean.valid();
  std::string body = fmt::format("  static const range_t r = {};\n", Emitter::range(q.requantize));
  if (extent.first > 0) {
    body += fmt::format("  static float prepared[{}];\n", run::buffer_elements(e.buffer(q.x)));
  }
  const char* from = "window";
  for (size_t i = 0; i < extent.first; ++i) {
    body += preparation(e, e.plan.steps[i], from);
    from = "prepared";
  }
  return fmt::format(
      "void {}_quantize(const float *window, int8_t *input) {{\n{}"
      "  quantize({}, {}, {}, {}, {}, {}, {:a}f, r, (uint8_t *)input);\n}}\n",
      name, body, from, normalize ? e.constant(q.mean) : "NULL",
      normalize ? e.constant(q.deviation) : "NULL", q.channels, q.inner,
      q.order == run::ByteOrder::kChannelsLast ? 1 : 0, q.scale);
}

std::string dequantize_function(Emitter& e, const Extent& extent, const OutputScale& scale,
                                const std::string& name) {
  e.parts.insert({kValuePart, kDequantizePart});
  const int64_t elements = run::buffer_elements(e.buffer(extent.output));
  return fmt::format(
      "\nvoid {}_dequantize(const int8_t *output, float *values) {{\n"
      "  dequantize((const uint8_t *)output, {}, {}, {:a}f, {}, {}, {}, values);\n}}\n",
      name, e.is_signed(extent.output), scale.zero_point, scale.scale, scale.channels,
      elements / scale.channels, scale.order == run::ByteOrder::kChannelsLast ? 1 : 0);
}

}  // namespace

Result<CSource> emit_c(const Plan& plan, const std::string& raw_name) {
  TRY_ASSIGN(const Extent extent, extent_of(plan));
  const std::string name = identifier(raw_name);
  Emitter e{plan, {}, {}, {}, {}};
  const auto& quantize = std::get<run::Quantize>(plan.steps[extent.first].body);
  for (size_t i = extent.first + 1; i < extent.end; ++i) {
    const run::Step& step = plan.steps[i];
    const bool known = std::visit(
        [&](const auto& body) {
          if constexpr (requires { e.step(step.node, body); }) {
            e.step(step.node, body);
            return true;
          }
          return false;
        },
        step.body);
    if (known) continue;
    return unsupported(step.node, "is a " + std::string(run::step_name(step.body)) +
                                      ", which cannot be emitted as C");
  }
  const std::string infer = fmt::format(
      "int {0}_infer(const int8_t *input, int8_t *output) {{\n"
      "  int status = -1;\n  if ((input != NULL) && (output != NULL)) {{\n"
      "    (void)memcpy(&arena[{1}], input, {2});\n    run();\n"
      "    (void)memcpy(output, &arena[{3}], {4});\n    status = 0;\n  }}\n  return "
      "status;\n}}\n\n",
      name, e.buffer(quantize.y).offset, run::buffer_bytes(e.buffer(quantize.y)),
      e.buffer(extent.output).offset, run::buffer_bytes(e.buffer(extent.output)));
  std::string functions = infer + quantize_function(e, extent, name);
  const OutputScale scale = output_scale(plan, extent);
  if (scale.known) functions += dequantize_function(e, extent, scale, name);
  CSource out;
  out.name = name;
  out.header = header_of(plan, extent, name);
  out.source = fmt::format(
      "/* {0}: see {0}.h. Written by graupel from a compiled plan; not meant to be edited. */\n"
      "#include \"{0}.h\"\n{1}{2}",
      name, kIncludes, kCommonPart);
  for (const std::string_view part :
       {kValuePart, kWindowPart, kImagePart, kConvPart, kConvWholePart, kConvPoolPart,
        kConvAveragePart, kMaxPoolPart, kAveragePoolPart, kLookupPart, kBinaryPart, kMovePart,
        kMoveRunsPart, kRemoveMeanPart, kNormalizePart, kClipPart, kQuantizePart,
        kDequantizePart}) {
    if (e.parts.contains(part)) out.source += part;
  }
  uint64_t arena = 1;
  for (const run::Buffer& b : plan.buffers) {
    if (b.place == run::Place::kArena && is_byte(b)) {
      arena = std::max(arena, b.offset + static_cast<uint64_t>(run::buffer_bytes(b)));
    }
  }
  out.source += "\n" + e.constants + fmt::format("\nstatic uint8_t arena[{}];\n", arena) +
                "\nstatic void run(void) {\n" + e.calls + "}\n\n" + functions;
  return out;
}

}  // namespace graupel::compile
