// The command from outside: every verb's help, success, JSON, exit status and refusals.
//
// Idea: one deployment of the example is made for the whole suite; everything else reads it.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "tests/cli/command_runner.h"

namespace graupel::cli_test {
namespace {

using testing::HasSubstr;

const std::string kSource = GRAUPEL_SOURCE_DIR;
const std::string kModel = kSource + "/models/fsq_imu_synthetic.onnx";
const std::string kNormalization = kSource + "/models/fsq_imu_synthetic.normalization.json";
const std::vector<std::string> kVerbs = {
    "deploy", "simplify", "check", "parse",  "optimize", "compile", "validate",  "profile",
    "run",    "inspect",  "synth", "doctor", "prepare",  "train",   "calibrate", "codes"};

class Cli : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = make_folder();
    ASSERT_EQ(graupel({"synth", "-q", "-o", path("data"), "--windows", "128", "--subjects", "8",
                       "--first-subject", "200"})
                  .code,
              0);
    deployed_ = graupel(deploy_arguments(path("m.graupel")));
    ASSERT_TRUE(deployed_.code == 0 || deployed_.code == 1) << deployed_.err;
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static std::string path(const std::string& name) { return (folder_ / name).string(); }
  static std::string windows() { return path("data/windows.npy"); }
  static std::string labels() { return path("data/labels.npy"); }
  static std::string bundle() { return path("m.graupel"); }

  static std::vector<std::string> deploy_arguments(const std::string& output) {
    return {"deploy", kModel, "--normalization", kNormalization, "--calib", windows(), "--labels",
            labels(), "--class-names", path("data/class_names.txt"),
            // What is tested is the command, not whether this machine is busy.
            "--bar", "latency_p95=1e6", "--bar", "core_latency_p95=1e6", "--bar", "throughput=0.01",
            "-o", output, "--report", output + ".html"};
  }

  static std::string write(const std::string& name, std::string_view bytes) {
    EXPECT_TRUE(write_file_atomic(path(name), bytes).ok());
    return path(name);
  }

  // Exit 2, one line on stderr that names `part`, nothing on stdout.
  static void refused(const std::vector<std::string>& arguments, const std::string& part) {
    const Finished plain = graupel(arguments);
    std::string shown;
    for (const std::string& word : arguments) shown += word + " ";
    SCOPED_TRACE(shown);
    EXPECT_EQ(plain.code, 2) << plain.out << plain.err;
    EXPECT_EQ(plain.out, "");
    EXPECT_THAT(plain.err, HasSubstr("graupel: error: "));
    EXPECT_THAT(plain.err, HasSubstr(part));
    EXPECT_EQ(std::count(plain.err.begin(), plain.err.end(), '\n'), 1) << plain.err;
  }

