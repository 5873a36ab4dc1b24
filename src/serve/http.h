// HTTP messages as plain values, so that everything behind the socket can be tested and fuzzed
// without one. Test: http_test.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace graupel::serve {

struct Header {
  std::string name;  // lower case in a request
  std::string value;
};

struct Request {
  std::string method;                                      // "GET", "POST", ...
  std::string path;                                        // percent-decoded, begins with '/'
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  std::vector<Header> headers;
  std::string body;
  std::string peer;                     // the client's address
  std::string certificate_common_name;  // of a verified client certificate, else empty

  // The first header of this (lower-case) name; empty if there is none.
  std::string_view header(std::string_view name) const;
  std::optional<std::string_view> query_value(std::string_view name) const;
};

struct Reply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<Header> headers;
};

// Called exactly once for each request, from any thread.
using Respond = std::function<void(Reply)>;

// Splits "/a%20b?x=1&y" into request.path and request.query. Errors: kInvalidInput for a target
// that does not begin with '/', a broken escape, a NUL or a control character.
Result<void> parse_target(std::string_view target, Request& request);

// The longest run of header value characters that may be echoed: letters, digits, '-', '_', '.';
// nullopt if there is any other, none, or more than `limit`.
std::optional<std::string> safe_token(std::string_view text, size_t limit);

}  // namespace graupel::serve
