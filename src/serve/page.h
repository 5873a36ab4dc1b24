// The dashboard's files, compiled into the program: `graupel serve` needs none beside itself.
// Files: web/, and Chart.js as Debian ships it (cmake/embed_page.cmake). Test: page_test.cc,
// tests/operations/dashboard_test.py.
#pragma once

#include <optional>
#include <string_view>

namespace graupel::serve {

struct PageFile {
  std::string_view content_type;
  std::string_view bytes;
};

// "page.html", "main.js", ...; nullopt for a name that is none of them.
std::optional<PageFile> page_file(std::string_view name);

// What a browser may do on behalf of the page: nothing but load it and talk to this server.
inline constexpr std::string_view kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace graupel::serve
