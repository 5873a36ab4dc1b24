// graupel train from outside: a run, its files, a run killed with SIGKILL and resumed, refusals,
// and the one line where libtorch is missing. Skips what needs libtorch where the build has none.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/cli/command_runner.h"

namespace graupel::cli_test {
namespace {

using testing::HasSubstr;

const std::string kSource = GRAUPEL_SOURCE_DIR;

class Train : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = make_folder();
    synth("train", "96", "0");
    synth("validation", "48", "50");
    fs::copy_file(path("w/train/class_names.txt"), path("w/class_names.txt"));
    fs::copy_file(kSource + "/models/fsq_imu_synthetic.normalization.json",
                  path("w/normalization.json"));
    ASSERT_TRUE(write_file_atomic(path("t.toml"),
                                  "[network]\nhidden = 8\n[[network.layer]]\nchannels = 8\n"
                                  "kernel = [1, 5]\nstride = [1, 2]\n[[network.layer]]\n"
                                  "channels = 12\nkernel = [2, 3]\nstride = [1, 2]\n"
                                  "[fsq]\nlevels = [5, 4, 4]\n"
                                  "[optimization]\nepochs = 5\nbatch = 16\n")
                    .ok());
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static void synth(const std::string& split, const char* windows, const char* first) {
    ASSERT_EQ(graupel({"synth", "-q", "-o", path("w/" + split), "--windows", windows, "--subjects",
                       "4", "--first-subject", first})
                  .code,
              0);
  }
  static std::string path(const std::string& name) { return (folder_ / name).string(); }
  static bool has_libtorch() {
    return fs::exists(fs::path(GRAUPEL_COMMAND).parent_path() / "graupel_libtorch.so");
  }
  static std::vector<std::string> arguments(const std::string& output) {
    return {"train", path("w"), "-o", path(output), "--config", path("t.toml")};
  }
  static std::string bytes(const std::string& name) {
    const Result<std::string> content = read_file(path(name));
    return content.ok() ? *content : content.error().message();
  }

  static fs::path folder_;
};
fs::path Train::folder_;

TEST_F(Train, WritesWhatDeployTakes) {
  if (!has_libtorch()) GTEST_SKIP() << "built without libtorch";
  std::vector<std::string> words = arguments("m");
  words.insert(words.end(), {"--json", "--opset", "13"});
  const Finished trained = graupel(words);
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Json json = document(trained);
  EXPECT_EQ(json["epochs"], 5);
  EXPECT_EQ(json["train_windows"], 96);
  EXPECT_LT(json["export"]["largest_difference"], 1e-5);
  EXPECT_GE(json["validation"]["accuracy_percent"], 0.0);
  EXPECT_GE(json["fsq"]["codes"], 1);
  EXPECT_THAT(bytes("m/log.csv"), HasSubstr("epoch,learning_rate,train_loss"));
  const Finished inspected = graupel({"inspect", "--json", path("m/model.onnx")});
  EXPECT_THAT(inspected.out, HasSubstr("behavior_logits"));
  const Finished deployed = graupel({"deploy",
                                     path("m/model.onnx"),
                                     "--normalization",
                                     path("m/normalization.json"),
                                     "--calib",
                                     path("w/train/windows.npy"),
                                     "--class-names",
                                     path("m/class_names.txt"),
                                     "--bar",
                                     "latency_p95=1e6",
                                     "--bar",
                                     "core_latency_p95=1e6",
                                     "--bar",
                                     "throughput=0.01",
                                     "--bar",
                                     "argmax_agreement=0",
                                     "--bar",
                                     "code_flips=100",
                                     "-o",
                                     path("m/m.graupel"),
                                     "--json"});
  EXPECT_TRUE(deployed.code == 0 || deployed.code == 1) << deployed.err;
  EXPECT_THAT(deployed.out, HasSubstr("lucidrains-2024"));

  // What deploy found is what refinement takes.
  ASSERT_TRUE(write_file_atomic(path("scales.json"), deployed.out).ok());
  words = arguments("refined");
  words.insert(words.end(),
               {"--initial", path("m"), "--scales", path("scales.json"), "--epochs", "1"});
  const Finished refined = graupel(words);
  EXPECT_EQ(refined.code, 0) << refined.err;
  EXPECT_NE(bytes("refined/model.onnx"), bytes("m/model.onnx"));

  // Scales of another network are not taken for this one's.
  ASSERT_TRUE(write_file_atomic(path("scales.json"),
                                R"({"tensors": {"x": {"type": "int8", "scale": 1,
                                    "zero_point": 0}}})")
                  .ok());
  const Finished other = graupel(words);
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, HasSubstr("names no tensor of this network"));
}

