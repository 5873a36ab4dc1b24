// The little language of rule conditions: "kernel_h > 7 or not power_of_two(stride_w)".
//
// Idea: an expression is parsed once, type-checked against the names its host offers, and then
// evaluated against any subject. A fact may be unknown (a shape not yet static); unknown spreads
// through arithmetic and comparisons, and `and` / `or` / `not` follow Kleene's three-valued logic,
// so a rule fires only on what is certain.
//
//   expression := and {"or" and}          and  := not {"and" not}
//   not        := "not" not | comparison
//   comparison := sum [("<"|"<="|">"|">="|"=="|"!=") sum | ["not"] "in" "[" literal {"," literal}
//   "]"] sum        := product {("+"|"-") product}      product := primary {("*"|"/"|"%") primary}
//   primary    := number | "'" text "'" | name ["(" expression ")"] | "-" primary
//               | "(" expression ")"
//
// Test: expression_test.cc.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace graupel::check {

enum class Type { kBool, kNumber, kText };
std::string_view to_string(Type type);  // "condition", "number", "text"

// std::monostate is "unknown".
using FactValue = std::variant<std::monostate, bool, double, std::string>;
// "12", "0.25" (four significant digits), "true", the text itself, "unknown".
std::string to_string(const FactValue& value);

// What a name means to the host: an index of its own, the result's type, and the type of the one
// argument if the name is a function.
struct Symbol {
  int index = 0;
  Type type = Type::kNumber;
  std::optional<Type> argument;
};
using ResolveName = std::function<Result<Symbol>(std::string_view name)>;
// `argument` is nullptr for a plain name.
using LookUp = std::function<FactValue(int index, const FactValue* argument)>;

enum class Operation {
  kLiteral,
  kName,
  kNot,
  kAnd,
  kOr,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kEqual,
  kNotEqual,
  kIn,  // first operand in the rest
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kNegate,
};

struct Expression {
  struct Step {
    Operation operation = Operation::kLiteral;
    Type type = Type::kBool;
    FactValue literal;  // kLiteral
    int symbol = 0;     // kName
    std::vector<size_t> operands;
  };
  std::vector<Step> steps;  // operands come before their user; the last step is the result
  Type type() const { return steps.empty() ? Type::kBool : steps.back().type; }
};

// Errors (kInvalidInput, `where` empty) name the column, what was found and what was expected:
// unknown names, wrong types, wrong syntax, more than 4096 characters or 64 levels of nesting.
Result<Expression> parse_expression(std::string_view text, const ResolveName& resolve);

// An empty expression is true. Division by zero is unknown.
FactValue evaluate(const Expression& expression, const LookUp& look_up);

// Text with {expression} placeholders; "{{" stands for "{".
struct Template {
  struct Part {
    std::string text;
    std::optional<Expression> expression;  // after the text
  };
  std::vector<Part> parts;
};
Result<Template> parse_template(std::string_view text, const ResolveName& resolve);
std::string fill(const Template& pattern, const LookUp& look_up);

}  // namespace graupel::check
