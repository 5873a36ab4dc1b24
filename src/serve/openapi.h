// The description of all routes, src/serve/openapi.yaml, compiled in. Test: openapi_test.cc.
#pragma once

#include <string_view>

namespace graupel::serve {

std::string_view openapi_text();

}  // namespace graupel::serve
