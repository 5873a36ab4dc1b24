// Conditions and message templates of rules: recursive descent to a list of steps, and a walk over
// them. See expression.h for the grammar. Test: expression_test.cc.
#include "check/expression.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace graupel::check {
namespace {

constexpr size_t kMaxCharacters = 4096;
constexpr int kMaxDepth = 64;
constexpr double kExactInteger = 1e15;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c) || c == '.'; }

class Parser {
 public:
  Parser(std::string_view text, const ResolveName& resolve) : text_(text), resolve_(resolve) {}

  Result<Expression> parse() {
    if (text_.size() > kMaxCharacters) return fail("the expression is longer than 4096 characters");
    TRY(parse_or(0));
    if (!rest().empty()) return fail("expected the end of the expression");
    return std::move(expression_);
  }

 private:
  // Every parse_* appends steps and leaves the result in the last one.
  using Done = Result<void>;

  Error fail(std::string what) {
    const std::string_view left = rest();
    const std::string found =
        left.empty() ? "the end" : "'" + std::string(left.substr(0, 16)) + "'";
    return invalid_input("", fmt::format("column {}: found {}; {}", at_ + 1, found, what));
  }

  std::string_view rest() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return text_.substr(at_);
  }

  bool take(std::string_view token) {
    if (!rest().starts_with(token)) return false;
    const size_t end = at_ + token.size();
    if (is_name_start(token[0]) && end < text_.size() && is_name(text_[end])) return false;
    at_ = end;
    return true;
  }

  size_t last() const { return expression_.steps.size() - 1; }
  Type type_of(size_t step) const { return expression_.steps[step].type; }

  void push(Operation operation, Type type, std::vector<size_t> operands) {
    expression_.steps.push_back({operation, type, {}, 0, std::move(operands)});
  }

  Done want(size_t step, Type type) {
    if (type_of(step) == type) return ok();
    return fail(fmt::format("the expression before it is a {}, expected a {}",
                            to_string(type_of(step)), to_string(type)));
  }

  Done parse_or(int depth) {
    if (depth > kMaxDepth) return fail("nested deeper than 64 levels");
    TRY(parse_and(depth));
    while (take("or")) {
      const size_t left = last();
      TRY(want(left, Type::kBool));
      TRY(parse_and(depth));
      TRY(want(last(), Type::kBool));
      push(Operation::kOr, Type::kBool, {left, last()});
    }
    return ok();
  }

  Done parse_and(int depth) {
    TRY(parse_not(depth));
    while (take("and")) {
      const size_t left = last();
      TRY(want(left, Type::kBool));
      TRY(parse_not(depth));
      TRY(want(last(), Type::kBool));
      push(Operation::kAnd, Type::kBool, {left, last()});
    }
    return ok();
  }

  Done parse_not(int depth) {
    if (depth > kMaxDepth) return fail("nested deeper than 64 levels");
    if (!take("not")) return parse_comparison(depth);
    TRY(parse_not(depth + 1));
    TRY(want(last(), Type::kBool));
    push(Operation::kNot, Type::kBool, {last()});
    return ok();
  }

  Done parse_comparison(int depth) {
    TRY(parse_sum(depth));
    if (take("in")) return parse_list(depth);
    if (take("not")) {
      if (!take("in")) return fail("expected 'in' after 'not'");
      TRY(parse_list(depth));
      push(Operation::kNot, Type::kBool, {last()});
      return ok();
    }
    static constexpr std::pair<std::string_view, Operation> kOperators[] = {
        {"<=", Operation::kLessOrEqual}, {">=", Operation::kGreaterOrEqual},
        {"==", Operation::kEqual},       {"!=", Operation::kNotEqual},
        {"<", Operation::kLess},         {">", Operation::kGreater}};
    for (const auto& [token, operation] : kOperators) {
      if (!take(token)) continue;
      const size_t left = last();
      TRY(parse_sum(depth));
      const bool equality = operation == Operation::kEqual || operation == Operation::kNotEqual;
      TRY(want(last(), equality ? type_of(left) : Type::kNumber));
      if (!equality) TRY(want(left, Type::kNumber));
      push(operation, Type::kBool, {left, last()});
      break;
    }
    return ok();
  }

  Done parse_list(int depth) {
    std::vector<size_t> operands = {last()};
    if (!take("[")) return fail("expected '[' after 'in'");
    do {
      TRY(parse_primary(depth + 1));
      TRY(want(last(), type_of(operands[0])));
      operands.push_back(last());
    } while (take(","));
    if (!take("]")) return fail("expected ']'");
    push(Operation::kIn, Type::kBool, std::move(operands));
    return ok();
  }

  Done parse_sum(int depth) {
    TRY(parse_product(depth));
    for (;;) {
      const bool plus = take("+");
      if (!plus && !take("-")) return ok();
      const size_t left = last();
      TRY(parse_product(depth));
      TRY(push_arithmetic(plus ? Operation::kAdd : Operation::kSubtract, left));
    }
  }

  Done parse_product(int depth) {
    TRY(parse_primary(depth));
    for (;;) {
      Operation operation;
      if (take("*")) {
        operation = Operation::kMultiply;
      } else if (take("/")) {
        operation = Operation::kDivide;
      } else if (take("%")) {
        operation = Operation::kModulo;
      } else {
        return ok();
      }
      const size_t left = last();
      TRY(parse_primary(depth));
      TRY(push_arithmetic(operation, left));
    }
  }

  Done push_arithmetic(Operation operation, size_t left) {
    TRY(want(left, Type::kNumber));
    TRY(want(last(), Type::kNumber));
    push(operation, Type::kNumber, {left, last()});
    return ok();
  }

  Done parse_primary(int depth) {
    if (depth > kMaxDepth) return fail("nested deeper than 64 levels");
    const std::string_view left = rest();
    if (left.empty()) return fail("expected a number, a name or '('");
    if (take("(")) {
      TRY(parse_or(depth + 1));
      return take(")") ? ok() : fail("expected ')'");
    }
    if (take("-")) {
      TRY(parse_primary(depth + 1));
      TRY(want(last(), Type::kNumber));
      push(Operation::kNegate, Type::kNumber, {last()});
      return ok();
    }
    if (left[0] == '\'') return parse_text();
    if (is_digit(left[0])) return parse_number();
    if (is_name_start(left[0])) return parse_name(depth);
    return fail("expected a number, a name or '('");
  }

  Done parse_text() {
    const size_t end = text_.find('\'', at_ + 1);
    if (end == std::string_view::npos) return fail("expected a closing quote");
    push(Operation::kLiteral, Type::kText, {});
    expression_.steps.back().literal = std::string(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return ok();
  }

  Done parse_number() {
    const std::string_view left = rest();
    double number = 0;
    const auto [end, code] = std::from_chars(left.data(), left.data() + left.size(), number);
    if (code != std::errc()) return fail("expected a number");
    at_ += static_cast<size_t>(end - left.data());
    push(Operation::kLiteral, Type::kNumber, {});
    expression_.steps.back().literal = number;
    return ok();
  }

  Done parse_name(int depth) {
    size_t end = at_;
    while (end < text_.size() && is_name(text_[end])) ++end;
    const std::string_view name = text_.substr(at_, end - at_);
    Result<Symbol> symbol = resolve_(name);
    if (!symbol.ok()) {
      return invalid_input("", fmt::format("column {}: {}", at_ + 1, symbol.error().message()));
    }
    at_ = end;
    std::vector<size_t> operands;
    if (symbol->argument) {
      if (!take("(")) return fail(fmt::format("expected '(' after '{}'", name));
      TRY(parse_or(depth + 1));
      TRY(want(last(), *symbol->argument));
      operands.push_back(last());
      if (!take(")")) return fail("expected ')'");
    }
    push(Operation::kName, symbol->type, std::move(operands));
    expression_.steps.back().symbol = symbol->index;
    return ok();
  }

  std::string_view text_;
  const ResolveName& resolve_;
  size_t at_ = 0;
  Expression expression_;
};

