// Keys, roles and rate limits. See access.h. Reference: RFC 6750 (bearer tokens).
// Test: access_test.cc.
#include "serve/access.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>

#include "bundle/bundle.h"

namespace graupel::serve {
namespace {

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::string_view take_word(std::string_view& text) {
  text = trimmed(text);
  const size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::optional<Role> parse_role(std::string_view name) {
  for (const Role role : {Role::kRead, Role::kStream, Role::kAdmin}) {
    if (to_string(role) == name) return role;
  }
  return std::nullopt;
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kAnyone: return "anyone";
    case Role::kRead: return "read";
    case Role::kStream: return "stream";
    case Role::kAdmin: return "admin";
  }
  return "";
}

Result<std::vector<ApiKey>> parse_keys(std::string_view text, const std::string& where) {
  std::vector<ApiKey> keys;
  for (size_t line_number = 1; !text.empty(); ++line_number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::string_view name = take_word(line), role = take_word(line);
    const std::string_view digest = take_word(line);
    const std::optional<Role> parsed = parse_role(role);
    if (!parsed || !is_sha256(digest) || !trimmed(line).empty() || !safe_token(name, 64)) {
      return invalid_input(fmt::format("{}, line {}", where, line_number),
                           "is not NAME ROLE SHA256 with a role of read, stream or admin and 64 "
                           "lower-case digits; `printf %s KEY | sha256sum` makes them");
    }
    keys.push_back({std::string(name), std::string(digest), *parsed});
  }
  return keys;
}

std::string_view key_of(const Request& request) {
  const std::string_view authorization = request.header("authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (authorization.starts_with(kBearer)) return trimmed(authorization.substr(kBearer.size()));
  return request.header("x-api-key");
}

Access judge_key(const std::vector<ApiKey>& keys, std::string_view key, Role needed) {
  const std::string digest = bundle::sha256_hex(key);
  const ApiKey* found = nullptr;
  // Every key is compared, so that time tells nothing about which one was close.
  for (const ApiKey& candidate : keys) {
    const bool equal = digest.size() == candidate.sha256.size() &&
                       CRYPTO_memcmp(digest.data(), candidate.sha256.data(), digest.size()) == 0;
    if (equal) found = &candidate;
  }
  if (key.empty() || found == nullptr) return {Verdict::kUnauthorised, ""};
  return {found->role >= needed ? Verdict::kAllowed : Verdict::kForbidden, found->name};
}

Access judge_access(const std::vector<ApiKey>& keys, const Request& request, Role needed) {
  if (needed == Role::kAnyone || keys.empty()) return {Verdict::kAllowed, request.peer};
  return judge_key(keys, key_of(request), needed);
}

std::optional<double> take_tokens(Bucket& bucket, double cost, double per_second, double burst,
                                  TimePoint now) {
  const double passed = std::chrono::duration<double>(now - bucket.seen).count();
  bucket.tokens = std::min(burst, bucket.tokens + std::max(passed, 0.0) * per_second);
  bucket.seen = now;
  if (bucket.tokens < cost) return (cost - bucket.tokens) / per_second;
  bucket.tokens -= cost;
  return std::nullopt;
}

std::optional<double> take_token(RateLimits& limits, const std::string& who, TimePoint now) {
  if (limits.per_second <= 0.0) return std::nullopt;
  if (limits.buckets.size() >= kMaxBuckets && !limits.buckets.contains(who)) {
    limits.buckets.erase(std::min_element(
        limits.buckets.begin(), limits.buckets.end(),
        [](const auto& a, const auto& b) { return a.second.seen < b.second.seen; }));
  }
  const double burst = std::max(limits.burst, 1.0);
  const auto [entry, is_new] = limits.buckets.try_emplace(who, Bucket{burst, now});
  return take_tokens(entry->second, 1.0, limits.per_second, burst, now);
}

}  // namespace graupel::serve
