// calibrate, codes and run with a decision block, from outside: exit status, JSON, refusals.
#include <gmock/gmock.h>

#include "tests/cli/command_runner.h"

namespace graupel::cli_test {
namespace {

using testing::HasSubstr;

const std::string kSource = GRAUPEL_SOURCE_DIR;

class Decide : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = make_folder();
    const std::vector<std::string> synth = {"synth",           "-q",  "-o",         path("data"),
                                            "--windows",       "400", "--subjects", "10",
                                            "--first-subject", "300"};
    ASSERT_EQ(graupel(synth).code, 0);
    const Finished deployed =
        graupel({"deploy", kSource + "/models/fsq_imu_synthetic.onnx", "--normalization",
                 kSource + "/models/fsq_imu_synthetic.normalization.json", "--calib", windows(),
                 "--labels", path("data/labels.npy"), "--class-names", path("data/class_names.txt"),
                 "-o", path("m.graupel"), "--report", path("r.html")});
    ASSERT_TRUE(deployed.code == 0 || deployed.code == 1) << deployed.err;
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static std::string path(const std::string& name) { return (folder_ / name).string(); }
  static std::string windows() { return path("data/windows.npy"); }
  static std::vector<std::string> calibrate(const std::vector<std::string>& more) {
    std::vector<std::string> all = {
        "calibrate", path("m.graupel"),       "--data",   windows(),
        "--labels",  path("data/labels.npy"), "--groups", path("data/subjects.npy")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  static inline fs::path folder_;
};

TEST_F(Decide, CalibratePrintsItsVerdictAndRunUsesTheBlock) {
  const Finished done =
      graupel(calibrate({"-o", path("c.graupel"), "--bar", "ece=50", "--bar", "set_agreement=50"}));
  EXPECT_TRUE(done.code == 0 || done.code == 1) << done.err;
  EXPECT_THAT(done.out, HasSubstr("calibration error, debiased"));
  EXPECT_THAT(done.out, HasSubstr("temperature "));
  EXPECT_TRUE(fs::exists(path("decisions.html")));
  const Finished run = graupel({"run", path("c.graupel"), windows(), "--format", "jsonl"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("\"calibrated\":true,\"conformal_set\":["));
  EXPECT_THAT(run.out, HasSubstr("\"fsq_code\":"));
  const Finished csv = graupel({"run", path("c.graupel"), windows(), "--format", "csv"});
  EXPECT_THAT(csv.out, HasSubstr("fsq_code,conformal_set,engine\n"));
  ASSERT_EQ(graupel({"run", path("c.graupel"), windows(), "--format", "npy", "-o", path("a")}).code,
            0);
  EXPECT_TRUE(fs::exists(path("a.conformal_set.npy")));
  EXPECT_TRUE(fs::exists(path("a.probability.npy")));
}

TEST_F(Decide, CalibrateInJsonAndAMissedBarIsExitOne) {
  const Finished done = graupel(calibrate(
      {"--json", "-o", path("j.graupel"), "--method", "raps", "--bar", "set_agreement=101"}));
  EXPECT_EQ(done.code, 1) << done.err;
  const nlohmann::json json = nlohmann::json::parse(done.out);
  EXPECT_EQ(json["sets"]["method"], "raps");
  EXPECT_EQ(json["bars"].size(), 6u);
  EXPECT_EQ(json["split"]["by"], "group");
}

TEST_F(Decide, AnHsmmIsLearnedFollowedAndDecoded) {
  const Finished done =
      graupel(calibrate({"--json", "-o", path("h.graupel"), "--report", path("h.html"), "--hsmm",
                         "--hop", "50", "--rate", "100"}));
  ASSERT_TRUE(done.code == 0 || done.code == 1) << done.err;
  const nlohmann::json json = nlohmann::json::parse(done.out);
  EXPECT_EQ(json["bars"].size(), 7u);
  EXPECT_EQ(json["hsmm"]["states"], 10);
  const std::vector<std::string> run = {"run", path("h.graupel"), windows(), "--format", "jsonl"};
  EXPECT_THAT(graupel(run).out, testing::Not(HasSubstr("\"state\":")));
  std::vector<std::string> follow = run;
  follow.insert(follow.end(), {"--sequence", "--groups", path("data/subjects.npy")});
  const Finished followed = graupel(follow);
  ASSERT_EQ(followed.code, 0) << followed.err;
  EXPECT_THAT(followed.out, HasSubstr("\"state\":{\"class\":"));
  EXPECT_THAT(followed.out, HasSubstr("\"lasted_s\":0.5,"));
  const Finished decoded = graupel({"decode", path("h.graupel"), windows(), "--groups",
                                    path("data/subjects.npy"), "--mode", "commit"});
  ASSERT_EQ(decoded.code, 0) << decoded.err;
  EXPECT_THAT(decoded.out, HasSubstr("final"));
  const Finished codes =
      graupel({"hsmm", path("h.graupel"), windows(), "--labels", path("data/labels.npy"),
               "--groups", path("data/subjects.npy"), "--hop", "50", "--emission", "codes"});
  EXPECT_TRUE(codes.code == 0 || codes.code == 1) << codes.err;
  EXPECT_THAT(codes.out, HasSubstr("people not fitted on"));
}

TEST_F(Decide, CodesShowsAndComparesThem) {
  const Finished done = graupel(
      {"codes", path("m.graupel"), windows(), "--json", "--labels", path("data/labels.npy")});
  ASSERT_EQ(done.code, 0) << done.err;
  const nlohmann::json json = nlohmann::json::parse(done.out);
  EXPECT_EQ(json["variant"], "lucidrains-2024");
  EXPECT_EQ(json["int8"]["differing_digits"], 0);
  EXPECT_EQ(json["dimensions"].size(), 5u);
  // Class numbers are no codes of this network.
  const Finished host =
      graupel({"codes", path("m.graupel"), windows(), "--host-codes", path("data/labels.npy")});
  EXPECT_EQ(host.code, 1);
  EXPECT_THAT(host.out, HasSubstr("of the codes differ"));
}

TEST_F(Decide, RefusalsSayWhatToDo) {
  const auto refused = [](const std::vector<std::string>& arguments, const std::string& part) {
    const Finished finished = graupel(arguments);
    EXPECT_EQ(finished.code, 2) << finished.out;
    EXPECT_THAT(finished.err, HasSubstr(part));
  };
  refused(calibrate({"--alpha", "1.5"}), "--alpha: is 1.5");
  refused(calibrate({"--method", "topk"}), "expected one of lac, aps, raps, saps");
  refused({"calibrate", path("m.graupel"), "--data", windows()}, "--labels: are missing");
  refused(
      {"calibrate", path("m.graupel"), "--data", windows(), "--labels", path("data/subjects.npy")},
      "expected 0 to 9");
  refused({"calibrate", path("r.html"), "--data", windows()}, "r.html");
  refused({"codes", path("m.graupel"), path("none.npy")}, "none.npy");
  refused(calibrate({"--hsmm"}), "--hop: is needed with --hsmm");
  refused({"run", path("m.graupel"), windows(), "--sequence"}, "HSMM");
  refused({"decode", path("m.graupel"), windows()}, "has no HSMM");
  refused({"hsmm", path("m.graupel"), windows(), "--labels", path("data/labels.npy"), "--emission",
           "codes"},
          "run graupel calibrate");
}

}  // namespace
}  // namespace graupel::cli_test
