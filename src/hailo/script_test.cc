// The grammar form by form, what is refused and where, and that every byte comes back.
#include "hailo/script.h"

#include <gmock/gmock.h>

#include "base/rng.h"

namespace graupel::hailo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Every form of the grammar, in the ways published scripts lay them out.
constexpr std::string_view kAllForms = R"(# opening comment

normalization1 = normalization([123.675, 116.28,103.53], [58.395, 57., .5], input_layer1)
   model_optimization_config(calibration, batch_size=8, calibset_size=64) # behind a statement
post_quantization_optimization(finetune,policy=enabled, learning_rate=1e-4, epochs=+8, x=-2.5E+3)
quantization_param([net_a/conv2, conv3,   # comment inside a list, with ) and ]
                    conv4-b], precision_mode = a8_w4)
quantization_param({conv_feature_splitter[0-9]*_[2-3]}, activation_fit=disabled)
quantization_param({output_layer*}, precision_mode=a16_w16)
conv7_d0, conv7_d1 ,conv7_c=defuse( conv7, 2, defuse_type=SUPER_DW )
context_0.place(cluster_0, [conv1, [ew_add1, fc1], []])
auto_context_3.compilation_param({*}, hw_layer_type_list=[lcu])
allocator_param(timeout=600s, merge_min_layer_utilization="25m", width_splitter_defuse=disabled)
nms_postprocess("../../cfg/x y.json", meta_arch=yolov8, engine=cpu) 
logits_layer(argmax, 'single # quotes')
optimize_buffers()
{ net/matmul1: [net/matmul1_fs, net/matmul1_d0], matmul2 :[
  matmul2_d0 ,matmul2_dc] } = defuse_block(net/matmul1, matmul2, defuse_count=4)
concat_from_conv4_d0-2_to_c = concat([conv4_d0, conv4_d1, conv4_d2], conv4_dc)
allocator_param(
    automatic_ddr=False,

    seed=1003
)
	buffers(conv1, conv2, 3, 4, AUTO))";

Script read(std::string_view text) {
  Result<Script> script = parse_script(text);
  EXPECT_TRUE(script.ok()) << (script.ok() ? "" : script.error().message()) << "\n" << text;
  return script.ok() ? std::move(script).value() : Script{};
}

TEST(Script, EveryFormComesBackByteForByte) {
  for (const std::string& text :
       {std::string(kAllForms), std::string(kAllForms) + "\n",
        std::string(kAllForms) + " \n\n# end", std::string(), std::string("\n"),
        std::string("# only a comment"),
        std::string("\xEF\xBB\xBFoptimize_buffers()\r\n# mark in front, Windows line ends\r\n")}) {
    EXPECT_EQ(format_script(read(text)), text);
  }
}

TEST(Script, StatementsAreUnderstood) {
  const Script script = read(kAllForms);
  ASSERT_EQ(script.statements.size(), 17u);
  const Statement& normalization = script.statements[0];
  EXPECT_THAT(normalization.names, ElementsAre("normalization1"));
  EXPECT_EQ(normalization.line, 3u);
  ASSERT_EQ(normalization.arguments.size(), 3u);
  EXPECT_EQ(normalization.arguments[1].value.items[2].kind, ValueKind::kFloat);
  EXPECT_EQ(normalization.arguments[2].value.text, "input_layer1");
  const Statement& finetune = script.statements[2];
  EXPECT_EQ(finetune.arguments[0].value.kind, ValueKind::kWord);
  EXPECT_EQ(argument(finetune, "learning_rate")->kind, ValueKind::kFloat);
  EXPECT_EQ(argument(finetune, "epochs")->kind, ValueKind::kInt);
  EXPECT_EQ(argument(finetune, "x")->text, "-2.5E+3");
  EXPECT_EQ(argument(finetune, "nothing"), nullptr);
  EXPECT_EQ(script.statements[3].arguments[0].value.items[0].text, "net_a/conv2");
  EXPECT_EQ(script.statements[4].arguments[0].value.kind, ValueKind::kGlob);
  EXPECT_EQ(script.statements[6].names.size(), 3u);
  EXPECT_EQ(script.statements[7].scope, "context_0");
  EXPECT_EQ(script.statements[7].command, "place");
  EXPECT_EQ(argument(script.statements[9], "timeout")->kind, ValueKind::kWord);
  EXPECT_EQ(script.statements[11].arguments[1].value.kind, ValueKind::kString);
  EXPECT_EQ(script.statements[12].arguments.size(), 0u);
  const Statement& block = script.statements[13];
  EXPECT_THAT(block.names,
              ElementsAre("net/matmul1_fs", "net/matmul1_d0", "matmul2_d0", "matmul2_dc"));
  ASSERT_EQ(block.parts.size(), 2u);
  EXPECT_EQ(block.parts[1], (Parts{"matmul2", {"matmul2_d0", "matmul2_dc"}}));
  EXPECT_EQ(block.command, "defuse_block");
  EXPECT_THAT(script.statements[14].names, ElementsAre("concat_from_conv4_d0-2_to_c"));
}

