// The engine against the machine's limit and against its peers, as a table.
//
//   build/release/bench/engine_bench [--packages SITE_PACKAGES] [--rounds N] [--quick | --large]
//
// Idea: all contestants of a table take turns, a short sample each, many rounds; a ratio is the
// median of the ratios within a round, so that a machine that slows down slows all of them. One
// thread. Times are minima; limits are what a loop of independent multiply-add instructions reaches
// in the same run. SITE_PACKAGES is where the peers' Python wheels are unpacked (tools/bench).
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "compile/compile.h"
#include "kernels/dispatch.h"
#include "nets.h"
#include "onnx/onnx.h"
#include "peak.h"
#include "peers.h"
#include "run/engine.h"
#include "run/load.h"

namespace graupel::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string packages;
  int rounds = 60;
  bool quick = false;
  bool large = false;  // only
};

// ---- taking turns ----

struct Contestant {
  std::string name;
  std::string skipped;
  std::function<void()> run;
  int repeats = 1;
  std::vector<double> samples_us;  // per run, one per round
};

double sample_us(const Contestant& c) {
  const Clock::time_point before = Clock::now();
  for (int i = 0; i < c.repeats; ++i) c.run();
  return std::chrono::duration<double, std::micro>(Clock::now() - before).count() / c.repeats;
}

void take_turns(std::vector<Contestant>& all, int rounds) {
  for (Contestant& c : all) {
    if (!c.skipped.empty()) continue;
    for (int i = 0; i < 3; ++i) c.run();
    c.repeats = std::max(1, static_cast<int>(300.0 / std::max(0.1, sample_us(c))));
  }
  for (int round = 0; round < rounds; ++round) {
    for (Contestant& c : all) {
      if (c.skipped.empty()) c.samples_us.push_back(sample_us(c));
    }
  }
}

double minimum(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}
double quantile(std::vector<double> values, double fraction) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(fraction * static_cast<double>(values.size() - 1))];
}

std::vector<double> ratios(const Contestant& a, const Contestant& b) {
  std::vector<double> all;
  for (size_t i = 0; i < a.samples_us.size(); ++i) {
    all.push_back(a.samples_us[i] / b.samples_us[i]);
  }
  return all;
}

// The first contestant against every other; rows in microseconds per window.
void print_table(const std::string& title, const std::vector<Contestant>& all, double macs,
                 double windows) {
  std::printf("\n%s\n  %-26s %10s %10s %9s  %s\n", title.c_str(), "engine", "min us", "median us",
              "GMAC/s", "first / this (median, 10-90 %)");
  for (const Contestant& c : all) {
    if (!c.skipped.empty()) {
      std::printf("  %-26s skipped: %s\n", c.name.c_str(), c.skipped.c_str());
      continue;
    }
    const double least = minimum(c.samples_us) / windows;
    const std::vector<double> r = ratios(all[0], c);
    std::printf("  %-26s %10.2f %10.2f %9.1f  %.3f (%.3f-%.3f)\n", c.name.c_str(), least,
                quantile(c.samples_us, 0.5) / windows, macs / least / 1000.0, quantile(r, 0.5),
                quantile(r, 0.1), quantile(r, 0.9));
  }
}

// ---- contestants ----

double macs_of(const run::Plan& plan) {
  double total = 0.0;
  for (const run::Step& step : plan.steps) total += static_cast<double>(step.macs);
  return total;
}

// Multiply-adds of a step without the taps that fall on padding rows and columns.
double counting_macs(const run::Step& step) {
  const run::ConvInt8* conv = std::get_if<run::ConvInt8>(&step.body);
  if (conv == nullptr) return static_cast<double>(step.macs);
  const run::Window2d& w = conv->window;
  const auto taps = [](int out, int stride, int pad, int kernel, int dilation, int in) {
    double count = 0;
    for (int o = 0; o < out; ++o) {
      for (int k = 0; k < kernel; ++k) {
        const int at = o * stride - pad + k * dilation;
        count += at >= 0 && at < in ? 1 : 0;
      }
    }
    return count;
  };
  return taps(w.out_h, w.stride_h, w.pad_top, w.kernel_h, w.dilation_h, w.in_h) *
         taps(w.out_w, w.stride_w, w.pad_left, w.kernel_w, w.dilation_w, w.in_w) * w.channels /
         conv->groups * conv->out_channels;
}

