// The vendor's compiler driven end to end against STAND-INS for `hailo` and `docker`: every
// scenario as a user meets it, through the command. The vendor's own tools never ran here.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

#include "bundle/bundle.h"
#include "data/npy.h"
#include "hailo/drive.h"
#include "tests/cli/command_runner.h"

namespace graupel::cli_test {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kSource = GRAUPEL_SOURCE_DIR;

class Dfc : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = make_folder();
    ASSERT_EQ(
        graupel({"synth", "-q", "-o", path("data"), "--windows", "96", "--subjects", "4"}).code, 0);
    ASSERT_EQ(graupel({"parse", "-q", kSource + "/models/fsq_imu_synthetic.onnx", "-o",
                       path("p.graupel")})
                  .code,
              0);
    ASSERT_EQ(
        graupel({"optimize", "-q", path("p.graupel"), "--calib", windows(), "--normalization",
                 kSource + "/models/fsq_imu_synthetic.normalization.json", "-o", path("m.graupel")})
            .code,
        0);
    fs::create_directories(path("bin"));
    fs::create_symlink(GRAUPEL_STANDIN_HAILO, path("bin/hailo"));
    fs::create_symlink(GRAUPEL_STANDIN_DOCKER, path("bin/docker"));
    fs::create_symlink(GRAUPEL_STANDIN_DOCKER, path("bin/podman"));
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }
  static std::string path(const std::string& name) { return (folder_ / name).string(); }
  static std::string windows() { return path("data/windows.npy"); }

  // A run of its own: output bundle and work folder by name.
  Finished compile(const std::string& name, const std::string& scenario,
                   std::vector<std::string> more = {}) {
    std::vector<std::string> words = {
        "compile", path("m.graupel"), "--target", "hailo8",
        "--calib", windows(),         "-o",       path(name + ".graupel")};
    words.insert(words.end(), more.begin(), more.end());
    return graupel(words, settings(scenario));
  }
  // Scenarios, each with what is said of it; all end with `code`, and write a bundle or none.
  void expect_each(const std::vector<std::pair<std::string, std::string>>& cases, int code,
                   bool written) {
    for (const auto& [scenario, text] : cases) {
      const std::string name = "each_" + scenario;
      const Finished run = compile(name, scenario);
      EXPECT_EQ(run.code, code) << scenario << run.err;
      EXPECT_THAT(run.err, HasSubstr(text)) << scenario;
      EXPECT_EQ(fs::exists(path(name + ".graupel")), written) << scenario;
    }
  }
  static std::vector<std::string> settings(const std::string& scenario) {
    return {"PATH=" + path("bin") + ":" + std::getenv("PATH"),
            "GRAUPEL_STANDIN_SCENARIO=" + scenario, "GRAUPEL_STANDIN_CALLS=" + path("calls"),
            "GRAUPEL_STANDIN_CONTAINERS=" + path("containers")};
  }
  static std::string calls() {
    std::ifstream file(path("calls"));
    std::string text((std::istreambuf_iterator<char>(file)), {});
    fs::remove(path("calls"));
    return text;
  }
  static bool no_container_left() {
    return !fs::exists(path("containers")) || fs::is_empty(path("containers"));
  }
  void SetUp() override { fs::remove(path("calls")); }

  static fs::path folder_;
};
fs::path Dfc::folder_;

TEST_F(Dfc, SuccessPutsTheHefIntoTheBundle) {
  const Finished run = compile("ok", "success");
  EXPECT_EQ(run.code, 0) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("contexts  1"));
  EXPECT_THAT(run.out, HasSubstr("31.25 dB"));
  EXPECT_THAT(run.out, HasSubstr("control 75%, compute 62.9%"));
  const Result<bundle::Bundle> bundle = bundle::read_bundle(path("ok.graupel"));
  ASSERT_TRUE(bundle.ok());
  EXPECT_TRUE(bundle->members.contains("model.hef"));
  EXPECT_THAT(bundle->members.at("reports/hef.json"), HasSubstr("\"hef_size\""));
  EXPECT_EQ(bundle->manifest.provenance["hef"]["target"], "hailo8");
  EXPECT_THAT(bundle->manifest.provenance["hef"]["log_compiler"].get<std::string>(),
              HasSubstr("STAND-IN"));
  const Result<Tensor> array = data::read_npy(path("ok.graupel.dfc/calibration.npy"));
  ASSERT_TRUE(array.ok());
  EXPECT_EQ(array->shape(), (Shape{96, 2, 100, 9}));
}

// What comes back is held against the bundle. What is not its device part stays out of it.
TEST_F(Dfc, AHefThatIsNotTheDevicePartStaysOut) {
  expect_each({{"placeholder", "is text, a placeholder"},
               {"more_outputs", "output_mismatch"},
               {"turned", "input_shape"},
               {"other_arch", "is a HEF for hailo8l"}},
              2, false);
}

TEST_F(Dfc, WhatElseSpeaksAgainstAHefIsSaidAndItGoesIn) {
  expect_each({{"other_end", "output_node"},
               {"slow", "missed: hef_fps, hef_latency"},
               {"large", "missed: hef_size"}},
              1, true);
  EXPECT_EQ(compile("slow_ok", "slow", {"--bar", "hef_fps=1", "--bar", "hef_latency=1000"}).code,
            0);
}

