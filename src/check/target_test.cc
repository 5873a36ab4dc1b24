// Reading target files: syntax, extension, and what is refused.
#include "check/target.h"

#include <gmock/gmock.h>

namespace graupel::check {
namespace {

constexpr std::string_view kRule =
    "[[rule]]\nid = 'r'\nops = ['Conv']\nseverity = 'error'\nmessage = 'm'\nfix = 'f'\n"
    "source = 's'\nconfidence = 'log'\n";

std::string error_of(const std::string& toml) {
  const Result<Target> target = parse_target(toml, "t.toml");
  return target.ok() ? "" : target.error().message();
}
std::string with_rule(const std::string& extra) {
  return "name = 't'\n" + std::string(kRule) + extra;
}

TEST(Target, BuiltInsLoad) {
  EXPECT_THAT(builtin_target_names(), testing::ElementsAre("cpu", "hailo8", "hailo8l"));
  for (const std::string& name : builtin_target_names()) {
    const Result<Target> target = load_target(name);
    ASSERT_TRUE(target.ok()) << target.error().message();
    EXPECT_EQ(target->name, name);
  }
}

TEST(Target, HalfAChipHasTheSameRulesAndHalfTheMemory) {
  const Result<Target> whole = load_target("hailo8"), half = load_target("hailo8l");
  ASSERT_TRUE(whole.ok() && half.ok());
  ASSERT_EQ(whole->rules.size(), half->rules.size());
  EXPECT_EQ(whole->limits.at("memory_bytes"), 32.0 * 1024 * 1024);
  EXPECT_EQ(half->limits.at("memory_bytes"), 16.0 * 1024 * 1024);
  EXPECT_EQ(whole->limits.at("kernel"), half->limits.at("kernel"));
}

TEST(Target, ARuleOfTheSameIdReplacesTheInherited) {
  const Result<Target> target = parse_target(
      "name = 'mine'\nextends = 'hailo8'\n[limits]\naaa = 1\n[[rule]]\nid = 'round'\n"
      "ops = ['Round']\nseverity = 'info'\nmessage = 'm'\nfix = 'f'\nsource = 's'\n"
      "confidence = 'log'\n",
      "t.toml");
  ASSERT_TRUE(target.ok()) << target.error().message();
  EXPECT_EQ(target->find("round")->severity, Severity::kInfo);
  EXPECT_EQ(target->rules.size(), load_target("hailo8")->rules.size());
}

TEST(Target, ErrorsNameTheLine) {
  EXPECT_EQ(error_of(with_rule("")), "");
  EXPECT_THAT(error_of("name = 't'\nbogus = 1\n"), testing::StartsWith("t.toml:2: unknown key"));
  EXPECT_THAT(error_of("name = \n"), testing::StartsWith("t.toml:1: "));
  EXPECT_THAT(error_of("title = 'x'\n"), testing::HasSubstr("has no 'name'"));
  EXPECT_THAT(error_of(with_rule("when = 'kernel_h > '\n")),
              testing::StartsWith("t.toml:2: rule 'r': 'when'"));
  EXPECT_THAT(error_of(with_rule("when = 'colour > 1'\n")), testing::HasSubstr("'colour'"));
  EXPECT_THAT(error_of(with_rule("when = 'kernel_h'\n")), testing::HasSubstr("not a condition"));
  EXPECT_THAT(error_of(with_rule("when = 'kernel_h > limits.k'\n")),
              testing::HasSubstr("limits.k"));
  EXPECT_THAT(error_of(with_rule("when = \"pattern('x')\"\n")), testing::HasSubstr("pattern 'x'"));
  EXPECT_THAT(error_of(with_rule("when = 'open_dims == op'\n")),
              testing::HasSubstr("not offered to rules on a node"));
  EXPECT_THAT(error_of(with_rule("on = 'model'\n")), testing::HasSubstr("either 'ops'"));
  EXPECT_THAT(error_of(with_rule("colour = 1\n")), testing::StartsWith("t.toml:10: unknown key"));
  EXPECT_THAT(error_of(with_rule(std::string(kRule))), testing::HasSubstr("appears twice"));
  EXPECT_THAT(error_of("name = 't'\nrule = 3\n"), testing::HasSubstr("[[rule]]"));
  EXPECT_THAT(error_of("name = 't'\n[limits]\nx = 'y'\n"), testing::HasSubstr("limits.x"));
  EXPECT_THAT(error_of("name = 't'\nextends = 'u'\n"), testing::HasSubstr("no built-in target"));
  EXPECT_THAT(error_of("name = 't'\n[[rule]]\nid = 'a'\n"), testing::HasSubstr("no 'severity'"));
  EXPECT_THAT(error_of(std::string(2 << 20, '#')), testing::HasSubstr("1 MiB"));
}

TEST(Target, UnknownTargetsAreNamed) {
  EXPECT_THAT(load_target("hailo9").error().message(), testing::HasSubstr("hailo8l"));
  EXPECT_EQ(load_target("/nowhere/x.toml").error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace graupel::check