Contestant ours(const run::Plan& plan, kernels::Isa isa, const std::vector<float>& windows,
                size_t count) {
  Contestant c{"graupel " + std::string(kernels::to_string(isa)), {}, {}, 1, {}};
  Result<run::Engine> engine = run::load_engine(plan, {isa});
  if (engine.ok()) engine = run::clone(*engine, std::min(count, run::usual_batch(*engine)), 1);
  if (!engine.ok()) {
    c.skipped = engine.error().message();
    return c;
  }
  auto shared = std::make_shared<run::Engine>(*std::move(engine));
  c.run = [shared, &windows, count] {
    const size_t size = windows.size() / count, batch = shared->batch;
    for (size_t i = 0; i < count; i += batch) {
      const size_t some = std::min(batch, count - i);
      static_cast<void>(
          run::run_batch(*shared, std::span(windows).subspan(i * size, some * size), some));
    }
  };
  return c;
}

Contestant of_peer(Peer peer) { return {peer.name, peer.skipped, std::move(peer.run), 1, {}}; }

std::string write_onnx(const Net& net) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("graupel_bench_" + net.name + "_" + std::to_string(net.input[0]) +
                             "_" + std::to_string(getpid()) + ".onnx"))
                               .string();
  return onnx::write_model(path, net.graph).ok() ? path : std::string();
}

PeerTask task_of(const Net& net, const std::vector<float>& input, int64_t outputs) {
  return {write_onnx(net), net.input, input, net.graph.value(net.graph.outputs[0]).name, outputs};
}

// How far a peer's logits are from ours, in steps of their INT8 scale.
void report_difference(const Peer& peer, const run::Engine& engine, float step) {
  if (peer.output.empty()) return;
  const Tensor logits = run::output_tensor(engine, 0);
  double most = 0.0, span = 0.0;
  size_t equal = 0;
  for (size_t i = 0; i < logits.size() && i < peer.output.size(); ++i) {
    const double steps = std::fabs(logits.data<float>()[i] - peer.output[i]) / step;
    most = std::max(most, steps);
    span = std::max(span, std::fabs(static_cast<double>(peer.output[i])) / step);
    equal += steps < 0.01 ? 1 : 0;
  }
  std::printf("  %s: %zu of %zu logits equal, largest difference %.0f steps of up to %.0f\n",
              peer.name.c_str(), equal, logits.size(), most, span);
}

// Every instruction set's answer against that of the plain loops.
void report_agreement(const run::Plan& plan, const std::vector<float>& window) {
  std::string expected;
  for (const kernels::Isa isa : kernels::supported_isas()) {
    Result<run::Engine> engine = run::load_engine(plan, {isa});
    if (!engine.ok() || !run::run(*engine, window).ok()) continue;
    const std::span<const std::byte> bytes = run::output_bytes(*engine, 0);
    const std::string answer(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (expected.empty()) expected = answer;
    std::printf("  %s: %s\n", std::string(kernels::to_string(isa)).c_str(),
                answer == expected ? "the same bytes" : "OTHER BYTES");
  }
}

run::Plan plan_of_net(const Net& net) {
  Result<run::Plan> plan = compile::compile_plan({}, net.graph, {});
  if (plan.ok()) return *std::move(plan);
  std::fprintf(stderr, "%s: %s\n", net.name.c_str(), plan.error().message().c_str());
  std::exit(1);
}

// ---- tables ----

// Minimum nanoseconds of each step; empty if the plan does not run.
std::vector<int64_t> step_minima_ns(const run::Plan& plan, const std::vector<float>& window,
                                    kernels::Isa isa, int runs) {
  Result<run::Engine> engine = run::load_engine(plan, {isa});
  if (!engine.ok()) return {};
  std::vector<int64_t> least(plan.steps.size(), std::numeric_limits<int64_t>::max());
  for (int i = 0; i < runs; ++i) {
    std::vector<int64_t> now(plan.steps.size(), 0);
    if (!run::run_timed(*engine, window, now).ok()) return {};
    for (size_t s = 0; s < now.size(); ++s) least[s] = std::min(least[s], now[s]);
  }
  return least;
}

// The roofline of each step: time, multiply-adds that count and their share of the peak on the set
// the dispatcher picks, and the time on every other set. A set that is more than 5 % (and more than
// the clock's own 25 ns) faster than the pick is warned about.
void print_steps(const run::Plan& plan, const std::vector<float>& window, double peak, int runs) {
  const std::vector<kernels::Isa> isas = kernels::supported_isas();
  const Result<kernels::Isa> chosen = kernels::choose_isa();
  const kernels::Isa pick = chosen.ok() ? *chosen : isas.back();
  std::vector<std::vector<int64_t>> least;
  for (const kernels::Isa isa : isas) {
    const bool slow = isa == kernels::Isa::kScalar && pick != isa;
    least.push_back(step_minima_ns(plan, window, isa, slow ? std::max(2, runs / 20) : runs));
    if (least.back().empty()) return;
  }
  std::printf("\n  steps; * is the dispatcher's pick (the clock between them costs about 25 ns)\n");
  std::printf("  %10s %9s %7s", "MACs", "GMAC/s", "% peak");
  for (const kernels::Isa isa : isas) {
    std::printf(" %10s", ((isa == pick ? "*" : "") + std::string(to_string(isa))).c_str());
  }
  std::printf("  us per set; step\n");
  const size_t own = static_cast<size_t>(std::find(isas.begin(), isas.end(), pick) - isas.begin());
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    const auto ns = static_cast<double>(least[own][s]);
    const std::string name =
        std::string(run::step_name(plan.steps[s].body)) + " " + plan.steps[s].node;
    const double macs = counting_macs(plan.steps[s]);
    std::printf("  %10.0f %9.1f %7.1f", macs, macs / ns, 100.0 * macs / ns / peak);
    for (const std::vector<int64_t>& set : least) {
      std::printf(" %10.2f", static_cast<double>(set[s]) / 1000.0);
    }
    std::printf("  %s\n", name.c_str());
    for (size_t i = 0; i < isas.size(); ++i) {
      const auto other = static_cast<double>(least[i][s]);
      if (other * 1.05 < ns && other + 25.0 < ns) {
        std::printf("  warning: %s is %.0f %% faster than the pick on %s\n",
                    std::string(to_string(isas[i])).c_str(), 100.0 * (ns / other - 1.0),
                    name.c_str());
      }
    }
  }
}

