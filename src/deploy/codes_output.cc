// Codes for people, programs and reports. See codes.h. Test: calibrate_test.cc.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "calibrate/plots.h"
#include "deploy/codes.h"

namespace graupel::deploy {
namespace {

Json maybe(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

std::string percent(const std::optional<double>& value) {
  return value ? fmt::format("{:.2f}%", *value) : std::string("not measured (no labels)");
}

std::string range_of(const MarginBin& bin) {
  return std::isinf(bin.high_steps) ? fmt::format("{:g} and more", bin.low_steps)
                                    : fmt::format("{:g} to {:g}", bin.low_steps, bin.high_steps);
}

std::string int8_sentence(const Codes& codes) {
  if (!codes.fsq.int8) return codes.int8_note;
  return fmt::format(
      "integer thresholds on {} ({}, scale {:.6g}, zero point {}): equal to the host part on {} "
      "values, {} lie beyond its bound; {} differing digits on the windows",
      codes.fsq.int8->tensor, codes.fsq.int8->is_signed ? "int8" : "uint8", codes.fsq.int8->scale,
      codes.fsq.int8->zero_point, codes.int8_values_proven, codes.int8_values_beyond,
      codes.int8_differing);
}

using Rows = std::vector<std::pair<std::string, std::string>>;

Rows rows_of(const Codes& codes) {
  Rows rows = {
      {"FSQ", fmt::format("{}, levels [{}]", decide::to_string(codes.fsq.variant),
                          fmt::join(codes.fsq.levels, ", "))},
      {"codes looked at", fmt::format("{}", codes.codes)},
      {"codes used", fmt::format("{} of {:.0f} ({:.1f}%)", codes.used, codes.possible,
                                 100.0 * static_cast<double>(codes.used) / codes.possible)},
      {"entropy",
       fmt::format("{:.2f} of {:.2f} bits", codes.entropy_bits, std::log2(codes.possible))},
      {"perplexity", fmt::format("{:.1f}", codes.perplexity)},
      {"codes changed by INT8", fmt::format("{:.2f}%", codes.flip_percent)},
      {"accuracy, float with FSQ", percent(codes.accuracy_float)},
      {"accuracy, float without rounding", percent(codes.accuracy_unrounded)},
      {"accuracy, INT8 with FSQ", percent(codes.accuracy_int8)},
      {"INT8 thresholds", int8_sentence(codes)}};
  for (const HostFormulaRow& row : codes.host_formulas) {
    rows.emplace_back(
        fmt::format("hand-written {}", row.formula),
        fmt::format("on {}: {:.1f}% of the codes would differ", row.input, row.differing_percent));
  }
  return rows;
}

}  // namespace

Json codes_json(const Codes& codes) {
  Json json = {{"variant", decide::to_string(codes.fsq.variant)},
               {"levels", codes.fsq.levels},
               {"codes", codes.codes},
               {"used", codes.used},
               {"possible", codes.possible},
               {"entropy_bits", codes.entropy_bits},
               {"perplexity", codes.perplexity},
               {"flip_percent", codes.flip_percent},
               {"accuracy_float_percent", maybe(codes.accuracy_float)},
               {"accuracy_unrounded_percent", maybe(codes.accuracy_unrounded)},
               {"accuracy_int8_percent", maybe(codes.accuracy_int8)}};
  json["dimensions"] = Json::array();
  for (const CodeDimension& row : codes.dimensions) {
    json["dimensions"].push_back({{"levels", row.levels},
                                  {"usage", row.usage},
                                  {"entropy_bits", row.entropy_bits},
                                  {"dead_levels", row.dead_levels},
                                  {"flips", row.flips}});
  }
  json["margins"] = Json::array();
  for (const MarginBin& row : codes.margins) {
    json["margins"].push_back(
        {{"low_steps", row.low_steps},
         {"high_steps", std::isinf(row.high_steps) ? Json(nullptr) : Json(row.high_steps)},
         {"digits", row.digits},
         {"flipped", row.flipped}});
  }
  if (codes.fsq.int8) {
    json["int8"] = {
        {"tensor", codes.fsq.int8->tensor},         {"signed", codes.fsq.int8->is_signed},
        {"scale", codes.fsq.int8->scale},           {"zero_point", codes.fsq.int8->zero_point},
        {"thresholds", codes.fsq.int8->thresholds}, {"values_proven", codes.int8_values_proven},
        {"differing_digits", codes.int8_differing}};
  } else {
    json["int8"] = codes.int8_note;
  }
  json["host_formulas"] = Json::array();
  for (const HostFormulaRow& row : codes.host_formulas) {
    json["host_formulas"].push_back({{"formula", row.formula},
                                     {"input", row.input},
                                     {"differing_percent", row.differing_percent}});
  }
  json["warnings"] = codes.dead_dimensions;
  return json;
}

std::string codes_text(const Codes& codes) {
  std::string text;
  for (const auto& [name, value] : rows_of(codes)) text += fmt::format("{:<34} {}\n", name, value);
  text += "\ndim  levels  entropy    dead  changed by INT8  windows per level\n";
  for (size_t d = 0; d < codes.dimensions.size(); ++d) {
    const CodeDimension& row = codes.dimensions[d];
    text += fmt::format(
        "{:>3}  {:>6}  {:>4.2f} bits  {:>4}  {:>14.2f}%  {}\n", d, row.levels, row.entropy_bits,
        row.dead_levels,
        100.0 * static_cast<double>(row.flips) / std::max(1.0, static_cast<double>(codes.codes)),
        fmt::join(row.usage, " "));
  }
  if (!codes.margins.empty()) {
    text += "\ndistance to the next threshold, in INT8 steps\n";
    for (const MarginBin& row : codes.margins) {
      text += fmt::format("{:>14}  {:>8} digits  {:>6} changed\n", range_of(row), row.digits,
                          row.flipped);
    }
  }
  return text;
}

void add_codes(report::Report& report, const Codes& codes) {
  report.listings.push_back({"FSQ codes", "", rows_of(codes)});
  std::vector<calibrate::NamedValue> levels, margins;
  for (size_t d = 0; d < codes.dimensions.size(); ++d) {
    for (size_t level = 0; level < codes.dimensions[d].usage.size(); ++level) {
      const auto used = static_cast<double>(codes.dimensions[d].usage[level]);
      levels.push_back({fmt::format("dimension {}, level {}", d, level), used, 0.0,
                        fmt::format("{:.0f}", used)});
    }
  }
  std::string further;  // the open bin would dwarf the others
  for (const MarginBin& row : codes.margins) {
    if (std::isinf(row.high_steps)) {
      further =
          fmt::format(" {} digits lie further away, {} of them changed.", row.digits, row.flipped);
      continue;
    }
    margins.push_back({range_of(row) + " steps", static_cast<double>(row.digits),
                       static_cast<double>(row.flipped),
                       fmt::format("{} of {}", row.flipped, row.digits)});
  }
  constexpr size_t kMostBars = 120;
  if (levels.size() <= kMostBars) {
    report.figures.push_back({"FSQ levels in use",
                              "A level without a bar is dead: no window "
                              "uses it.",
                              calibrate::bars_svg("Codes per level", levels)});
  }
  if (!margins.empty()) {
    report.figures.push_back(
        {"How near the FSQ's thresholds values lie",
         "Distances in steps of the INT8 tensor. Changes belong to the first rows; changes further "
         "down mean that noise from earlier layers reaches the FSQ." +
             further,
         calibrate::bars_svg("Digits by distance to the next threshold", margins, "digits",
                             "changed by INT8")});
  }
}

}  // namespace graupel::deploy
