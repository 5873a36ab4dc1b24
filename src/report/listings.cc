// Lists of numbers and pictures under one heading. See parts.h. Test: report_test.cc.
#include <fmt/format.h>

#include "base/text.h"
#include "report/parts.h"

namespace graupel::report {

std::string listings_section(const Report& report) {
  std::string body;
  for (const Listing& listing : report.listings) {
    if (listing.rows.empty()) continue;
    body += fmt::format("<h3>{}</h3>\n", html_escaped(listing.title));
    if (!listing.intro.empty()) {
      body += fmt::format("<p class=\"intro\">{}</p>\n", html_escaped(listing.intro));
    }
    body += "<dl class=\"facts\">\n";
    for (const auto& [name, value] : listing.rows) {
      body += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", html_escaped(name),
                          html_escaped(value));
    }
    body += "</dl>\n";
  }
  for (const Figure& figure : report.figures) {
    body += fmt::format(
        "<h3>{0}</h3>\n<figure><div class=\"picture\" tabindex=\"0\" role=\"region\" "
        "aria-label=\"{0}; scrolls\">\n{1}</div>",
        html_escaped(figure.title), figure.svg);
    if (!figure.note.empty()) {
      body += fmt::format("<figcaption>{}</figcaption>", html_escaped(figure.note));
    }
    body += "</figure>\n";
  }
  return section("numbers", "Numbers and pictures", "", body);
}

}  // namespace graupel::report
