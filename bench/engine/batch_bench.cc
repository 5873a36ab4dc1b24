// Batches and threads of the engine, the measurements behind its rules (run/engine.cc):
//
//   build/release/bench/batch_bench [--rounds N] [--large]
//
// Idea: batches of one network take turns, a short sample each; a ratio is the median of the ratios
// to batch 1 within a round. Then what handing work to a crew costs by itself, and the large
// networks with one thread and with two.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "compile/compile.h"
#include "nets.h"
#include "run/crew.h"
#include "run/engine.h"

namespace graupel::bench {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point before) {
  return std::chrono::duration<double, std::micro>(Clock::now() - before).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Way {
  size_t batch = 1;
  size_t threads = 1;
  std::vector<double> samples_us;  // per window, one per round
};

// All ways through the same windows in turn; prints each against the first.
void compare(const Net& net, std::vector<Way> ways, size_t windows, int rounds) {
  Result<run::Plan> plan = compile::compile_plan({}, net.graph, {});
  if (!plan.ok()) {
    std::printf("%s: %s\n", net.name.c_str(), plan.error().message().c_str());
    return;
  }
  Result<run::Engine> first = run::load_engine(*std::move(plan), {});
  if (!first.ok()) return;
  std::vector<run::Engine> engines;
  for (const Way& way : ways) {
    Result<run::Engine> engine = run::clone(*first, way.batch, way.threads);
    if (!engine.ok()) return;
    engines.push_back(*std::move(engine));
  }
  Shape shape = net.input;
  shape[0] = static_cast<int64_t>(windows);
  const std::vector<float> values = random_window(shape, 5);
  const std::span<const float> all = values;
  const size_t size = values.size() / windows;
  for (int round = -1; round < rounds; ++round) {
    for (size_t i = 0; i < ways.size(); ++i) {
      const Clock::time_point before = Clock::now();
      for (size_t at = 0; at < windows; at += ways[i].batch) {
        const size_t some = std::min(ways[i].batch, windows - at);
        static_cast<void>(run::run_batch(engines[i], all.subspan(at * size, some * size), some));
      }
      const double us = microseconds_since(before) / static_cast<double>(windows);
      if (round >= 0) ways[i].samples_us.push_back(us);
    }
  }
  std::printf("%s, %zu KB a window, usual batch %zu\n", net.name.c_str(),
              (run::plan_of(*first).arena_size_bytes + run::scratch_size_bytes(*first)) / 1024,
              run::usual_batch(*first));
  for (const Way& way : ways) {
    std::vector<double> ratios;
    for (size_t i = 0; i < way.samples_us.size(); ++i) {
      ratios.push_back(way.samples_us[i] / ways[0].samples_us[i]);
    }
    std::printf("  batch %2zu, threads %zu: %10.2f us a window at least, %.3f of the first\n",
                way.batch, way.threads,
                *std::min_element(way.samples_us.begin(), way.samples_us.end()), median(ratios));
  }
}

// What a call of a crew of two costs when its member is still spinning, and when it sleeps.
void print_crew() {
  Result<std::shared_ptr<run::Crew>> crew = run::Crew::create(2);
  if (!crew.ok()) return;
  for (const int pause_us : {0, 5, 20, 200}) {
    std::vector<double> samples;
    for (int i = 0; i < 2000; ++i) {
      const Clock::time_point start = Clock::now();
      while (microseconds_since(start) < pause_us) {
      }
      const Clock::time_point before = Clock::now();
      (*crew)->run([](size_t) {});
      samples.push_back(microseconds_since(before));
    }
    const double least = *std::min_element(samples.begin(), samples.end());
    std::printf(
        "an empty call of a crew of two, %3d us after the last: %.2f us at least, %.2f median\n",
        pause_us, least, median(samples));
  }
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 40;
  bool large = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--rounds" && i + 1 < argc) rounds = std::max(1, std::atoi(argv[++i]));
    if (flag == "--large") large = true;
  }
  const std::vector<Way> batches = {{1, 1, {}}, {2, 1, {}},  {4, 1, {}},
                                    {8, 1, {}}, {16, 1, {}}, {32, 1, {}}};
  compare(example(Kernels::kRows, 1), batches, 32, rounds * 5);
  compare(example(Kernels::kSquares, 1), batches, 32, rounds * 5);
  print_crew();
  if (!large) return 0;
  const std::vector<Way> few = {{1, 1, {}}, {2, 1, {}}, {4, 1, {}}, {1, 2, {}}};
  for (const Net& net : {mobilenet_v2(), resnet18(), resnet50()}) compare(net, few, 4, rounds / 4);
  return 0;
}

}  // namespace graupel::bench

int main(int argc, char** argv) { return graupel::bench::main(argc, argv); }
