// The expression language of rules: values, unknowns, errors.
#include "check/expression.h"

#include <gtest/gtest.h>

namespace graupel::check {
namespace {

// n = 6, t = 'text', b = true, u is an unknown number, twice(n).
Result<Symbol> resolve(std::string_view name) {
  if (name == "n") return Symbol{0, Type::kNumber, std::nullopt};
  if (name == "t") return Symbol{1, Type::kText, std::nullopt};
  if (name == "b") return Symbol{2, Type::kBool, std::nullopt};
  if (name == "u") return Symbol{3, Type::kNumber, std::nullopt};
  if (name == "twice") return Symbol{4, Type::kNumber, Type::kNumber};
  return invalid_input("", "unknown fact '" + std::string(name) + "'");
}
FactValue look_up(int index, const FactValue* argument) {
  switch (index) {
    case 0: return 6.0;
    case 1: return std::string("text");
    case 2: return true;
    case 4: return 2 * std::get<double>(*argument);
    default: return {};
  }
}
std::string value_of(std::string_view text) {
  const Result<Expression> expression = parse_expression(text, resolve);
  if (!expression.ok()) return "error: " + expression.error().message();
  return to_string(evaluate(*expression, look_up));
}

TEST(Expression, ComputesWithPrecedence) {
  EXPECT_EQ(value_of("1 + 2 * n - 8 / 4"), "11");
  EXPECT_EQ(value_of("-(n % 4) * 2"), "-4");
  EXPECT_EQ(value_of("n / 9"), "0.6667");
  EXPECT_EQ(value_of("twice(n + 1) == 14"), "true");
  EXPECT_EQ(value_of("not n > 7 and b or n < 0"), "true");
  EXPECT_EQ(value_of("n in [1, 2, 6] and t not in ['a', 'b']"), "true");
}

TEST(Expression, UnknownFollowsKleene) {
  EXPECT_EQ(value_of("u > 3"), "unknown");
  EXPECT_EQ(value_of("not u > 3"), "unknown");
  EXPECT_EQ(value_of("u > 3 and n < 0"), "false");
  EXPECT_EQ(value_of("u > 3 or n > 0"), "true");
  EXPECT_EQ(value_of("u > 3 or n < 0"), "unknown");
  EXPECT_EQ(value_of("u in [1, 2]"), "unknown");
  EXPECT_EQ(value_of("n / 0"), "unknown");
}

TEST(Expression, ErrorsNameTheColumn) {
  EXPECT_EQ(value_of("n > m"), "error: column 5: unknown fact 'm'");
  for (const char* bad : {"", "n >", "(n", "n and b", "n + t", "t < t", "n in []", "n in [1", "'x",
                          "n n", "twice n", "not n", "n == t", "#", "1 in ['a']"}) {
    EXPECT_EQ(value_of(bad).substr(0, 14), "error: column ") << bad;
  }
}

TEST(Expression, DepthAndLengthAreBounded) {
  EXPECT_EQ(value_of(std::string(1000, '(')).substr(0, 5), "error");
  EXPECT_EQ(value_of(std::string(1000, '-') + "1").substr(0, 5), "error");
  std::string nots;
  for (int i = 0; i < 900; ++i) nots += "not ";
  EXPECT_EQ(value_of(nots + "b").substr(0, 5), "error");
  EXPECT_EQ(value_of(std::string(5000, '1')).substr(0, 5), "error");
}

TEST(Expression, TemplatesAreFilled) {
  const Result<Template> pattern = parse_template("{t} is {n / 4}, {{n}", resolve);
  ASSERT_TRUE(pattern.ok()) << pattern.error().message();
  EXPECT_EQ(fill(*pattern, look_up), "text is 1.5, {n}");
  EXPECT_FALSE(parse_template("{n", resolve).ok());
  EXPECT_FALSE(parse_template("{m}", resolve).ok());
}

}  // namespace
}  // namespace graupel::check