  static fs::path folder_;
  static Finished deployed_;
};
fs::path Cli::folder_;
Finished Cli::deployed_;

TEST_F(Cli, HelpOfEveryVerbHasAnExample) {
  const Finished all = graupel({"--help"});
  EXPECT_EQ(all.code, 0);
  for (const std::string& verb : kVerbs) {
    EXPECT_THAT(all.out, HasSubstr("\n  " + verb + " "));
    const Finished help = graupel({verb, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr("Example:\n  graupel " + verb));
    EXPECT_EQ(help.err, "");
  }
  EXPECT_EQ(graupel({"--version"}).out, "graupel 0.1.0\n");
}

TEST_F(Cli, BadUsageIsExitTwoWithOneLineAndJson) {
  refused({}, "subcommand");
  refused({"fly"}, "fly");
  for (const std::string& verb : kVerbs) {
    refused({verb, "--no-such-flag"}, verb == "doctor" ? "--no-such-flag" : "graupel VERB --help");
    const Finished json = graupel({verb, "--json", "--no-such-flag"});
    EXPECT_EQ(json.code, 2) << verb;
    EXPECT_EQ(document(json)["error"]["code"], "invalid_input") << verb;
  }
  refused({"check", kModel, "--format", "pdf"}, "--format");
  refused({"check", kModel, "--target", "abacus"}, "abacus");
  refused({"check"}, "name an .onnx file");
  refused({"check", "--explain", "no-such-rule"}, "no-such-rule");
  refused({"simplify", kModel, "--passes", "no-such-pass"}, "no-such-pass");
  refused({"simplify", kModel, "--batch", "0"}, "--batch");
  refused({"simplify", kModel, "--shape", "imu"}, "--shape imu");
  refused({"simplify", kModel, "-o", path("x.onnx"), "--opset", "3"}, "3");
  EXPECT_FALSE(fs::exists(path("x.onnx")));
  refused({"parse", kModel, "--end-nodes", "/nowhere"}, "/nowhere");
  refused({"profile", bundle(), "--runs", "0"}, "--runs");
  refused({"profile", bundle(), "--batch", "0"}, "--batch");
  refused({"profile", bundle(), "--batch", "65"}, "--batch");
  for (const std::string threads : {"0", "-1", "100000", "many"}) {
    refused({"profile", bundle(), "--threads", threads}, "--threads");
    refused({"run", bundle(), windows(), "--threads", threads},
            "is " + threads + ", expected 1 to");
  }
  refused({"run", bundle(), windows(), "--format", "npy"}, "-o PREFIX");
  refused({"synth", "-o", path("none"), "--shape", "3xx4"}, "3xx4");
  refused({"synth", "-o", path("none"), "--windows", "-5"}, "5");
  refused({"validate", bundle(), "--model", kModel, "--windows", windows(), "--bar", "nonsense"},
          "nonsense");
}

TEST_F(Cli, DeployGivesTheSameBundleTwiceAndAReport) {
  EXPECT_THAT(deployed_.out, HasSubstr("accuracy of INT8"));
  EXPECT_THAT(deployed_.out, HasSubstr("bundle: " + bundle()));
  EXPECT_THAT(deployed_.out, testing::Not(HasSubstr("…"))) << "no title is cut";
  const Finished again = graupel(deploy_arguments(path("again.graupel")));
  EXPECT_EQ(again.code, deployed_.code);
  EXPECT_EQ(*read_file(bundle()), *read_file(path("again.graupel")));
  EXPECT_THAT(*read_file(path("again.graupel.html")), HasSubstr("<svg"));
}

TEST_F(Cli, DeployInJsonAndQuietly) {
  std::vector<std::string> arguments = deploy_arguments(path("json.graupel"));
  arguments.push_back("--json");
  const Json json = document(graupel(arguments));
  EXPECT_EQ(json["bars"].size(), 20u);
  EXPECT_FALSE(json["cut"]["crossings"].empty());
  EXPECT_FALSE(json["optimize"]["noise"].empty());
  arguments.back() = "-q";
  const Finished quiet = graupel(arguments);
  EXPECT_EQ(quiet.out, "");
}

TEST_F(Cli, AMissedBarIsExitOneAndNamed) {
  std::vector<std::string> arguments = deploy_arguments(path("missed.graupel"));
  arguments.insert(arguments.end(), {"--bar", "accuracy=100.5"});
  const Finished missed = graupel(arguments);
  EXPECT_EQ(missed.code, 1);
  EXPECT_THAT(missed.err, HasSubstr("missed: "));
  EXPECT_THAT(missed.err, HasSubstr("accuracy"));
  const Finished profile =
      graupel({"profile", bundle(), "--runs", "20", "--json", "--bar", "artefact_size=0.0001"});
  EXPECT_EQ(profile.code, 1);
  EXPECT_EQ(document(profile)["bars"].size(), 5u);
}

TEST_F(Cli, EightBitsToTheEndCanBeEmittedAsC) {
  const std::string step = path("eight.graupel");
  EXPECT_EQ(graupel({"parse", kModel, "-o", step}).code, 0);
  const Finished optimized =
      graupel({"optimize", step, "--model", kModel, "--calib", windows(), "--normalization",
               kNormalization, "--no-wide-ends", "-o", step});
  ASSERT_EQ(optimized.code, 0) << optimized.err;
  ASSERT_EQ(graupel({"compile", step, "-o", step}).code, 0);
  const Finished emitted = graupel({"compile", step, "--emit", "c", "-o", path("c")});
  ASSERT_EQ(emitted.code, 0) << emitted.err;
  EXPECT_THAT(*read_file(path("c/eight.h")), HasSubstr("int eight_infer("));
}

TEST_F(Cli, TheStagesOneByOneGiveWhatDeployGives) {
  const std::string step = path("step.graupel");
  const Finished parsed = graupel({"parse", kModel, "-o", step, "--svg", path("cut.svg")});
  EXPECT_EQ(parsed.code, 0) << parsed.err;
  EXPECT_THAT(parsed.out, HasSubstr("FSQ"));
  EXPECT_THAT(*read_file(path("cut.svg")), HasSubstr("<svg"));
  const Finished optimized = graupel({"optimize", step, "--model", kModel, "--calib", windows(),
                                      "--normalization", kNormalization, "-o", step});
  EXPECT_EQ(optimized.code, 0) << optimized.err;
  EXPECT_THAT(optimized.out, HasSubstr("SNR dB"));
  EXPECT_EQ(graupel({"compile", step, "-o", step}).code, 0);
  const Finished validated =
      graupel({"validate", step, "--model", kModel, "--windows", windows(), "--labels", labels(),
               "--json", "--bar", "latency_p95=1e6", "--bar", "core_latency_p95=1e6"});
  EXPECT_EQ(document(validated)["bars"].size(), 19u) << "all but the read-back";
  EXPECT_EQ(graupel({"run", step, windows(), "--format", "csv"}).code, 0);
  const auto logits = [](const Json& answers) {
    Json all = Json::array();
    for (const Json& answer : answers) all.push_back(answer["logits"]);
    return all;
  };
  EXPECT_EQ(logits(document(graupel({"run", step, windows(), "--json"}))),
            logits(document(graupel({"run", bundle(), windows(), "--json"}))));
}

TEST_F(Cli, ParseTakesTensorNames) {
  const Json automatic = document(graupel({"parse", kModel, "--json"}));
  const std::string tensor = automatic["cut"]["crossings"][0]["tensor"];
  const Finished named = graupel({"parse", kModel, "--end-nodes", tensor});
  EXPECT_EQ(named.code, 0) << named.err;
  EXPECT_THAT(named.err, HasSubstr(tensor)) << "the translation is told";
  EXPECT_EQ(
      document(graupel({"parse", kModel, "--json", "--end-nodes", tensor}))["cut"]["crossings"],
      automatic["cut"]["crossings"]);
}

TEST_F(Cli, CheckFindsTheRoundAndSaysWhereToCut) {
  const Finished text = graupel({"check", kModel});
  EXPECT_EQ(text.code, 1);
  EXPECT_THAT(text.out, HasSubstr("Round"));
  EXPECT_THAT(text.out, HasSubstr("--end-nodes /fsq/Sub"));
  const Finished json = graupel({"check", kModel, "--json"});
  EXPECT_EQ(json.code, 1);
  EXPECT_FALSE(document(json).empty());
  const Finished sarif = graupel({"check", kModel, "--format", "sarif"});
  EXPECT_EQ(document(sarif)["version"], "2.1.0");
  EXPECT_FALSE(document(graupel({"check", kModel, "--format", "json"})).empty());
  EXPECT_THAT(graupel({"check", kModel, "--format", "markdown"}).out, HasSubstr("|"));
  EXPECT_EQ(graupel({"check", kModel, "-q"}).out, "");
  EXPECT_EQ(graupel({"check", kModel, "--target", "cpu"}).code, 0);
}

TEST_F(Cli, RulesAreListedAndExplained) {
  const Json rules = document(graupel({"check", "--list-rules", "--json"}));
  ASSERT_GE(rules.size(), 20u);
  EXPECT_EQ(graupel({"check", "--list-rules"}).code, 0);
  for (const Json& rule : rules) {
    const std::string id = rule["id"];
    const Finished explained = graupel({"check", "--explain", id, "--json"});
    EXPECT_EQ(explained.code, 0) << id;
    EXPECT_THAT(document(explained)["text"].get<std::string>(), HasSubstr(id));
    if (&rule - &rules[0] > 3) break;  // each is one process
  }
}

TEST_F(Cli, SimplifiedModelsReadBack) {
  EXPECT_GE(document(graupel({"simplify", "--list-passes", "--json"})).size(), 10u);
  const Finished whole = graupel({"simplify", kModel, "-o", path("s.onnx")});
  EXPECT_EQ(whole.code, 0) << whole.err;
  EXPECT_THAT(whole.out, HasSubstr("nodes -> "));
  const Json before = document(graupel({"inspect", kModel, "--json"}));
  const Json after = document(graupel({"inspect", path("s.onnx"), "--json"}));
  EXPECT_LT(after["nodes"], before["nodes"]);
  EXPECT_EQ(after["outputs"], before["outputs"]);
  EXPECT_EQ(document(graupel({"simplify", path("s.onnx"), "--json"}))["edits"], 0);
  EXPECT_EQ(document(graupel({"simplify", kModel, "--stop-after", "3", "--json"}))["edits"], 3);
  EXPECT_EQ(document(graupel({"simplify", kModel, "--stop-after", "0", "--json"}))["edits"], 0);
}

TEST_F(Cli, RunInEveryFormat) {
  const Json answers = document(graupel({"run", bundle(), windows()}));
  EXPECT_EQ(document(graupel({"run", bundle(), windows(), "--threads", "1"})), answers);
  ASSERT_EQ(answers.size(), 128u);
  EXPECT_EQ(answers[5]["window"], 5);
  EXPECT_EQ(answers[5]["logits"].size(), 10u);
  EXPECT_TRUE(answers[5].contains("fsq_code") && answers[5].contains("label"));
  const Finished lines = graupel({"run", bundle(), windows(), "--format", "jsonl"});
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 128);
  EXPECT_EQ(Json::parse(lines.out.substr(0, lines.out.find('\n')), nullptr, false), answers[0]);
  const Finished csv = graupel({"run", bundle(), windows(), "--format", "csv"});
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 129);
  EXPECT_EQ(graupel({"run", bundle(), windows(), "-o", path("a.json")}).out, "");
  EXPECT_EQ(Json::parse(*read_file(path("a.json")), nullptr, false), answers);
  const Finished npy =
      graupel({"run", bundle(), windows(), "--format", "npy", "-o", path("answers"), "--json"});
  EXPECT_EQ(npy.code, 0) << npy.err;
  EXPECT_EQ(document(npy)["windows"], 128);
  const Json array = document(graupel({"inspect", path("answers.behavior_logits.npy"), "--json"}));
  EXPECT_EQ(array["shape"], "128x10");
  EXPECT_EQ(graupel({"run", bundle(), windows(), "-q"}).out, "");
}

