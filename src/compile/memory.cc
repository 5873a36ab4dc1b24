// Placing buffers in the arena.
//
// Idea: a buffer lives from the step that first writes it to the last that reads it (inputs from
// the start, outputs to the end). Buffers are placed from the largest to the smallest, each into
// the smallest gap that is free over its whole life. The lower bound is the largest sum of
// lives at one step; no placement can do better.
// Reference: greedy by size, Pisarchyk and Lee 2020 (arXiv 2001.03288). Test: compile_test.cc
// (arena against the bound).
#include <algorithm>
#include <limits>

#include "compile/lowering.h"

namespace graupel::compile {
namespace {

struct Life {
  size_t root = 0;
  int64_t first = std::numeric_limits<int64_t>::max();
  int64_t last = -1;
  uint64_t size_bytes = 0;
  uint64_t offset = 0;
};

std::vector<Life> lives_of(const run::Plan& plan, const std::vector<BufferId>& roots) {
  std::vector<Life> lives(plan.buffers.size());
  const auto touch = [&](BufferId id, int64_t at) {
    Life& life = lives[roots[id.index()].index()];
    life.first = std::min(life.first, at);
    life.last = std::max(life.last, at);
  };
  const auto end = static_cast<int64_t>(plan.steps.size());
  for (const run::Port& port : plan.inputs) touch(port.buffer, -1);
  for (int64_t i = 0; i < end; ++i) {
    const run::StepBuffers used = run::step_buffers(plan.steps[static_cast<size_t>(i)].body);
    touch(used.write, i);
    for (const BufferId id : used.reads) touch(id, i);
  }
  for (const run::Port& port : plan.outputs) touch(port.buffer, end);
  for (size_t i = 0; i < lives.size(); ++i) {
    const auto size = static_cast<uint64_t>(run::buffer_bytes(plan.buffers[i]));
    lives[i].root = i;
    lives[i].size_bytes =
        (size + run::kAlignmentBytes - 1) / run::kAlignmentBytes * run::kAlignmentBytes;
  }
  std::erase_if(lives, [&](const Life& life) {
    return plan.buffers[life.root].place != run::Place::kArena ||
           roots[life.root].index() != life.root || life.last < life.first;
  });
  return lives;
}

uint64_t lower_bound(const std::vector<Life>& lives, int64_t steps) {
  std::vector<uint64_t> change(static_cast<size_t>(steps) + 3, 0);  // wraps around zero, sums up
  for (const Life& life : lives) {
    change[static_cast<size_t>(life.first + 1)] += life.size_bytes;
    change[static_cast<size_t>(life.last + 2)] -= life.size_bytes;
  }
  uint64_t now = 0, most = 0;
  for (const uint64_t delta : change) {
    now += delta;
    most = std::max(most, now);
  }
  return most;
}

// The start of the smallest gap between `busy` (sorted by offset) that holds `size`.
uint64_t best_gap(const std::vector<const Life*>& busy, uint64_t size) {
  uint64_t cursor = 0, best = 0, best_gap = std::numeric_limits<uint64_t>::max();
  for (const Life* life : busy) {
    if (life->offset >= cursor + size && life->offset - cursor < best_gap) {
      best = cursor;
      best_gap = life->offset - cursor;
    }
    cursor = std::max(cursor, life->offset + life->size_bytes);
  }
  return best_gap == std::numeric_limits<uint64_t>::max() ? cursor : best;
}

}  // namespace

Result<void> place_buffers(run::Plan& plan, const std::vector<BufferId>& roots) {
  std::vector<Life> lives = lives_of(plan, roots);
  plan.arena_lower_bound_bytes = lower_bound(lives, static_cast<int64_t>(plan.steps.size()));
  std::stable_sort(lives.begin(), lives.end(),
                   [](const Life& a, const Life& b) { return a.size_bytes > b.size_bytes; });
  plan.arena_size_bytes = 0;
  for (size_t i = 0; i < lives.size(); ++i) {
    std::vector<const Life*> busy;
    for (size_t j = 0; j < i; ++j) {
      if (lives[j].first <= lives[i].last && lives[i].first <= lives[j].last) {
        busy.push_back(&lives[j]);
      }
    }
    std::sort(busy.begin(), busy.end(),
              [](const Life* a, const Life* b) { return a->offset < b->offset; });
    lives[i].offset = best_gap(busy, lives[i].size_bytes);
    plan.buffers[lives[i].root].offset = lives[i].offset;
    plan.arena_size_bytes = std::max(plan.arena_size_bytes, lives[i].offset + lives[i].size_bytes);
  }
  if (plan.arena_size_bytes > run::kMaxArenaBytes) {
    return unsupported("plan", "needs " + std::to_string(plan.arena_size_bytes) +
                                   " bytes of activations, more than the engine takes");
  }
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    run::Buffer& buffer = plan.buffers[i];
    if (buffer.place == run::Place::kArena) {
      buffer.offset = plan.buffers[roots[i].index()].offset;
    }
  }
  return ok();
}

}  // namespace graupel::compile
