// Reading and writing model scripts. See script.h. Test: script_test.cc; fuzz/alls_fuzz.cc.
//
// Idea: a recursive descent over the bytes with one rule for blanks: at depth 0 a newline is
// not a blank, inside brackets it is. The parser copies no text that it cannot give back.
#include "hailo/script.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace graupel::hailo {
namespace {

constexpr int kMostNesting = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word_char(char c) {
  return is_letter(c) || is_digit(c) || c == '.' || c == '/' || c == '-';
}
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }

bool is_integer(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

// [sign] digits [. digits] [e [sign] digits], with a digit on one side of the point.
bool is_float(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const size_t exponent = text.find_first_of("eE");
  if (exponent != text.npos && !is_integer(text.substr(exponent + 1))) return false;
  const std::string_view mantissa = text.substr(0, exponent);
  const size_t digits =
      static_cast<size_t>(std::count_if(mantissa.begin(), mantissa.end(), is_digit));
  const size_t points = static_cast<size_t>(std::count(mantissa.begin(), mantissa.end(), '.'));
  return digits > 0 && points <= 1 && digits + points == mantissa.size();
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Script> script() {
    Script script;
    while (true) {
      const size_t begin = at_;
      skip(Newlines::kBlank);
      if (at_ == text_.size()) {
        script.trailing = std::string(text_.substr(begin));
        return script;
      }
      std::string leading(text_.substr(begin, at_ - begin));
      TRY_ASSIGN(Statement parsed, statement());
      parsed.leading = std::move(leading);
      script.statements.push_back(std::move(parsed));
      TRY(end_of_line());
    }
  }

  Result<Value> lone_value() {
    skip(Newlines::kBlank);
    TRY_ASSIGN(Value parsed, value(0));
    skip(Newlines::kBlank);
    if (at_ != text_.size()) return wrong("the end");
    return parsed;
  }

 private:
  enum class Newlines { kBlank, kEnd };

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip(Newlines newlines) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (is_blank(c) || (c == '\n' && newlines == Newlines::kBlank)) {
        ++at_;
      } else if (at_ == 0 && text_.starts_with("\xEF\xBB\xBF")) {
        at_ = 3;
      } else {
        return;
      }
    }
  }

  // Lines are counted on demand: once per statement and once per error, always further on.
  size_t line() {
    line_ += static_cast<size_t>(std::count(text_.begin() + static_cast<ptrdiff_t>(counted_to_),
                                            text_.begin() + static_cast<ptrdiff_t>(at_), '\n'));
    counted_to_ = at_;
    return line_;
  }

  Error wrong(std::string_view expected) {
    std::string found = "the end of the script";
    if (at_ < text_.size()) {
      const std::string_view rest = text_.substr(at_, 24);
      const std::string_view shown = rest.substr(0, rest.find('\n'));
      found = shown.empty() ? "the end of the line" : "'" + clean_utf8(shown) + "'";
    }
    return invalid_input(fmt::format("line {}", line()),
                         fmt::format("has {} where {} was expected", found, expected));
  }

  // Looks only: what it passes over belongs to the next statement.
  Result<void> end_of_line() {
    const size_t behind = at_;
    skip(Newlines::kEnd);
    if (at_ < text_.size() && text_[at_] != '\n') return wrong("the end of the statement");
    at_ = behind;
    return ok();
  }

  Result<std::string> word(std::string_view expected) {
    if (!is_letter(peek())) return wrong(expected);
    const size_t begin = at_;
    while (at_ < text_.size() && is_word_char(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  // '{' name ':' '[' names ']' { ',' ... } '}' in front of a block's '='.
  Result<void> parts(Statement& parsed) {
    do {
      ++at_;  // the brace, later the comma
      skip(Newlines::kBlank);
      TRY_ASSIGN(Parts split, split_layer());
      parsed.names.insert(parsed.names.end(), split.names.begin(), split.names.end());
      parsed.parts.push_back(std::move(split));
      skip(Newlines::kBlank);
    } while (peek() == ',');
    if (peek() != '}') return wrong("',' or '}'");
    ++at_;
    skip(Newlines::kEnd);
    if (peek() != '=') return wrong("'='");
    ++at_;
    skip(Newlines::kEnd);
    return ok();
  }

  Result<Parts> split_layer() {
    Parts split;
    TRY_ASSIGN(split.layer, word("the name of a layer"));
    skip(Newlines::kBlank);
    if (peek() != ':') return wrong("':'");
    ++at_;
    skip(Newlines::kBlank);
    if (peek() != '[') return wrong("'['");
    do {
      ++at_;  // the bracket, later the comma
      skip(Newlines::kBlank);
      TRY_ASSIGN(std::string name, word("a name"));
      split.names.push_back(std::move(name));
      skip(Newlines::kBlank);
    } while (peek() == ',');
    if (peek() != ']') return wrong("',' or ']'");
    ++at_;
    return split;
  }

  Result<Statement> statement() {
    Statement parsed;
    const size_t begin = at_;
    parsed.line = line();
    if (peek() == '{') TRY(parts(parsed));
    TRY_ASSIGN(std::string first, word(parsed.parts.empty() ? "a command or a name" : "a command"));
    skip(Newlines::kEnd);
    if (parsed.parts.empty() && (peek() == ',' || peek() == '=')) {
      parsed.names.push_back(std::move(first));
      while (peek() == ',') {
        ++at_;
        skip(Newlines::kEnd);
        TRY_ASSIGN(std::string name, word("a name"));
        parsed.names.push_back(std::move(name));
        skip(Newlines::kEnd);
      }
      if (peek() != '=') return wrong("'=' or ','");
      ++at_;
      skip(Newlines::kEnd);
      TRY_ASSIGN(first, word("a command"));
      skip(Newlines::kEnd);
    }
    const size_t dot = first.find('.');
    if (dot != first.npos) parsed.scope = first.substr(0, dot);
    parsed.command = dot == first.npos ? first : first.substr(dot + 1);
    if (parsed.command.empty() || parsed.command.find('.') != parsed.command.npos) {
      at_ = begin;
      return wrong("COMMAND(...) or SCOPE.COMMAND(...)");
    }
    TRY(arguments(parsed));
    parsed.text = std::string(text_.substr(begin, at_ - begin));
    return parsed;
  }

  Result<void> arguments(Statement& parsed) {
    if (peek() != '(') return wrong("'('");
    ++at_;
    skip(Newlines::kBlank);
    while (peek() != ')') {
      if (!parsed.arguments.empty()) {
        if (peek() != ',') return wrong("',' or ')'");
        ++at_;
        skip(Newlines::kBlank);
      }
      TRY_ASSIGN(Argument argument, argument_of());
      parsed.arguments.push_back(std::move(argument));
      skip(Newlines::kBlank);
    }
    ++at_;
    return ok();
  }

  Result<Argument> argument_of() {
    Argument argument;
    TRY_ASSIGN(argument.value, value(0));
    if (argument.value.kind != ValueKind::kWord) return argument;
    const size_t behind = at_;
    skip(Newlines::kBlank);
    if (peek() != '=') {
      at_ = behind;
      return argument;
    }
    ++at_;
    argument.key = std::move(argument.value.text);
    skip(Newlines::kBlank);
    TRY_ASSIGN(argument.value, value(0));
    return argument;
  }

  Result<Value> value(int depth) {
    const char c = peek();
    if (c == '[') return list(depth);
    if (c == '{') return delimited(ValueKind::kGlob, '}');
    if (c == '"' || c == '\'') return delimited(ValueKind::kString, c);
    if (is_letter(c)) {
      TRY_ASSIGN(std::string text, word("a value"));
      return Value{ValueKind::kWord, std::move(text), {}};
    }
    return number();
  }

  Result<Value> list(int depth) {
    if (depth >= kMostNesting) return wrong("lists nested less deeply");
    Value parsed{ValueKind::kList, "", {}};
    ++at_;
    skip(Newlines::kBlank);
    while (peek() != ']') {
      if (!parsed.items.empty()) {
        if (peek() != ',') return wrong("',' or ']'");
        ++at_;
        skip(Newlines::kBlank);
      }
      TRY_ASSIGN(Value item, value(depth + 1));
      parsed.items.push_back(std::move(item));
      skip(Newlines::kBlank);
    }
    ++at_;
    return parsed;
  }

  Result<Value> delimited(ValueKind kind, char closing) {
    const size_t end = text_.find(closing, at_ + 1);
    const size_t newline = text_.find('\n', at_);
    if (end == text_.npos || newline < end) {
      return wrong(fmt::format("a closing {} on the same line", closing));
    }
    Value parsed{kind, std::string(text_.substr(at_, end + 1 - at_)), {}};
    at_ = end + 1;
    return parsed;
  }

  // INT, FLOAT, or a word that begins with a digit ("600s").
  Result<Value> number() {
    const size_t begin = at_;
    size_t end = at_;
    if (end < text_.size() && (text_[end] == '-' || text_[end] == '+')) ++end;
    while (end < text_.size()) {
      const bool exponent_sign =
          text_[end] == '+' && end > begin && (text_[end - 1] == 'e' || text_[end - 1] == 'E');
      if (!is_word_char(text_[end]) && !exponent_sign) break;
      ++end;
    }
    const std::string_view token = text_.substr(begin, end - begin);
    ValueKind kind = ValueKind::kWord;
    if (is_integer(token)) {
      kind = ValueKind::kInt;
    } else if (is_float(token)) {
      kind = ValueKind::kFloat;
    } else if (token.empty() || !is_digit(token[0]) || token.find('+') != token.npos) {
      return wrong("a value");
    }
    at_ = end;
    return Value{kind, std::string(token), {}};
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t counted_to_ = 0;
  size_t line_ = 1;
};

}  // namespace

Result<Script> parse_script(std::string_view text) {
  if (text.size() > kScriptLimitBytes) {
    return invalid_input("model script", fmt::format("has {} bytes; the limit is {}", text.size(),
                                                     kScriptLimitBytes));
  }
  if (text.find('\0') != text.npos) {
    return invalid_input("model script", "holds a zero byte: it is not a text file");
  }
  return Parser(text).script();
}

Result<Value> parse_value(std::string_view text) {
  if (text.size() > kScriptLimitBytes || text.find('\0') != text.npos) {
    return invalid_input("value", "is too long or not text");
  }
  return Parser(text).lone_value();
}

std::string format_script(const Script& script) {
  std::string text;
  for (const Statement& statement : script.statements) {
    text += statement.leading;
    text += statement.text.empty() ? format_statement(statement) : statement.text;
  }
  return text + script.trailing;
}

std::string format_value(const Value& value) {
  if (value.kind != ValueKind::kList) return value.text;
  std::string text = "[";
  for (size_t i = 0; i < value.items.size(); ++i) {
    text += (i == 0 ? "" : ", ") + format_value(value.items[i]);
  }
  return text + "]";
}

std::string format_statement(const Statement& statement) {
  std::string text;
  for (size_t i = 0; i < statement.parts.size(); ++i) {
    const Parts& split = statement.parts[i];
    text +=
        (i == 0 ? "{" : ", ") + fmt::format("{}: [{}]", split.layer, fmt::join(split.names, ", "));
  }
  if (!statement.parts.empty()) {
    text += "}";
  } else {
    text += fmt::format("{}", fmt::join(statement.names, ", "));
  }
  if (!statement.names.empty()) text += " = ";
  if (!statement.scope.empty()) text += statement.scope + ".";
  text += statement.command + "(";
  for (size_t i = 0; i < statement.arguments.size(); ++i) {
    const Argument& argument = statement.arguments[i];
    text += (i == 0 ? "" : ", ") + (argument.key.empty() ? "" : argument.key + "=") +
            format_value(argument.value);
  }
  return text + ")";
}

Value int_value(int64_t value) { return {ValueKind::kInt, std::to_string(value), {}}; }

Value float_value(double value) {
  char digits[64];
  const auto [end, status] = std::to_chars(digits, digits + sizeof(digits), value);
  std::string text(digits, status == std::errc() ? end : digits);
  if (is_integer(text)) text += ".0";
  return {ValueKind::kFloat, std::move(text), {}};
}

Value word_value(std::string word) { return {ValueKind::kWord, std::move(word), {}}; }

Value string_value(std::string_view text) {
  return {ValueKind::kString, fmt::format("\"{}\"", text), {}};
}

Value list_value(std::vector<Value> items) { return {ValueKind::kList, "", std::move(items)}; }

const Value* argument(const Statement& statement, std::string_view key) {
  for (const Argument& argument : statement.arguments) {
    if (argument.key == key) return &argument.value;
  }
  return nullptr;
}

}  // namespace graupel::hailo
