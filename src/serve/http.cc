// HTTP messages as values: targets, headers, tokens. See http.h. Reference: RFC 3986 section 2.1
// (percent-encoding), RFC 9110 section 5. Test: http_test.cc.
#include "serve/http.h"

namespace graupel::serve {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum class Plus { kLiteral, kSpace };

Result<std::string> percent_decoded(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const bool whole = i + 2 < text.size();
      const int high = whole ? hex_value(text[i + 1]) : -1;
      const int low = whole ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return invalid_input("request target", "has a broken % escape");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus == Plus::kSpace) {
      c = ' ';
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return invalid_input("request target", "has a control character");
    }
    out += c;
  }
  return out;
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const Header& header : headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

std::optional<std::string_view> Request::query_value(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Result<void> parse_target(std::string_view target, Request& request) {
  if (!target.starts_with('/')) {
    return invalid_input("request target", "has to begin with '/'");
  }
  const size_t mark = target.find('?');
  TRY_ASSIGN(request.path, percent_decoded(target.substr(0, mark), Plus::kLiteral));
  request.query.clear();
  std::string_view rest = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    const size_t equals = pair.find('=');
    TRY_ASSIGN(std::string key, percent_decoded(pair.substr(0, equals), Plus::kSpace));
    std::string value;
    if (equals != std::string_view::npos) {
      TRY_ASSIGN(value, percent_decoded(pair.substr(equals + 1), Plus::kSpace));
    }
    if (!key.empty()) request.query.emplace_back(std::move(key), std::move(value));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return ok();
}

std::optional<std::string> safe_token(std::string_view text, size_t limit) {
  if (text.empty() || text.size() > limit) return std::nullopt;
  for (const char c : text) {
    const bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '-' || c == '_' || c == '.';
    if (!good) return std::nullopt;
  }
  return std::string(text);
}

}  // namespace graupel::serve