void example_table(Kernels kernels, int64_t batch, const Options& options, double peak) {
  const Net one = example(kernels, 1), many = example(kernels, batch);
  const run::Plan plan = plan_of_net(one);
  const std::vector<float> windows = random_window(many.input, 7);
  const auto count = static_cast<size_t>(batch);
  std::vector<Contestant> all;
  const std::vector<kernels::Isa> isas = kernels::supported_isas();
  for (auto isa = isas.rbegin(); isa != isas.rend(); ++isa) {
    if (*isa != kernels::Isa::kScalar) all.push_back(ours(plan, *isa, windows, count));
  }
  const PeerTask task = task_of(many, windows, 10);
  const Peer ort = onnx_runtime(task, options.packages);
  const Peer vino = open_vino(task, options.packages);
  all.push_back(of_peer(ort));
  all.push_back(of_peer(vino));
  all.push_back(
      of_peer(one_dnn(kernels == Kernels::kRows ? Example::kRows : Example::kSquares, batch)));
  take_turns(all, options.rounds);
  double counting = 0.0;
  for (const run::Step& step : plan.steps) counting += counting_macs(step);
  print_table(one.name + " int8, batch " + std::to_string(batch) + ", per window", all, counting,
              static_cast<double>(batch));
  std::printf(
      "  limit %.2f us: %.0f multiply-adds that count at %.1f GMAC/s; reached %.0f %%\n",
      counting / peak / 1000.0, counting, peak,
      100.0 * counting / peak / 1000.0 / (minimum(all[0].samples_us) / static_cast<double>(batch)));
  if (batch == 1) {
    Result<run::Engine> engine = run::load_engine(plan, {});
    if (engine.ok() && run::run(*engine, windows).ok()) {
      report_difference(ort, *engine, one.logit_scale);
      report_difference(vino, *engine, one.logit_scale);
    }
    print_steps(plan, windows, peak, 300);
  }
  std::filesystem::remove(task.model_path);
}

void large_table(const Net& net, const Options& options, double peak) {
  const run::Plan plan = plan_of_net(net);
  const std::vector<float> window = random_window(net.input, 9);
  std::vector<Contestant> all;
  const std::vector<kernels::Isa> isas = kernels::supported_isas();
  for (auto isa = isas.rbegin(); isa != isas.rend(); ++isa) {
    if (*isa != kernels::Isa::kScalar) all.push_back(ours(plan, *isa, window, 1));
  }
  const PeerTask task = task_of(net, window, 1000);
  const Peer ort = onnx_runtime(task, options.packages);
  const Peer vino = open_vino(task, options.packages);
  all.push_back(of_peer(ort));
  all.push_back(of_peer(vino));
  take_turns(all, std::max(5, options.rounds / 6));
  print_table(net.name + "-like 224x224 int8, batch 1", all, macs_of(plan), 1.0);
  Result<run::Engine> engine = run::load_engine(plan, {});
  if (engine.ok() && run::run(*engine, window).ok()) {
    report_difference(ort, *engine, net.logit_scale);
    report_difference(vino, *engine, net.logit_scale);
    std::printf("  limit %.2f ms; arena %.2f MB, lower bound %.2f MB, scratch %.2f MB\n",
                macs_of(plan) / peak / 1e6, static_cast<double>(plan.arena_size_bytes) / 1e6,
                static_cast<double>(plan.arena_lower_bound_bytes) / 1e6,
                static_cast<double>(run::scratch_size_bytes(*engine)) / 1e6);
  }
  report_agreement(plan, window);
  print_steps(plan, window, peak, 20);
  std::filesystem::remove(task.model_path);
}

