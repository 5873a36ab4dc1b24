// GET / and the files it loads. See api.h and page.h. Reference: Content Security Policy level 3.
// Test: page_test.cc, tests/operations/dashboard_test.py.
#include "serve/api.h"
#include "serve/page.h"

namespace graupel::serve {
namespace {

void respond_with(Call& call, std::string_view name) {
  const std::optional<PageFile> file = page_file(name);
  if (!file) {
    return call.respond(
        error_reply(call.form, 404, "not_found", "the page has no such file", call.request_id));
  }
  Reply reply{200, std::string(file->content_type), std::string(file->bytes), {}};
  reply.headers.push_back({"Content-Security-Policy", std::string(kPagePolicy)});
  reply.headers.push_back({"Referrer-Policy", "no-referrer"});
  call.respond(std::move(reply));
}

}  // namespace

void get_page(Service&, Call call) { respond_with(call, "page.html"); }
void get_page_file(Service&, Call call) { respond_with(call, call.parameters[0]); }

}  // namespace graupel::serve