TEST_F(Dfc, AHefForHailo8L) {
  const Finished run = graupel({"compile", path("m.graupel"), "--target", "hailo8l", "--calib",
                                windows(), "-o", path("l.graupel")},
                               settings("success"));
  EXPECT_EQ(run.code, 0) << run.out << run.err;
  EXPECT_EQ(bundle::read_bundle(path("l.graupel"))->manifest.provenance["hef"]["target"],
            "hailo8l");
}

TEST_F(Dfc, StagesWhoseInputsDidNotChangeAreKept) {
  ASSERT_EQ(compile("again", "success").code, 0);
  EXPECT_EQ(calls(), "parser\noptimize\ncompiler\n");
  const Finished second = compile("again", "success");
  EXPECT_EQ(second.code, 0);
  EXPECT_EQ(calls(), "");
  EXPECT_THAT(second.out, HasSubstr("31.25 dB"));
  EXPECT_EQ(compile("again", "success", {"--effort", "max"}).code, 0);
  EXPECT_EQ(calls(), "optimize\n");
  EXPECT_EQ(compile("again", "success", {"--effort", "max", "--fresh"}).code, 0);
  EXPECT_EQ(calls(), "parser\noptimize\ncompiler\n");
  fs::remove(path("again.graupel.dfc/fsq_imu_synthetic.har"));
  EXPECT_EQ(compile("again", "success", {"--effort", "max"}).code, 0);
  EXPECT_EQ(calls(), "parser\n");
}

TEST_F(Dfc, ADowngradeIsAFindingAlsoWhenKept) {
  for (int i = 0; i < 2; ++i) {
    const Finished run = compile("low", "downgrade");
    EXPECT_EQ(run.code, 1);
    EXPECT_THAT(run.err, HasSubstr("silent-downgrade"));
  }
}

TEST_F(Dfc, FailuresNameCauseAndRemedy) {
  expect_each({{"recommendation", "recommends another cut: /fsq/Sub"},
               {"infeasible", "conv5 could not be placed: Agent infeasible"},
               {"crash", "crashed with signal 11"},
               {"memory", "ran out of memory"},
               {"silent", "ended well but made no fsq_imu_synthetic.hef"}},
              2, false);
}

// An earlier cut changes the host part, the scales and the plan: all of them are made again.
TEST_F(Dfc, ARecommendedCutIsTakenWhenAccepted) {
  const std::string earlier = "/project/Gemm";
  std::vector<std::string> words = {"compile", path("c.graupel"), "--target", "hailo8",
                                    "--calib", windows(),         "-o",       path("rec.graupel")};
  ASSERT_EQ(graupel({"compile", "-q", path("m.graupel"), "-o", path("c.graupel")}).code, 0);
  std::vector<std::string> environment = settings("recommendation");
  environment.push_back("GRAUPEL_STANDIN_RECOMMENDS=" + earlier);
  const Finished refused = graupel(words, environment);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--accept-recommendation"));
  calls();
  words.push_back("--accept-recommendation");
  const Finished run = graupel(words, environment);
  EXPECT_EQ(run.code, 0) << run.out << run.err;
  EXPECT_THAT(run.err, HasSubstr("cut-accepted"));
  EXPECT_EQ(calls(), "parser\nparser\noptimize\ncompiler\n");
  const Result<bundle::Bundle> bundle = bundle::read_bundle(path("rec.graupel"));
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ(bundle->manifest.provenance["recut"]["end_nodes"][0], earlier);
  EXPECT_TRUE(bundle->members.contains("model.hef"));
  // The new bundle answers as the old one does where INT8 allows, and every bar about it holds.
  const Finished validated =
      graupel({"validate", path("rec.graupel"), "--model",
               kSource + "/models/fsq_imu_synthetic.onnx", "--windows", windows()});
  EXPECT_THAT(validated.out, HasSubstr("whole vs halves, differing outputs"));
  EXPECT_THAT(validated.err, Not(HasSubstr("recombined_mismatches")));
  EXPECT_THAT(validated.err, Not(HasSubstr("plan_mismatches")));
  const Finished answered = graupel({"run", path("rec.graupel"), windows(), "-q"});
  EXPECT_EQ(answered.code, 0) << answered.err;
}

TEST_F(Dfc, RandomCalibrationOnlyInSoManyWords) {
  const Finished none =
      graupel({"compile", path("m.graupel"), "--target", "hailo8", "-o", path("r.graupel")},
              settings("success"));
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("--random-calib"));
  const Finished random = graupel({"compile", path("m.graupel"), "--target", "hailo8",
                                   "--random-calib", "-o", path("r.graupel")},
                                  settings("success"));
  EXPECT_EQ(random.code, 1) << random.err;
  EXPECT_THAT(random.err, HasSubstr("random-calibration"));
  // Random windows lie in [0, 1]: the HEF would clip every negative value.
  EXPECT_THAT(random.err, HasSubstr("input_clips_negatives"));
}