TEST_F(Cli, EveryInstructionSetGivesTheSameAnswers) {
  const Finished chosen = graupel({"run", bundle(), windows(), "--format", "npy", "-o", path("d")});
  const Finished scalar = graupel({"run", bundle(), windows(), "--format", "npy", "-o", path("s")},
                                  {"GRAUPEL_ISA=scalar"});
  EXPECT_EQ(chosen.code, 0);
  EXPECT_EQ(scalar.code, 0);
  EXPECT_EQ(*read_file(path("d.behavior_logits.npy")), *read_file(path("s.behavior_logits.npy")));
  EXPECT_EQ(*read_file(path("d.fsq_code.npy")), *read_file(path("s.fsq_code.npy")));
  const Finished bogus = graupel({"run", bundle(), windows()}, {"GRAUPEL_ISA=bogus"});
  EXPECT_EQ(bogus.code, 2);
  EXPECT_THAT(bogus.err, HasSubstr("bogus"));
}

// Six people walking with one sensor at 25 Hz, and what a TOML file says about it.
std::string recordings() {
  std::string text = "timestamp,sensor,ax,ay,az,gx,gy,gz,mx,my,mz,label,subject\n";
  for (int person = 1; person <= 6; ++person) {
    for (int i = 0; i < 1000; ++i) {
      const double swing = (i * 7 % 25 - 12) / 6.0 + person * 0.01;
      text += std::to_string(i * 40) + ",hip," + std::to_string(swing) + ",0.5,9.8," +
              std::to_string(swing * 0.3) + ",0.1,0,0.4,0.1,-0.3,walk," + std::to_string(person) +
              "\n";
    }
  }
  return text;
}

