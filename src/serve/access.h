// Who may do what, and how often.
//
// Idea: keys are kept as SHA-256 digests and compared in constant time; a key has one role, and
// roles are ordered. Without any key the server is open, which is why it listens on loopback only
// unless told otherwise. Test: access_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/event_loop.h"
#include "serve/http.h"

namespace graupel::serve {

// Each may do what the ones before it may.
enum class Role : uint8_t { kAnyone, kRead, kStream, kAdmin };
std::string_view to_string(Role role);  // "anyone", "read", "stream", "admin"

struct ApiKey {
  std::string name;    // for logs and rate limits; never the key
  std::string sha256;  // of the key, 64 lower-case hexadecimal digits
  Role role = Role::kRead;
};

// Lines "NAME ROLE SHA256", '#' begins a comment. `where` is the file, for errors.
// Errors: kInvalidInput naming the line.
Result<std::vector<ApiKey>> parse_keys(std::string_view text, const std::string& where);

enum class Verdict { kAllowed, kUnauthorised, kForbidden };
struct Access {
  Verdict verdict = Verdict::kAllowed;
  std::string who;  // the key's name, or the peer's address where no keys are configured
};
// From "Authorization: Bearer KEY" or "X-API-Key: KEY"; empty if there is none.
std::string_view key_of(const Request& request);
// Of the request's key.
Access judge_access(const std::vector<ApiKey>& keys, const Request& request, Role needed);
// The same for a key that came another way, as in a WebSocket message.
Access judge_key(const std::vector<ApiKey>& keys, std::string_view key, Role needed);

// A token bucket: `per_second` on average, up to `burst` at once.
struct Bucket {
  double tokens = 0.0;
  TimePoint seen;
};
// nullopt if `cost` tokens were there and are taken, else the seconds after which they will be.
std::optional<double> take_tokens(Bucket& bucket, double cost, double per_second, double burst,
                                  TimePoint now);

// Buckets by name; 0 per second: no limit.
struct RateLimits {
  double per_second = 0.0;
  double burst = 0.0;
  std::map<std::string, Bucket> buckets;  // at most kMaxBuckets; the oldest is dropped
};
inline constexpr size_t kMaxBuckets = 4096;

// nullopt if `who` may go on, else the seconds after which to try again.
std::optional<double> take_token(RateLimits& limits, const std::string& who, TimePoint now);

}  // namespace graupel::serve