bool unknown(const FactValue& value) { return std::holds_alternative<std::monostate>(value); }

// Kleene: `decided` is the truth value that settles the matter alone.
FactValue combine(const FactValue& left, const FactValue& right, bool decided) {
  const bool* a = std::get_if<bool>(&left);
  const bool* b = std::get_if<bool>(&right);
  if ((a != nullptr && *a == decided) || (b != nullptr && *b == decided)) return decided;
  if (a == nullptr || b == nullptr) return {};
  return !decided;
}

FactValue compute(Operation operation, double a, double b) {
  switch (operation) {
    case Operation::kLess: return a < b;
    case Operation::kLessOrEqual: return a <= b;
    case Operation::kGreater: return a > b;
    case Operation::kGreaterOrEqual: return a >= b;
    case Operation::kAdd: return a + b;
    case Operation::kSubtract: return a - b;
    case Operation::kMultiply: return a * b;
    case Operation::kDivide: return b == 0 ? FactValue() : FactValue(a / b);
    case Operation::kModulo: return b == 0 ? FactValue() : FactValue(std::fmod(a, b));
    default: return {};
  }
}

FactValue is_in(const Expression::Step& step, const std::vector<FactValue>& values) {
  const FactValue& wanted = values[step.operands[0]];
  if (unknown(wanted)) return {};
  bool maybe = false;
  for (size_t i = 1; i < step.operands.size(); ++i) {
    const FactValue& candidate = values[step.operands[i]];
    if (candidate == wanted) return true;
    maybe = maybe || unknown(candidate);
  }
  return maybe ? FactValue() : FactValue(false);
}

