// parallel_for: the same loop on every core of the machine, in no particular order.
// The body must not throw. Results that each index owns are the same for any thread count.
// Test: base_test.cc.
#pragma once

#include <cstddef>
#include <functional>

namespace graupel {

// Cores this process may use (the affinity mask counts), at least 1.
size_t available_cores();

// Calls body(index, worker) for every index in [0, count); worker is in [0, threads).
// threads = 0 uses available_cores().
void parallel_for(size_t count, const std::function<void(size_t index, size_t worker)>& body,
                  size_t threads = 0);

}  // namespace graupel