TEST(Script, CanonicalFormHoldsEverything) {
  const Script script = read(kAllForms);
  EXPECT_EQ(format_statement(script.statements[3]),
            "quantization_param([net_a/conv2, conv3, conv4-b], precision_mode=a8_w4)");
  EXPECT_EQ(format_statement(script.statements[6]),
            "conv7_d0, conv7_d1, conv7_c = defuse(conv7, 2, defuse_type=SUPER_DW)");
  for (const Statement& statement : script.statements) {
    const Script again = read(format_statement(statement));
    ASSERT_EQ(again.statements.size(), 1u);
    EXPECT_EQ(again.statements[0].names, statement.names);
    EXPECT_EQ(again.statements[0].parts, statement.parts);
    EXPECT_EQ(again.statements[0].arguments, statement.arguments);
  }
}

TEST(Script, RefusalsNameTheLineAndWhatWasExpected) {
  struct Case {
    std::string text, where, what;
  };
  const std::vector<Case> cases = {
      {"optimize_buffers()\nquantization_param(conv1", "line 2", "',' or ')'"},
      {"a(b) c(d)", "line 1", "has 'c(d)' where the end of the statement"},
      {"a b", "line 1", "'('"},
      {"a, = b(c)", "line 1", "a name"},
      {"a, b\n= c(d)", "line 1", "'=' or ','"},
      {"a =\nb(c)", "line 1", "has the end of the line where a command"},
      {"a(x=)", "line 1", "a value"},
      {"a(,)", "line 1", "a value"},
      {"a([1, 2)", "line 1", "',' or ']'"},
      {"a(\"open)\n", "line 1", "a closing \" on the same line"},
      {"a({conv*)", "line 1", "a closing }"},
      {"a(-)", "line 1", "a value"},
      {"{a: [b]}\n= c(d)", "line 1", "'='"},
      {"{a [b]} = c(d)", "line 1", "':'"},
      {"{a: b} = c(d)", "line 1", "'['"},
      {"{a: []} = c(d)", "line 1", "a name"},
      {"{} = c(d)", "line 1", "the name of a layer"},
      {"{a: [b] c(d)", "line 1", "',' or '}'"},
      {"{a: [b]} = x = c(d)", "line 1", "'('"},
      {"1a(b)", "line 1", "a command or a name"},
      {"a.b.c(d)", "line 1", "SCOPE.COMMAND"},
      {"a.(d)", "line 1", "COMMAND"},
      {"\n\n\n  a(b=1=2)", "line 4", "',' or ')'"},
      {"a(" + std::string(100, '[') + std::string(100, ']') + ")", "line 1", "nested"},
      {std::string("a(b)\0", 5), "model script", "zero byte"},
  };
  for (const Case& bad : cases) {
    const Result<Script> script = parse_script(bad.text);
    ASSERT_FALSE(script.ok()) << bad.text;
    EXPECT_EQ(script.error().code, ErrorCode::kInvalidInput);
    EXPECT_EQ(script.error().where, bad.where) << bad.text;
    EXPECT_THAT(script.error().what, HasSubstr(bad.what)) << bad.text;
  }
}