TEST_F(Dfc, InventedFlagsAndBadScriptsAreRefusedBeforeAnythingRuns) {
  EXPECT_THAT(compile("x", "success", {"--compiler-arg=--batch-size"}).err,
              HasSubstr("in no release"));
  std::ofstream(path("bad.alls")) << "\nquantisation_param(conv1, precision_mode=a8_w8)\n";
  EXPECT_THAT(compile("x", "success", {"--script", path("bad.alls")}).err,
              HasSubstr("write quantization_param"));
  std::ofstream(path("norm.alls")) << "n = normalization([0.0], [1.0])\n";
  EXPECT_THAT(compile("x", "success", {"--script", path("norm.alls")}).err,
              HasSubstr("normalised already"));
  for (const char* minutes : {"-1", "9223372036854775807"}) {
    const Finished refused = compile("x", "success", {"--stage-timeout", minutes});
    EXPECT_EQ(refused.code, 2) << minutes;
    EXPECT_THAT(refused.err, HasSubstr("--stage-timeout")) << minutes;
  }
  EXPECT_EQ(calls(), "");
}

TEST_F(Dfc, WithoutACompilerTheTwoWaysOutAreNamed) {
  const Finished run =
      graupel({"compile", path("m.graupel"), "--target", "hailo8", "-o", path("n.graupel")},
              {"PATH=/nowhere"});
  EXPECT_EQ(run.code, 3);
  EXPECT_THAT(run.err, HasSubstr("--dfc docker:"));
  EXPECT_THAT(run.err, HasSubstr("--kit DIR"));
}

TEST_F(Dfc, TheContainerWay) {
  for (const std::string engine : {"docker", "podman"}) {
    const Finished run = compile("c_" + engine, "success", {"--dfc", engine + ":standin_suite:1"});
    EXPECT_EQ(run.code, 0) << run.out << run.err;
    EXPECT_TRUE(no_container_left());
  }
  EXPECT_EQ(compile("c_bad", "infeasible", {"--dfc", "docker:standin_suite:1"}).code, 2);
  EXPECT_TRUE(no_container_left());
  const Finished missing = compile("c_no", "success", {"--dfc", "docker:other:1"});
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.err, HasSubstr("docker load"));
}

// Starts a run that hangs, sends it a signal once the compiler works, and waits for its end.
TEST_F(Dfc, AnInterruptEndsTheCompilerAndRemovesTheContainer) {
  const std::string container = "docker:standin_suite:1";
  for (const auto& [dfc, signal] : {std::pair(path("bin/hailo"), SIGINT),
                                    std::pair(container, SIGINT), std::pair(container, SIGTERM)}) {
    Finished run;
    const std::string& compiler = dfc;
    std::thread runner([&] { run = compile("hang", "hang", {"--dfc", compiler, "--fresh"}); });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!fs::exists(path("calls")) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    // The command is this process's only child.
    std::ifstream children("/proc/self/task/" + std::to_string(getpid()) + "/children");
    pid_t child = 0;
    for (const auto& task : fs::directory_iterator("/proc/self/task")) {
      std::ifstream list(task.path() / "children");
      pid_t found = 0;
      if (list >> found) child = found;
    }
    if (child > 0) ::kill(child, signal);
    runner.join();
    EXPECT_GT(child, 0);
    EXPECT_EQ(run.code, 2) << run.err;
    EXPECT_THAT(run.err, HasSubstr("interrupted"));
    EXPECT_TRUE(no_container_left());
    calls();
  }
}

TEST_F(Dfc, AKitCompilesElsewhereAndItsHefComesHome) {
  const Finished kit = compile("kit", "success", {"--kit", path("kit")});
  ASSERT_EQ(kit.code, 0) << kit.err;
  EXPECT_EQ(calls(), "");
  for (const std::string& script :
       {std::string("run_local.sh"), std::string("run_container.sh standin_suite:1")}) {
    fs::remove(path("kit/fsq_imu_synthetic.hef"));
    std::string line = "cd / && ";
    for (const std::string& setting : settings("success")) line += "export '" + setting + "' && ";
    ASSERT_EQ(std::system((line + "sh " + path("kit/") + script + " >/dev/null").c_str()), 0);
    EXPECT_TRUE(no_container_left());
    const Finished home = graupel({"compile", path("m.graupel"), "--hef",
                                   path("kit/fsq_imu_synthetic.hef"), "-o", path("home.graupel")});
    EXPECT_EQ(home.code, 0) << home.err;
  }
  const Finished wrong =
      graupel({"compile", path("m.graupel"), "--hef", path("kit/fsq_imu_synthetic.hef"), "--target",
               "hailo8l", "-o", path("home.graupel")});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("is a HEF for hailo8"));
  std::ofstream(path("text.hef")) << "DUMMY_HEF_CONTENT";
  const Finished text = graupel(
      {"compile", path("m.graupel"), "--hef", path("text.hef"), "-o", path("home.graupel")});
  EXPECT_THAT(text.err, HasSubstr("placeholder"));
}

}  // namespace
}  // namespace graupel::cli_test
