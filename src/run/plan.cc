// A plan as bytes and back. See plan.h; format: docs/formats/plan.md.
//
// Idea: both directions walk the lists of plan_fields.h. Integers are little-endian and as wide as
// their C++ type, enumerators one byte, texts and lists carry a 32-bit count, the constants come
// last, aligned. A list's count is checked against the bytes that remain before memory is taken.
// Test: plan_test.cc (round trip, every truncation, bit flips), fuzz/plan_fuzz.cc.
#include "run/plan.h"

#include <bit>
#include <type_traits>
#include <utility>

#include "base/bytes.h"
#include "run/plan_fields.h"

namespace graupel::run {
namespace {

constexpr std::string_view kMagic("GRPLPLAN", 8);

template <class T>
constexpr bool kIsList = false;
template <class T>
constexpr bool kIsList<std::vector<T>> = true;

class Writer {
 public:
  template <class T>
  void put(T& value) {
    if constexpr (std::is_enum_v<T>) {
      out_.write(static_cast<uint8_t>(value));
    } else if constexpr (std::is_arithmetic_v<T>) {
      out_.write(value);
    } else if constexpr (std::is_same_v<T, BufferId>) {
      out_.write(value.value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      out_.text(value);
    } else if constexpr (std::is_same_v<T, std::array<uint8_t, 8>>) {
      for (const uint8_t byte : value) out_.write(byte);
    } else if constexpr (std::is_same_v<T, std::optional<Window2d>>) {
      out_.write(static_cast<uint8_t>(value.has_value()));
      if (value) put(*value);
    } else if constexpr (std::is_same_v<T, StepBody>) {
      out_.write(static_cast<uint8_t>(value.index()));
      std::visit([&](auto& body) { put(body); }, value);
    } else if constexpr (kIsList<T>) {
      out_.write(static_cast<uint32_t>(value.size()));
      for (auto& element : value) put(element);
    } else {
      std::apply([&](auto&... field) { (put(field), ...); }, fields(value));
    }
  }
  ByteWriter& bytes() { return out_; }

 private:
  ByteWriter out_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : in_(bytes) {}

  bool ok() const { return in_.ok() && !malformed_; }
  ByteReader& bytes() { return in_; }

  template <class T>
  void get(T& value) {
    if constexpr (std::is_enum_v<T>) {
      const uint8_t number = in_.read<uint8_t>();
      if (number >= enum_count<T>()) malformed_ = true;
      value = malformed_ ? T{} : static_cast<T>(number);
    } else if constexpr (std::is_arithmetic_v<T>) {
      value = in_.read<T>();
    } else if constexpr (std::is_same_v<T, BufferId>) {
      value.value = in_.read<int32_t>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = in_.text();
    } else if constexpr (std::is_same_v<T, std::array<uint8_t, 8>>) {
      for (uint8_t& byte : value) byte = in_.read<uint8_t>();
    } else if constexpr (std::is_same_v<T, std::optional<Window2d>>) {
      const uint8_t present = in_.read<uint8_t>();
      if (present > 1) malformed_ = true;
      if (present == 1) get(value.emplace());
    } else if constexpr (std::is_same_v<T, StepBody>) {
      get_body(value, std::make_index_sequence<std::variant_size_v<StepBody>>());
    } else if constexpr (kIsList<T>) {
      get_list(value);
    } else {
      std::apply([&](auto&... field) { (get(field), ...); }, fields(value));
    }
  }

 private:
  template <size_t... kIndex>
  void get_body(StepBody& body, std::index_sequence<kIndex...>) {
    const size_t index = in_.read<uint8_t>();
    if (index >= sizeof...(kIndex)) malformed_ = true;
    ((index == kIndex ? get(body.emplace<kIndex>()) : void()), ...);
  }
  // Grows with what has really been read: a count alone takes no memory.
  template <class T>
  void get_list(std::vector<T>& list) {
    const uint32_t count = in_.read<uint32_t>();
    if (count > in_.remaining()) malformed_ = true;  // an element takes at least a byte
    for (uint32_t i = 0; i < count && ok(); ++i) get(list.emplace_back());
  }

  ByteReader in_;
  bool malformed_ = false;
};

}  // namespace

std::string_view step_name(const StepBody& body) {
  constexpr std::string_view kNames[] = {
      "ConvInt8",    "MaxPoolInt8", "AveragePoolInt8", "Lookup",  "BinaryInt8", "Quantize",
      "Dequantize",  "Move",        "Unary",           "Binary",  "Where",      "MatMul",
      "ConvF32",     "PoolF32",     "Reduce",          "Softmax", "ArgReduce",  "Cast",
      "Interpolate", "Normalize",   "RemoveMean"};
  static_assert(std::size(kNames) == std::variant_size_v<StepBody>);
  return kNames[body.index()];
}

std::string_view to_string(Part part) { return part == Part::kDevice ? "device" : "host"; }

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kLogits: return "logits";
    case Role::kFsqDigits: return "fsq_digits";
    case Role::kFsqCode: return "fsq_code";
    case Role::kOther: break;
  }
  return "other";
}