TEST(Script, NumbersAreWrittenSoThatTheyReadBack) {
  for (const double number : {0.0, 1.0, -2.5, 1e-8, 1e300, 0.1, 123.675}) {
    const Value value = float_value(number);
    const Result<Value> again = parse_value(value.text);
    ASSERT_TRUE(again.ok()) << value.text;
    EXPECT_EQ(again->kind, ValueKind::kFloat) << value.text;
    EXPECT_EQ(std::stod(again->text), number);
  }
  EXPECT_FALSE(parse_value("a b").ok());
  EXPECT_FALSE(parse_value("").ok());
}

// Scripts made at random from the grammar, with blanks, newlines and comments wherever they may be.
class Maker {
 public:
  explicit Maker(uint64_t seed) : rng_(seed) {}
  std::string script() {
    std::string text;
    for (size_t i = rng_.below(6); i > 0; --i) text += blank() + statement() + blank() + line_end();
    return text;
  }

 private:
  std::string pick(std::initializer_list<const char*> choices) {
    return *(choices.begin() + rng_.below(choices.size()));
  }
  std::string blank() { return pick({"", "", " ", "\t", "  "}); }
  std::string gap() { return pick({"", "", " ", "\n", " # ) ] } \" \n ", "\r\n"}); }
  std::string line_end() { return pick({"\n", "\n\n", "# comment(\n", "\r\n", "\n  \n#\n"}); }
  std::string word() {
    return pick({"conv1", "net/conv_2", "a8_w8", "x.y", "ew-add", "True", "_"});
  }
  std::string value(int depth) {
    switch (rng_.below(depth > 2 ? 5 : 6)) {
      case 0: return pick({"0", "-7", "+3", "007"});
      case 1: return pick({"1e-4", ".5", "0.", "-1.5E+3"});
      case 2: return pick({"\"a, b)#\"", "'x'", "\"\""});
      case 3: return word();
      case 4: return pick({"{conv*}", "{a[0-9], b?}", "{}", "600s"});
      default: break;
    }
    std::string text = "[" + gap();
    for (size_t i = 0, count = rng_.below(4); i < count; ++i) {
      text += (i == 0 ? "" : ",") + gap() + value(depth + 1) + gap();
    }
    return text + "]";
  }
  std::string statement() {
    std::string text;
    if (rng_.below(8) == 0) {
      return "{" + gap() + "net/a" + gap() + ":" + gap() + "[" + gap() + "a_d0" + gap() + "," +
             gap() + "a_d1" + gap() + "]" + gap() + "," + "b:[b_d0]" + gap() + "}" + blank() + "=" +
             blank() + "defuse_block(a, b)";
    }
    for (size_t i = 0, names = rng_.below(3); i < names; ++i) {
      text += (i == 0 ? "" : "," + blank()) + pick({"conv1", "a_b"}) + blank();
      if (i + 1 == names) text += "=" + blank();
    }
    text += pick({"place", "context_0.place", "quantization_param"}) + blank() + "(" + gap();
    for (size_t i = 0, count = rng_.below(4); i < count; ++i) {
      text += (i == 0 ? "" : ",") + gap();
      if (rng_.below(2) == 0) text += word() + gap() + "=" + gap();
      text += value(0) + gap();
    }
    return text + ")";
  }
  Rng rng_;
};

TEST(Script, RandomScriptsComeBackByteForByte) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    const std::string text = Maker(seed).script();
    const Result<Script> script = parse_script(text);
    ASSERT_TRUE(script.ok()) << script.error().message() << "\n" << text;
    ASSERT_EQ(format_script(*script), text);
    for (const Statement& statement : script->statements) {
      const Result<Script> again = parse_script(format_statement(statement));
      ASSERT_TRUE(again.ok()) << format_statement(statement);
      ASSERT_EQ(again->statements[0].arguments, statement.arguments) << text;
      ASSERT_EQ(again->statements[0].names, statement.names);
    }
  }
}

TEST(Script, ALargeScriptTakesTimeInProportion) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "compilation_param(conv1, number_of_subclusters=4)\n";
  EXPECT_EQ(read(text).statements.size(), 100'000u);
}

}  // namespace
}  // namespace graupel::hailo
