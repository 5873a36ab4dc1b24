// W3C Trace Context: which trace a request belongs to.
// Reference: W3C Recommendation "Trace Context" level 1, section 3.2. Test: trace_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "serve/http.h"

namespace graupel::serve {

struct Trace {
  std::string id;     // 32 hexadecimal digits
  std::string flags;  // 2 hexadecimal digits; bit 0: the caller records this trace
  bool operator==(const Trace&) const = default;
};

// Of a traceparent header's value, or nullopt if it is none.
std::optional<Trace> parse_traceparent(std::string_view value);
// Of a request; nullopt without the header, or with several.
std::optional<Trace> trace_of(const Request& request);

}  // namespace graupel::serve
