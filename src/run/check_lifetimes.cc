// That every step of a plan reads what an earlier one wrote. See check_plan.cc.
//
// Idea: walk the steps with the arena as a map of stretches of bytes. Writing a buffer takes what
// it overlaps off the map; reading one needs a stretch of exactly its bytes, of its type, written
// as a whole. So two buffers that live at the same time cannot share memory (an offset that is
// wrong would give wrong answers, and other ones after another window), while names for the same
// bytes may. A Move may fill its output in several steps, so its elements are counted. Test:
// check_plan_test.cc (such plans answer a window the same after any other).
#include <map>

#include "run/check_scope.h"
#include "run/plan.h"

namespace graupel::run {
namespace {

struct Stretch {
  uint64_t end = 0;
  DType dtype = DType::kFloat32;
  BufferId writer;
  int64_t elements = 0;  // written so far
};

class Arena {
 public:
  explicit Arena(const Plan& plan) : plan_(plan) {}

  void write(BufferId id, int64_t elements) {
    const Buffer& buffer = plan_.buffers[id.index()];
    const Stretch fresh{buffer.offset + static_cast<uint64_t>(buffer_bytes(buffer)), buffer.dtype,
                        id, 0};
    auto at = stretches_.find(buffer.offset);
    if (at == stretches_.end() || at->second.end != fresh.end || at->second.writer != id) {
      clear(buffer.offset, fresh.end);
      at = stretches_.insert_or_assign(buffer.offset, fresh).first;
    }
    at->second.elements = std::min(at->second.elements + elements, buffer_elements(buffer));
  }

  Result<void> read(BufferId id) const {
    const Buffer& buffer = plan_.buffers[id.index()];
    if (buffer.place == Place::kConstant) return ok();
    const auto at = stretches_.find(buffer.offset);
    const uint64_t end = buffer.offset + static_cast<uint64_t>(buffer_bytes(buffer));
    if (at != stretches_.end() && at->second.end == end && at->second.dtype == buffer.dtype &&
        at->second.elements == buffer_elements(buffer)) {
      return ok();
    }
    return bad("reads buffer '" + buffer.name + "', which does not hold what a step wrote");
  }

 private:
  void clear(uint64_t begin, uint64_t end) {
    auto at = stretches_.lower_bound(begin);
    if (at != stretches_.begin() && std::prev(at)->second.end > begin) --at;
    while (at != stretches_.end() && at->first < end) at = stretches_.erase(at);
  }

  const Plan& plan_;
  std::map<uint64_t, Stretch> stretches_;  // by first byte; they do not overlap
};

int64_t written_elements(const Plan& plan, const StepBody& body, BufferId y) {
  const Move* move = std::get_if<Move>(&body);
  if (move == nullptr) return buffer_elements(plan.buffers[y.index()]);
  const std::span<const int32_t> table = constant_data<int32_t>(plan, move->table);
  if (move->kind == MoveTable::kIndices) return static_cast<int64_t>(table.size());
  int64_t elements = 0;
  for (size_t i = 2; i < table.size(); i += 3) elements += table[i];
  return elements;
}

}  // namespace

Result<void> check_lifetimes(const Plan& plan) {
  Arena arena(plan);
  for (const Port& port : plan.inputs) {
    arena.write(port.buffer, buffer_elements(plan.buffers[port.buffer.index()]));
  }
  for (const Port& port : plan.inputs) {
    Result<void> kept = arena.read(port.buffer);
    if (!kept.ok()) return corrupt("plan: input " + port.name, "shares memory with another input");
  }
  for (const Step& step : plan.steps) {
    const StepBuffers used = step_buffers(step.body);
    for (const BufferId id : used.reads) {
      Result<void> read = arena.read(id);
      if (!read.ok()) return std::move(read).error().within(step_place(step));
    }
    arena.write(used.write, written_elements(plan, step.body, used.write));
  }
  for (const Port& port : plan.outputs) {
    Result<void> read = arena.read(port.buffer);
    if (!read.ok()) return std::move(read).error().within("plan: output " + port.name);
  }
  return ok();
}

}  // namespace graupel::run
