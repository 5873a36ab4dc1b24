// Model scripts (.alls) of the vendor's compiler: read, written, and made.
//
// Idea: a script is a list of statements, each with the bytes in front of it (blanks, comments) and
// its own bytes, so that what was read is written back byte for byte; and each statement is parsed
// into names, command and arguments, so that it can be judged and merged.
// Grammar, gathered from published scripts (there is no official one):
//   script := { line }            line := [ stmt ] [ '#' comment ]
//   stmt   := [ ( name { ',' name } | parts ) '=' ] cmd '(' [ arg { ',' arg } ] ')'
//   parts  := '{' part { ',' part } '}'   part := name ':' '[' name { ',' name } ']'
//   cmd    := word [ '.' word ]   arg  := [ word '=' ] value
//   value  := INT | FLOAT | STRING | WORD | '[' [ value { ',' value } ] ']' | '{' glob '}'
// A newline ends a statement unless a bracket is open; a comment may stand wherever a blank may.
// Test: script_test.cc; fuzz/alls_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace graupel::hailo {

enum class ValueKind { kInt, kFloat, kString, kWord, kList, kGlob };

struct Value {
  ValueKind kind = ValueKind::kWord;
  std::string text;          // as written, a string with its quotes, a glob with its braces
  std::vector<Value> items;  // of a list

  bool operator==(const Value&) const = default;
};

struct Argument {
  std::string key;  // empty: by position
  Value value;

  bool operator==(const Argument&) const = default;
};

// "conv1: [conv1_d0, conv1_d1]" left of '=': the layers that one layer is split into.
struct Parts {
  std::string layer;
  std::vector<std::string> names;

  bool operator==(const Parts&) const = default;
};

struct Statement {
  std::vector<std::string> names;  // left of '='; of `parts` all of them
  std::vector<Parts> parts;        // how the names were grouped, if they were
  std::string scope;               // "context_0" of "context_0.place(...)"; mostly empty
  std::string command;
  std::vector<Argument> arguments;
  size_t line = 0;  // of the file it was read from, from 1; 0 if made

  std::string leading;  // blanks and comments in front of it
  std::string text;     // its own bytes
};

struct Script {
  std::vector<Statement> statements;
  std::string trailing;  // behind the last statement
};

inline constexpr size_t kScriptLimitBytes = size_t{16} << 20;

// Errors: kInvalidInput with the line, what was found and what was expected.
Result<Script> parse_script(std::string_view text);
// The bytes that were read; statements that were made are written by format_statement.
std::string format_script(const Script& script);
// names = scope.command(arguments), ", " between arguments, no newline.
std::string format_statement(const Statement& statement);
std::string format_value(const Value& value);

// ---- making statements ----

Value int_value(int64_t value);
Value float_value(double value);  // the shortest text that reads back as the same number
Value word_value(std::string word);
Value string_value(std::string_view text);  // in double quotes; `text` holds none and no newline
Value list_value(std::vector<Value> items);

// `text` of a value given on a command line, e.g. "a16_w16", "[0, 6.5]", "{conv*}".
Result<Value> parse_value(std::string_view text);

// The value of `key` among the arguments; nullptr if it is not given.
const Value* argument(const Statement& statement, std::string_view key);

}  // namespace graupel::hailo