int large_tables(const Options& options, double peak) {
  large_table(mobilenet_v2(), options, peak);
  large_table(resnet18(), options, peak);
  large_table(resnet50(), options, peak);
  return 0;
}

// From raw window to class, against the steps of the bare network inside it.
void whole_answer_table(const std::string& bundle, const Options& options, double peak) {
  Result<run::BundleEngine> loaded = run::load_bundle_engine(bundle);
  if (!loaded.ok()) {
    std::printf("\nwhole answer: skipped: %s\n", loaded.error().message().c_str());
    return;
  }
  run::Engine& engine = loaded->engine;
  const run::Plan& plan = run::plan_of(engine);
  const std::vector<float> window =
      random_window(plan.buffers[plan.inputs[0].buffer.index()].shape, 3);
  std::vector<Contestant> all(1);
  all[0].name = "whole answer";
  all[0].run = [&] { static_cast<void>(run::run(engine, window)); };
  take_turns(all, options.rounds);
  std::vector<int64_t> least(plan.steps.size(), std::numeric_limits<int64_t>::max());
  for (int i = 0; i < 500; ++i) {
    std::vector<int64_t> now(plan.steps.size(), 0);
    if (!run::run_timed(engine, window, now).ok()) return;
    for (size_t s = 0; s < now.size(); ++s) least[s] = std::min(least[s], now[s]);
  }
  double bare = 0.0;
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    const bool network = std::holds_alternative<run::ConvInt8>(plan.steps[s].body) ||
                         std::holds_alternative<run::AveragePoolInt8>(plan.steps[s].body) ||
                         std::holds_alternative<run::MatMul>(plan.steps[s].body);
    if (network) bare += static_cast<double>(least[s]) / 1000.0;
  }
  const double whole = minimum(all[0].samples_us);
  std::printf(
      "\nwhole answer of %s: %.2f us; convolutions, pools and matrices in it %.2f us;"
      " ratio %.2f\n",
      bundle.c_str(), whole, bare, whole / bare);
  print_steps(plan, window, peak, 300);
}

// A process of its own that only loads a bundle and answers one window.
int load_once(const std::string& bundle) {
  const Clock::time_point before = Clock::now();
  Result<run::BundleEngine> loaded = run::load_bundle_engine(bundle);
  if (!loaded.ok()) return 1;
  const run::Plan& plan = run::plan_of(loaded->engine);
  const std::vector<float> window =
      random_window(plan.buffers[plan.inputs[0].buffer.index()].shape, 3);
  if (!run::run(loaded->engine, window).ok()) return 1;
  const double ms = std::chrono::duration<double, std::milli>(Clock::now() - before).count();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("  %.2f ms from file to first answer, peak RSS %.1f MB\n", ms,
              static_cast<double>(usage.ru_maxrss) / 1024.0);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--packages" && i + 1 < argc) options.packages = argv[++i];
    if (flag == "--rounds" && i + 1 < argc) options.rounds = std::max(1, std::atoi(argv[++i]));
    if (flag == "--quick") options.quick = true;
    if (flag == "--large") options.large = true;
    if (flag == "--load" && i + 1 < argc) return load_once(argv[++i]);
  }
  const double peak = dot_peak_gmacs();
  std::printf("peak of one core: %.1f GMAC/s on bytes (%s), %.1f on AVX2 int16 pairs\n", peak,
              std::string(kernels::to_string(kernels::supported_isas().back())).c_str(),
              pair_peak_gmacs());
  if (options.large) return large_tables(options, peak);
  for (const Kernels kernels : {Kernels::kRows, Kernels::kSquares}) {
    example_table(kernels, 1, options, peak);
    example_table(kernels, 32, options, peak);
  }
  const std::string bundle = GRAUPEL_SOURCE_DIR "/build/demo/fsq.graupel";
  whole_answer_table(bundle, options, peak);
  std::printf("\nload %s\n", bundle.c_str());
  std::fflush(stdout);
  if (fork() == 0) {
    execl("/proc/self/exe", "engine_bench", "--load", bundle.c_str(), nullptr);
    _exit(1);
  }
  wait(nullptr);
  return options.quick ? 0 : large_tables(options, peak);
}

}  // namespace graupel::bench

int main(int argc, char** argv) { return graupel::bench::main(argc, argv); }