TEST_F(Cli, PrepareMakesWindowsThatDeployTakes) {
  const std::string config = write("rec.toml", "sensors = [\"hip\"]\n[units]\ntime = \"ms\"\n");
  const std::string csv = write("rec.csv", recordings() + "ragged\n");
  const std::vector<std::string> arguments = {"prepare", csv,       "--config",      config,
                                              "-o",      path("w"), "--hop",         "10",
                                              "--scale", "sensor",  "--remove-mean", "6,7,8"};
  const Finished plain = graupel(arguments);
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_THAT(plain.out, HasSubstr("6001 rows of 1 files -> 546 windows"));
  EXPECT_THAT(plain.out, HasSubstr("1 rows     a field too few"));
  EXPECT_THAT(plain.out, HasSubstr("no person and no window is in two splits"));
  std::vector<std::string> with_json = arguments;
  with_json.emplace_back("--json");
  const Finished json = graupel(with_json);
  EXPECT_EQ(document(json)["windows"], 546);
  EXPECT_EQ(document(json)["calibration_windows"], 91);
  EXPECT_EQ(document(graupel({"inspect", path("w/train/windows.npy"), "--json"}))["shape"],
            "273x9x1x100");
  EXPECT_TRUE(fs::exists(path("w/data_card.md")));

  refused({"prepare", csv, "-o", path("w2")}, "--sensors");
  refused({"prepare", csv, "--sensors", "nose", "-o", path("w2")}, "'nose'");
  refused({"prepare", path("nowhere"), "-o", path("w2")}, "does not exist");
  refused({"prepare", folder_.string(), "-o", path("w2")}, "holds no set that is known");
  refused({"prepare", csv, "--config", config, "--form", "xml", "-o", path("w2")}, "'xml'");
  refused({"prepare", csv, "--config", config, "--window", "0", "-o", path("w2")}, "window");
  refused({"prepare", csv, "--config", config, "--clip", "-1", "-o", path("w2")}, "clip");
  refused({"prepare", csv, "--config", config, "--remove-mean", "9", "-o", path("w2")}, "9");
}