FactValue evaluate_step(const Expression::Step& step, const std::vector<FactValue>& values,
                        const LookUp& look_up) {
  const FactValue* first = step.operands.empty() ? nullptr : &values[step.operands[0]];
  const FactValue* second = step.operands.size() < 2 ? nullptr : &values[step.operands[1]];
  switch (step.operation) {
    case Operation::kLiteral: return step.literal;
    case Operation::kName: return look_up(step.symbol, first);
    case Operation::kNot: return unknown(*first) ? FactValue() : !std::get<bool>(*first);
    case Operation::kAnd: return combine(*first, *second, false);
    case Operation::kOr: return combine(*first, *second, true);
    case Operation::kIn: return is_in(step, values);
    case Operation::kNegate: return unknown(*first) ? FactValue() : -std::get<double>(*first);
    default: break;
  }
  if (unknown(*first) || unknown(*second)) return {};
  if (step.operation == Operation::kEqual) return *first == *second;
  if (step.operation == Operation::kNotEqual) return *first != *second;
  return compute(step.operation, std::get<double>(*first), std::get<double>(*second));
}

}  // namespace

std::string_view to_string(Type type) {
  switch (type) {
    case Type::kBool: return "condition";
    case Type::kNumber: return "number";
    case Type::kText: return "text";
  }
  return "?";
}

std::string to_string(const FactValue& value) {
  if (const bool* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const std::string* text = std::get_if<std::string>(&value)) return *text;
  if (const double* number = std::get_if<double>(&value)) {
    if (std::trunc(*number) == *number && std::fabs(*number) < kExactInteger) {
      return fmt::format("{:.0f}", *number + 0.0);
    }
    return fmt::format("{:.4g}", *number);
  }
  return "unknown";
}

Result<Expression> parse_expression(std::string_view text, const ResolveName& resolve) {
  return Parser(text, resolve).parse();
}

FactValue evaluate(const Expression& expression, const LookUp& look_up) {
  if (expression.steps.empty()) return true;
  std::vector<FactValue> values;
  values.reserve(expression.steps.size());
  for (const Expression::Step& step : expression.steps) {
    values.push_back(evaluate_step(step, values, look_up));
  }
  return values.back();
}

Result<Template> parse_template(std::string_view text, const ResolveName& resolve) {
  Template pattern;
  pattern.parts.emplace_back();
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '{') {
      pattern.parts.back().text += text[at];
    } else if (text.substr(at).starts_with("{{")) {
      pattern.parts.back().text += text[at++];
    } else {
      const size_t end = text.find('}', at);
      if (end == std::string_view::npos) {
        return invalid_input("", fmt::format("column {}: '{{' without '}}'", at + 1));
      }
      const std::string_view inner = text.substr(at + 1, end - at - 1);
      Result<Expression> expression = parse_expression(inner, resolve);
      if (!expression.ok()) {
        return std::move(expression).error().within(fmt::format("in '{{{}}}'", inner));
      }
      pattern.parts.back().expression = std::move(expression).value();
      pattern.parts.emplace_back();
      at = end;
    }
  }
  return pattern;
}

std::string fill(const Template& pattern, const LookUp& look_up) {
  std::string text;
  for (const Template::Part& part : pattern.parts) {
    text += part.text;
    if (part.expression) text += to_string(evaluate(*part.expression, look_up));
  }
  return text;
}

}  // namespace graupel::check
