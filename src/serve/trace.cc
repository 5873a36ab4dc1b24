// Reads traceparent. See trace.h. Reference: W3C "Trace Context", 3.2.2. Test: trace_test.cc.
#include "serve/trace.h"

#include <algorithm>

namespace graupel::serve {
namespace {

constexpr size_t kBytes = 55;  // "00-", 32 digits, '-', 16 digits, '-', 2 digits

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_zero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

}  // namespace

std::optional<Trace> parse_traceparent(std::string_view value) {
  if (value.size() < kBytes || value[2] != '-' || value[35] != '-' || value[52] != '-') {
    return std::nullopt;
  }
  const std::string_view version = value.substr(0, 2), id = value.substr(3, 32);
  const std::string_view parent = value.substr(36, 16), flags = value.substr(53, 2);
  if (!is_hex(version) || !is_hex(id) || !is_hex(parent) || !is_hex(flags)) return std::nullopt;
  if (version == "ff" || is_zero(id) || is_zero(parent)) return std::nullopt;
  // Later versions may add fields behind a '-', this one has none.
  if (value.size() > kBytes && (version == "00" || value[kBytes] != '-')) return std::nullopt;
  return Trace{std::string(id), std::string(flags)};
}

std::optional<Trace> trace_of(const Request& request) {
  const auto is_parent = [](const Header& header) { return header.name == "traceparent"; };
  if (std::count_if(request.headers.begin(), request.headers.end(), is_parent) != 1) {
    return std::nullopt;
  }
  return parse_traceparent(request.header("traceparent"));
}

}  // namespace graupel::serve