TEST_F(Cli, ProfileSynthDoctorInspectAndCompile) {
  const Finished profile =
      graupel({"profile", bundle(), "--runs", "50", "--windows", windows(), "--bar",
               "latency_p95=1e6", "--bar", "core_latency_p95=1e6", "--bar", "throughput=0.01"});
  EXPECT_EQ(profile.code, 0) << profile.out << profile.err;
  EXPECT_THAT(profile.out, HasSubstr("multiply-adds"));
  EXPECT_THAT(profile.out, HasSubstr("P95 latency end to end"));
  EXPECT_THAT(profile.out, HasSubstr("windows/s on one thread ("));
  const Finished batch =
      graupel({"profile", bundle(), "--runs", "20", "--batch", "4", "--threads", "1"});
  EXPECT_THAT(batch.out, HasSubstr("windows/s on one thread, 4 windows at a time ("));
  const Finished as_json = graupel({"profile", bundle(), "--runs", "20", "--batch", "4", "--json"});
  EXPECT_EQ(document(as_json)["batch"], 4);
  EXPECT_EQ(document(as_json)["threads"], 1);
  const Finished noise =
      graupel({"synth", "-o", path("noise"), "--shape", "3x8x8", "--windows", "7", "--json"});
  EXPECT_EQ(document(noise)["windows"], 7);
  EXPECT_EQ(document(graupel({"inspect", path("noise/windows.npy"), "--json"}))["shape"],
            "7x3x8x8");
  const Finished doctor = graupel({"doctor", "--json"});
  EXPECT_EQ(doctor.code, 0);
  EXPECT_EQ(document(doctor)[0]["what"], "CPU engine");
  EXPECT_EQ(document(graupel({"inspect", bundle(), "--json"}))["stage"], "compiled");
  const Finished npu =
      graupel({"compile", bundle(), "--target", "hailo8", "-o", path("h.graupel")});
  EXPECT_EQ(npu.code, 3);
  EXPECT_FALSE(fs::exists(path("h.graupel")));
  EXPECT_EQ(document(graupel({"compile", bundle(), "--target", "hailo8", "-o", path("h.graupel"),
                              "--json"}))["error"]["code"],
            "device");
}

// ---- bad input ----

TEST_F(Cli, TruncatedFilesAreRefusedByName) {
  const std::string model = *read_file(kModel), npy = *read_file(windows()),
                    whole = *read_file(bundle());
  for (const double share : {0.0, 0.001, 0.3, 0.9, 0.9999}) {
    const auto cut = [&](const std::string& bytes) {
      return bytes.substr(0, static_cast<size_t>(share * static_cast<double>(bytes.size())));
    };
    const std::string onnx = write("cut.onnx", cut(model));
    for (const std::string verb : {"simplify", "check", "parse", "inspect"}) {
      refused({verb, onnx}, "cut.onnx");
    }
    write("cut.npy", cut(npy));
    refused({"run", bundle(), path("cut.npy")}, "cut.npy");
    refused({"inspect", path("cut.npy")}, "cut.npy");
    write("cut.graupel", cut(whole));
    for (const std::string verb : {"inspect", "profile"}) {
      refused({verb, path("cut.graupel")}, "cut.graupel");
    }
    refused({"run", path("cut.graupel"), windows()}, "cut.graupel");
    refused({"compile", path("cut.graupel"), "-o", path("never")}, "cut.graupel");
    EXPECT_FALSE(fs::exists(path("never")));
  }
}