StepBuffers step_buffers(const StepBody& body) {
  StepBuffers used;
  StepBody copy = body;
  std::visit(
      [&](auto& step) {
        const auto take = [&](auto& field) {
          if constexpr (std::is_same_v<std::decay_t<decltype(field)>, BufferId>) {
            if (&field == &step.y) {
              used.write = field;
            } else if (field.valid()) {
              used.reads.push_back(field);
            }
          }
        };
        std::apply([&](auto&... field) { (take(field), ...); }, fields(step));
      },
      copy);
  return used;
}

void for_each_buffer(StepBody& body, const std::function<void(BufferId&)>& visit) {
  const auto take = [&](auto& field) {
    if constexpr (std::is_same_v<std::decay_t<decltype(field)>, BufferId>) visit(field);
  };
  std::visit(
      [&](auto& step) { std::apply([&](auto&... field) { (take(field), ...); }, fields(step)); },
      body);
}

int64_t buffer_elements(const Buffer& buffer) { return element_count(buffer.shape).value_or(0); }

int64_t buffer_bytes(const Buffer& buffer) {
  return buffer_elements(buffer) * static_cast<int64_t>(element_size_bytes(buffer.dtype));
}

BufferId add_constant(Plan& plan, std::string name, const Tensor& tensor) {
  plan.constants.resize((plan.constants.size() + kAlignmentBytes - 1) / kAlignmentBytes *
                        kAlignmentBytes);
  Buffer buffer;
  buffer.name = std::move(name);
  buffer.dtype = tensor.dtype();
  buffer.shape = tensor.shape();
  buffer.place = Place::kConstant;
  buffer.offset = plan.constants.size();
  plan.constants.append(reinterpret_cast<const char*>(tensor.bytes()), tensor.size_bytes());
  plan.buffers.push_back(std::move(buffer));
  return BufferId(plan.buffers.size() - 1);
}

std::string format_plan(const Plan& plan) {
  Plan copy = plan;
  const std::string constants = std::exchange(copy.constants, std::string());
  Writer writer;
  writer.bytes().append(kMagic);
  writer.bytes().write(kPlanVersion);
  writer.put(copy);
  writer.bytes().write(static_cast<uint64_t>(constants.size()));
  writer.bytes().align(kAlignmentBytes);
  writer.bytes().append(constants);
  return writer.bytes().take();
}

Result<Plan> parse_plan(std::string_view bytes) {
  Reader reader(bytes);
  if (reader.bytes().take(kMagic.size()) != kMagic) {
    return corrupt("plan", "does not begin with " + std::string(kMagic) +
                               "; it is damaged or no plan: compile the bundle again");
  }
  const uint32_t version = reader.bytes().read<uint32_t>();
  if (reader.ok() && version != kPlanVersion) {
    return unsupported("plan", "has format version " + std::to_string(version) + ", expected " +
                                   std::to_string(kPlanVersion) +
                                   "; compile the bundle again with this graupel");
  }
  Plan plan;
  reader.get(plan);
  const uint64_t constant_bytes = reader.bytes().read<uint64_t>();
  while (reader.ok() && reader.bytes().offset() % kAlignmentBytes != 0) {
    if (reader.bytes().read<uint8_t>() != 0) return corrupt("plan", "has bytes in its padding");
  }
  if (!reader.ok() || !plan.constants.empty() || constant_bytes != reader.bytes().remaining()) {
    return corrupt("plan", "is damaged near byte " + std::to_string(reader.bytes().offset()) +
                               " of " + std::to_string(bytes.size()) +
                               "; compile the bundle again");
  }
  plan.constants = std::string(reader.bytes().take(constant_bytes));
  TRY(check_plan(plan));
  return plan;
}

}  // namespace graupel::run
