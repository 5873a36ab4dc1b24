// Errors as values: Result<T> holds either a T or an Error.
//
// Idea: every function that can fail on some input returns Result<T>; nothing in src/ throws,
// prints, exits or aborts because of input. Callers pass errors on with TRY / TRY_ASSIGN.
// Test: base_test.cc.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace graupel {

enum class ErrorCode {
  kInvalidInput,  // the user's file, flag or data is not what it has to be
  kUnsupported,   // well-formed, but outside what graupel (or the target) takes
  kCorrupt,       // a file is truncated, damaged or fails a checksum
  kIo,            // the operating system refused (missing file, full disk, permission)
  kDevice,        // this machine lacks a device, driver or tool
  kInternal,      // a bug in graupel
};

std::string_view to_string(ErrorCode code);

// One line for people: "where: what". `where` is a file, node, tensor or byte offset (may be
// empty); `what` says what was found, what was expected and what to do.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string where;
  std::string what;

  std::string message() const { return where.empty() ? what : where + ": " + what; }
  // The same error seen from further out: "outer: where: what".
  Error within(std::string_view outer) && {
    where = where.empty() ? std::string(outer) : std::string(outer) + ": " + where;
    return std::move(*this);
  }
};

inline Error invalid_input(std::string where, std::string what) {
  return {ErrorCode::kInvalidInput, std::move(where), std::move(what)};
}
inline Error unsupported(std::string where, std::string what) {
  return {ErrorCode::kUnsupported, std::move(where), std::move(what)};
}
inline Error corrupt(std::string where, std::string what) {
  return {ErrorCode::kCorrupt, std::move(where), std::move(what)};
}
inline Error io_error(std::string where, std::string what) {
  return {ErrorCode::kIo, std::move(where), std::move(what)};
}
inline Error device_error(std::string where, std::string what) {
  return {ErrorCode::kDevice, std::move(where), std::move(what)};
}
inline Error internal_error(std::string where, std::string what) {
  return {ErrorCode::kInternal, std::move(where), std::move(what)};
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  const T& value() const& { return *std::get_if<0>(&state_); }
  T& value() & { return *std::get_if<0>(&state_); }
  T&& value() && { return std::move(*std::get_if<0>(&state_)); }
  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return !error_.has_value(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

inline Result<void> ok() { return {}; }

}  // namespace graupel

#define GRAUPEL_JOIN_(a, b) a##b
#define GRAUPEL_JOIN(a, b) GRAUPEL_JOIN_(a, b)

// TRY(expression): returns the error from the enclosing function if there is one.
#define TRY(expression)                                                                         \
  do {                                                                                          \
    if (auto try_result = (expression); !try_result.ok()) return std::move(try_result).error(); \
  } while (false)

// TRY_ASSIGN(const Graph graph, read(path)): declares (or assigns) on success, else returns the
// error. A declaration whose type holds a comma needs a `using` first.
#define TRY_ASSIGN(target, expression)                             \
  auto GRAUPEL_JOIN(try_result_, __LINE__) = (expression);         \
  if (!GRAUPEL_JOIN(try_result_, __LINE__).ok())                   \
    return std::move(GRAUPEL_JOIN(try_result_, __LINE__)).error(); \
  target = std::move(GRAUPEL_JOIN(try_result_, __LINE__)).value()
