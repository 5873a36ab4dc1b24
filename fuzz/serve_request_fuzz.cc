// The server's requests: targets and JSON bodies of any bytes. What is refused is refused with an
// error; what is taken has values that fit each other.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "serve/http.h"
#include "serve/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  graupel::serve::Request request;
  if (graupel::serve::parse_target(text, request).ok() && !request.path.starts_with('/')) abort();
  (void)graupel::serve::parse_oip_request(text, 4096);
  const auto sidecar = graupel::serve::parse_sidecar_request(text, 4096);
  if (sidecar.ok() &&
      sidecar->values.size() != sidecar->samples * sidecar->sensors * sidecar->channels) {
    abort();
  }
  return 0;
}
