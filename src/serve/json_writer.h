// JSON text written value by value, with the commas where they belong. Test: sessions_test.cc.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <utility>

#include "serve/json.h"

namespace graupel::serve {

class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name) {
    separate();
    append_text(json_, name);
    json_ += ':';
    comma_ = false;
    return *this;
  }
  JsonWriter& value(std::string_view text) {
    separate();
    append_text(json_, text);
    return *this;
  }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  template <class T>
  requires std::integral<T> || std::floating_point<T> JsonWriter& value(T number) {
    separate();
    if constexpr (std::same_as<T, bool>) {
      json_ += number ? "true" : "false";
    } else if constexpr (std::integral<T>) {
      json_ += std::to_string(number);
    } else {
      append_number(json_, number);  // null if it is not finite
    }
    return *this;
  }
  JsonWriter& null() {
    separate();
    json_ += "null";
    return *this;
  }
  template <class T>
  JsonWriter& field(std::string_view name, const T& content) {
    key(name);
    return value(content);
  }
  template <class Range>
  JsonWriter& list(std::string_view name, const Range& values) {
    key(name).begin_array();
    for (const auto& each : values) value(each);
    return end_array();
  }
  std::string take() { return std::move(json_); }

 private:
  void separate() {
    if (comma_) json_ += ',';
    comma_ = true;
  }
  JsonWriter& open(char bracket) {
    separate();
    json_ += bracket;
    comma_ = false;
    return *this;
  }
  JsonWriter& close(char bracket) {
    json_ += bracket;
    comma_ = true;
    return *this;
  }

  std::string json_;
  bool comma_ = false;
};

}  // namespace graupel::serve