TEST_F(Cli, RandomBytesFoldersAndMissingFilesAreRefused) {
  std::string noise(5000, '\0');
  uint32_t state = 12345;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  write("noise.bin", noise);
  for (const std::string& input : {path("noise.bin"), path("data"), path("missing")}) {
    const std::string name = fs::path(input).filename().string();
    for (const std::string verb : {"simplify", "check", "parse", "inspect", "profile"}) {
      refused({verb, input}, name);
    }
    refused({"deploy", input, "--calib", windows(), "-o", path("never")}, name);
    refused({"deploy", kModel, "--calib", input, "-o", path("never")}, name);
    refused({"optimize", input, "--calib", windows(), "-o", path("never")}, name);
    refused({"compile", input, "-o", path("never")}, name);
    refused({"validate", input, "--model", kModel, "--windows", windows()}, name);
    refused({"validate", bundle(), "--model", input, "--windows", windows()}, name);
    refused({"validate", bundle(), "--model", kModel, "--windows", input}, name);
    refused({"run", bundle(), input}, name);
    refused({"run", input, windows()}, name);
    EXPECT_FALSE(fs::exists(path("never")));
  }
  const Finished json = graupel({"inspect", path("noise.bin"), "--json"});
  EXPECT_EQ(json.code, 2);
  EXPECT_THAT(document(json)["error"]["where"].get<std::string>(), HasSubstr("noise.bin"));
}

TEST_F(Cli, BadTablesAreRefused) {
  refused({"run", bundle(), write("ragged.csv", "1,2,3\n4,5\n")}, "ragged.csv");
  refused({"run", bundle(), write("words.csv", "a,b\nc,d\n")}, "words.csv");
  refused({"run", bundle(), write("empty.csv", "")}, "empty.csv");
  refused({"run", bundle(), write("bad.npz", "PK\x03\x04 and nothing else")}, "bad.npz");
  refused({"run", bundle(), path("data/labels.npy")}, "labels.npy");
  refused({"deploy", kModel, "--calib", windows(), "--labels", windows(), "-o", path("never")},
          "windows.npy");
  EXPECT_FALSE(fs::exists(path("never")));
}

TEST_F(Cli, OutputsThatCannotBeWrittenAreErrors) {
  const std::string nowhere = path("no/such/folder/out");
  refused({"simplify", kModel, "-o", nowhere}, "no/such/folder");
  refused({"parse", kModel, "-o", nowhere}, "no/such/folder");
  refused({"run", bundle(), windows(), "-o", nowhere}, "no/such/folder");
  refused({"compile", bundle(), "-o", path("data")}, "data");
  refused({"synth", "-o", write("file", "x") + "/sub"}, "file");
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    EXPECT_EQ(entry.path().string().find(".tmp"), std::string::npos) << entry.path();
  }
}

TEST_F(Cli, StagesOutOfOrderSayWhatToDo) {
  ASSERT_EQ(graupel({"parse", kModel, "-q", "-o", path("p.graupel")}).code, 0);
  refused({"compile", path("p.graupel"), "-o", path("never")}, "p.graupel: device_int8.onnx");
  refused({"run", path("p.graupel"), windows()}, "compile");
  refused({"profile", path("p.graupel")}, "compile");
  refused({"validate", path("p.graupel"), "--model", kModel, "--windows", windows()}, "optimize");
  EXPECT_FALSE(fs::exists(path("never")));
}

TEST_F(Cli, RandomCalibrationIsLoud) {
  const Finished random = graupel({"deploy", kModel, "--calib", "random", "--normalization",
                                   kNormalization, "-q", "-o", path("r.graupel")});
  EXPECT_EQ(random.code, 1) << random.err;
  EXPECT_THAT(random.err, HasSubstr("calibration_doubts"));
  EXPECT_THAT(random.err, HasSubstr("RANDOM NOISE"));
}

}  // namespace
}  // namespace graupel::cli_test