TEST_F(Train, ScalesGoIntoRefinementAndComeBackUnchanged) {
  if (!has_libtorch()) GTEST_SKIP() << "built without libtorch";
  ASSERT_EQ(graupel(arguments("plain")).code, 0);
  const auto optimize = [](const std::string& model, std::vector<std::string> more) {
    const std::string parsed = path("scales.graupel");
    ASSERT_EQ(graupel({"parse", "-q", path(model), "-o", parsed}).code, 0);
    std::vector<std::string> words = {"optimize",
                                      "-q",
                                      parsed,
                                      "-o",
                                      parsed,
                                      "--normalization",
                                      path("w/normalization.json"),
                                      "--calib",
                                      path("w/train/windows.npy"),
                                      "--no-equalization"};
    words.insert(words.end(), more.begin(), more.end());
    const Finished finished = graupel(words);
    ASSERT_TRUE(finished.code == 0 || finished.code == 1) << finished.err;
  };
  optimize("plain/model.onnx", {"--export-scales", path("there.json")});
  EXPECT_THAT(bytes("there.json"), HasSubstr("int16"));  // in front of the tanh
  std::vector<std::string> words = arguments("rounded");
  words.insert(words.end(),
               {"--initial", path("plain"), "--scales", path("there.json"), "--epochs", "1"});
  const Finished refined = graupel(words);
  ASSERT_EQ(refined.code, 0) << refined.err;
  optimize("rounded/model.onnx",
           {"--scales", path("there.json"), "--export-scales", path("back.json")});
  EXPECT_EQ(bytes("back.json"), bytes("there.json"));
}

TEST_F(Train, ARunKilledAtAnyMomentGoesOnToTheSameModel) {
  if (!has_libtorch()) GTEST_SKIP() << "built without libtorch";
  ASSERT_EQ(graupel(arguments("whole")).code, 0);
  std::vector<std::string> words = arguments("killed");
  words.insert(words.begin(), GRAUPEL_COMMAND);
  words.push_back("-q");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  ASSERT_EQ(posix_spawn(&child, GRAUPEL_COMMAND, nullptr, nullptr, argv.data(), environ), 0);
  // As soon as one epoch is on disk, wherever the run is by then.
  int status = 0;
  bool running = true;
  while (running && !fs::exists(path("killed/checkpoint.pt"))) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    running = waitpid(child, &status, WNOHANG) == 0;
  }
  ASSERT_TRUE(running) << "ended with " << status << " before its first checkpoint";
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(fs::exists(path("killed/model.onnx")));

  words = arguments("killed");
  words.push_back("--resume");
  const Finished resumed = graupel(words);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, Not(HasSubstr("epoch   1/5")));
  EXPECT_EQ(bytes("killed/model.onnx"), bytes("whole/model.onnx"));
  EXPECT_EQ(bytes("killed/log.csv"), bytes("whole/log.csv"));
}

TEST_F(Train, WithoutLibtorchOneLineNamesThePackage) {
  // The command alone in a folder: no module beside it.
  const std::string alone = path("alone/graupel");
  fs::create_directories(path("alone"));
  fs::copy_file(GRAUPEL_COMMAND, alone);
  const std::string line =
      alone + " train " + path("w") + " -o " + path("x") + " >" + path("out") + " 2>" + path("err");
  const int status = std::system(line.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 3);
  EXPECT_EQ(bytes("out"), "");
  EXPECT_THAT(bytes("err"), HasSubstr("install the Debian package libtorch-dev"));
  const std::string err = bytes("err");
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1);
  EXPECT_FALSE(fs::exists(path("x")));
  // doctor says the same beforehand.
  ASSERT_EQ(std::system((alone + " doctor >" + path("out")).c_str()), 0);
  EXPECT_THAT(bytes("out"), testing::ContainsRegex("missing +training .*libtorch-dev"));
}

TEST_F(Train, DoctorSaysWhetherThereIsTraining) {
  const Finished doctor = graupel({"doctor", "--json"});
  const Json row = document(doctor).back();
  EXPECT_EQ(row["what"], "training (libtorch)");
  EXPECT_EQ(row["found"], has_libtorch());
}

TEST_F(Train, BadInputIsOneLine) {
  const auto refused = [](std::vector<std::string> words, const std::string& part) {
    const Finished finished = graupel(words);
    EXPECT_EQ(finished.code, 2) << finished.err;
    EXPECT_EQ(finished.out, "");
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr(part));
  };
  ASSERT_TRUE(write_file_atomic(path("bad.toml"), "[fsq]\nlevel = [8]\n").ok());
  refused({"train", path("w"), "-o", path("x"), "--config", path("bad.toml")},
          "bad.toml:2: unknown key 'fsq.level'");
  refused({"train", path("w"), "-o", path("x"), "--network", "big"}, "there is no network 'big'");
  refused({"train", path("w"), "-o", path("x"), "--opset", "18"}, "--opset");
  if (!has_libtorch()) GTEST_SKIP() << "built without libtorch";
  refused({"train", path("nowhere"), "-o", path("x")}, "nowhere: does not exist");
  refused({"train", path("w/train"), "-o", path("x")}, "holds no train/windows.npy");
  refused({"train", path("w"), "-o", path("x"), "--teacher", path("none.pt")}, "none.pt");
}

}  // namespace
}  // namespace graupel::cli_test
