// The data card as JSON and Markdown. See card.h. Test: prepare_test.cc.
#include "prepare/card.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace graupel::prepare {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kTripletUnits = {"m/s²", "rad/s", "earth field"};

std::string_view unit_of(Form form, size_t axis) {
  return form == Form::kUciHar && axis >= 6 ? kTripletUnits[0] : kTripletUnits[axis / 3];
}

std::string_view source_of(Form form) {
  switch (form) {
    case Form::kDsads:
    case Form::kDsadsCompact:
      return "Barshan, B. & Altun, K. (2010). Daily and Sports Activities [Dataset]. UCI Machine "
             "Learning Repository, doi:10.24432/C5C59F. CC BY 4.0";
    case Form::kMhealth:
      return "Banos, O., Garcia, R. & Saez, A. (2014). MHEALTH [Dataset]. UCI Machine Learning "
             "Repository 319. CC BY 4.0";
    case Form::kPamap2:
      return "Reiss, A. (2012). PAMAP2 Physical Activity Monitoring [Dataset]. UCI Machine "
             "Learning Repository 231. CC BY 4.0";
    case Form::kUciHar:
      return "Anguita, D. et al. (2013). Human Activity Recognition Using Smartphones [Dataset]. "
             "UCI Machine Learning Repository 240. CC BY 4.0";
    case Form::kCsv: break;
  }
  return "";
}

Moments moments_of(const WindowStore& store, const std::vector<int64_t>& subjects, size_t row) {
  Moments sum;
  for (const int64_t subject : subjects) {
    const auto found = store.subjects().find(subject);
    if (found != store.subjects().end()) sum.merge(found->second.raw[row]);
  }
  return sum;
}

std::string_view label_text(const Recipe& recipe, std::string_view source) {
  for (const LabelRow& row : published_labels(recipe.form)) {
    if (row.source == source) return row.activity;
  }
  return "";
}

std::string safe(std::string_view text) {
  std::string clean;
  for (const char c : clean_utf8(text)) {
    if (c == '|' || c == '<' || c == '`' || c == '*' || c == '[' || c == '_') clean += '\\';
    clean += c;
  }
  return clean;
}

std::string people(const Tally& tally, const std::vector<int64_t>& subjects) {
  std::string text;
  for (const int64_t subject : subjects) {
    text += (text.empty() ? "" : ", ") + safe(subject_name(tally, subject));
  }
  return text;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string chain_text(const PrepareOptions& options, const Prepared& prepared) {
  std::string text;
  if (!options.centred.empty()) {
    text += "window mean removed from";
    for (const int64_t c : options.centred) {
      text += fmt::format(" {}", kAxisNames[static_cast<size_t>(c)]);
    }
    text += "; ";
  }
  text += options.scale == ScaleBy::kSensor ? "one scale for the three axes of a sensor"
                                            : "z-score per channel";
  if (prepared.normalization.clip) {
    text += fmt::format("; clipped at ±{}", *prepared.normalization.clip);
  }
  return text;
}

void add_summary(std::string& out, const PrepareOptions& options, const Prepared& prepared) {
  const Recipe& recipe = prepared.recipe;
  out += "# Data card\n\n| | |\n|---|---|\n";
  const auto row = [&](std::string_view name, const std::string& value) {
    out += fmt::format("| {} | {} |\n", name, value);
  };
  row("source", fmt::format("{}, read as {}", safe(options.input), name_of(recipe.form)));
  if (!source_of(recipe.form).empty()) row("cite", std::string(source_of(recipe.form)));
  row("read", fmt::format("{} files, {} rows", prepared.tally.files, prepared.tally.rows_read));
  row("sensors", safe(join(recipe.sensors)) + " (rows of the window, in this order)");
  row("windows",
      fmt::format("{} of {} samples at {} Hz ({:.3g} s), a new one every {} samples",
                  prepared.windows, recipe.window_samples, recipe.rate_hz,
                  static_cast<double>(recipe.window_samples) / recipe.rate_hz, recipe.hop_samples));
  row("units in the files", fmt::format("{}, {}, {}", recipe.units.acceleration,
                                        recipe.units.rotation, recipe.units.field));
  row("units in the windows", recipe.form == Form::kUciHar
                                  ? "m/s², rad/s, m/s² (body acceleration in place of a field)"
                                  : "m/s², rad/s, earth field (50 µT)");
  row("gaps", fmt::format("filled in up to {} s, longer ones cut", recipe.gap_s));
  for (const auto& [sensor, offset] : recipe.offsets) {
    std::string numbers;
    for (const double value : offset) numbers += fmt::format(" {:.6g}", value);
    row("offsets taken off " + safe(sensor), numbers.substr(1));
  }
  row("preprocessing", chain_text(options, prepared) +
                           " (normalization.json; not yet applied to "
                           "the windows)");
  row("calibration set", fmt::format("{} windows, classes in turn", prepared.calibration_windows));
  row("leakage", prepared.leakage.clean()
                     ? "none: no person and no window in two splits (groups.npy read back)"
                     : fmt::format("**{} people and {} windows in more than one split**: {}",
                                   prepared.leakage.shared_subjects, prepared.leakage.equal_windows,
                                   safe(prepared.leakage.example)));
}

void add_splits(std::string& out, const Prepared& prepared) {
  out += "\n## Splits, by person\n\n| split | people | windows |";
  for (const std::string& name : prepared.recipe.classes) out += " " + safe(name) + " |";
  out += "\n|---|---|---:|";
  for (size_t i = 0; i < prepared.recipe.classes.size(); ++i) out += "---:|";
  out += "\n";
  for (const PreparedSplit& split : prepared.splits) {
    out += fmt::format("| {} | {} | {} |", split.split.name,
                       people(prepared.tally, split.split.subjects), split.windows);
    for (const int64_t count : split.class_counts) {
      out += count == 0 ? " – |" : fmt::format(" {} |", count);
    }
    out += "\n";
  }
}

void add_counts(std::string& out, const Prepared& prepared) {
  const Tally& tally = prepared.tally;
  out += "\n## Left out or repaired\n\n";
  bool any = false;
  std::string table = "| what | count | first |\n|---|---:|---|\n";
  for (size_t i = 0; i < kReasonCount; ++i) {
    if (tally.counts[i] == 0) continue;
    any = true;
    const ReasonText& text = text_of(static_cast<Reason>(i));
    table += fmt::format("| {} | {} {} | {} |\n", text.text, tally.counts[i], text.unit,
                         safe(tally.first_place[i]));
  }
  out += any ? table : "Nothing.\n";
  if (!tally.notes.empty()) out += "\n";
  constexpr size_t kMostNotes = 50;
  for (size_t i = 0; i < tally.notes.size() && i < kMostNotes; ++i) {
    out += "- " + safe(tally.notes[i]) + "\n";
  }
  if (tally.notes.size() > kMostNotes) {
    out += fmt::format("- … and {} more, in data_card.json\n", tally.notes.size() - kMostNotes);
  }
}

void add_labels(std::string& out, const Prepared& prepared) {
  const Recipe& recipe = prepared.recipe;
  out += "\n## Labels\n\n| in the files | activity | class |\n|---|---|---|\n";
  for (const auto& [source, label] : recipe.labels) {
    out += fmt::format("| {} | {} | {} |\n", safe(source), label_text(recipe, source),
                       label < 0 ? "left out" : safe(recipe.classes[static_cast<size_t>(label)]));
  }
}

std::string missing_text(const MissingCount& count) {
  if (count.missing == 0) return "none";
  return fmt::format(
      "{} ({:.2g} %)", count.missing,
      100.0 * static_cast<double>(count.missing) / static_cast<double>(count.readings));
}

void add_channels(std::string& out, const Prepared& prepared, const WindowStore& store) {
  const std::vector<int64_t>& subjects = prepared.splits[0].split.subjects;
  out += fmt::format(
      "\n## Channels, {} split, before preprocessing\n\n| channel | sensor | unit | "
      "minimum | mean | std | maximum | missing in the files |\n"
      "|---|---|---|---:|---:|---:|---:|---:|\n",
      prepared.splits[0].split.name);
  for (size_t axis = 0; axis < store.channels(); ++axis) {
    for (size_t s = 0; s < store.sensors(); ++s) {
      const Moments m = moments_of(store, subjects, axis * store.sensors() + s);
      out += fmt::format("| {} {} | {} | {} | {:.4g} | {:.4g} | {:.4g} | {:.4g} | {} |\n", axis,
                         kAxisNames[axis], safe(prepared.recipe.sensors[s]),
                         unit_of(prepared.recipe.form, axis), m.minimum, m.mean, m.std(), m.maximum,
                         missing_text(prepared.missing[axis * store.sensors() + s]));
    }
  }
}

Json counts_json(const Tally& tally) {
  Json counts = Json::object();
  for (size_t i = 0; i < kReasonCount; ++i) {
    const ReasonText& text = text_of(static_cast<Reason>(i));
    Json entry = {{"count", tally.counts[i]}, {"unit", text.unit}, {"why", text.text}};
    if (tally.counts[i] > 0) entry["first"] = clean_utf8(tally.first_place[i]);
    counts[std::string(text.id)] = std::move(entry);
  }
  return counts;
}

Json moments_json(const Moments& m) {
  return {{"minimum", m.minimum}, {"mean", m.mean}, {"std", m.std()}, {"maximum", m.maximum}};
}

}  // namespace

std::string subject_name(const Tally& tally, int64_t subject) {
  const auto found = tally.subject_names.find(subject);
  return found == tally.subject_names.end() ? std::to_string(subject) : found->second;
}

std::string describe_counts(const Tally& tally) {
  std::string text;
  for (size_t i = 0; i < kReasonCount; ++i) {
    if (tally.counts[i] == 0) continue;
    const ReasonText& reason = text_of(static_cast<Reason>(i));
    text += fmt::format("{}{} {}: {}", text.empty() ? "" : "; ", tally.counts[i], reason.unit,
                        reason.text);
  }
  return text.empty() ? "nothing left out" : text;
}

std::string describe(const PrepareOptions& options, const Prepared& prepared) {
  std::string out = fmt::format("{} rows of {} files -> {} windows\n", prepared.tally.rows_read,
                                prepared.tally.files, prepared.windows);
  for (const PreparedSplit& split : prepared.splits) {
    std::string names;
    for (const int64_t subject : split.split.subjects) {
      names += (names.empty() ? "" : ", ") + clean_utf8(subject_name(prepared.tally, subject));
    }
    out += fmt::format("  {:<12} {:>8} windows of {}\n", split.split.name, split.windows,
                       shortened(names, 60));
  }
  out += fmt::format("  {:<12} {:>8} windows for calibration_data.npy\n", "",
                     prepared.calibration_windows);
  for (size_t i = 0; i < kReasonCount; ++i) {
    if (prepared.tally.counts[i] == 0) continue;
    const ReasonText& text = text_of(static_cast<Reason>(i));
    out += fmt::format("  {:>21} {:<8} {}\n", prepared.tally.counts[i], text.unit, text.text);
  }
  out += prepared.leakage.clean() ? "no person and no window is in two splits\n"
                                  : "LEAKAGE: " + clean_utf8(prepared.leakage.example) + "\n";
  return out + fmt::format("data card: {}/data_card.md\n", clean_utf8(options.output));
}

Json summary_json(const PrepareOptions& options, const Prepared& prepared) {
  Json summary = {{"folder", clean_utf8(options.output)},
                  {"files", prepared.tally.files},
                  {"rows", prepared.tally.rows_read},
                  {"windows", prepared.windows},
                  {"calibration_windows", prepared.calibration_windows},
                  {"leakage_free", prepared.leakage.clean()}};
  for (const PreparedSplit& split : prepared.splits) {
    summary["splits"][split.split.name] = {{"subjects", split.split.subjects},
                                           {"windows", split.windows}};
  }
  summary["left_out_or_repaired"] = counts_json(prepared.tally);
  summary["notes"] = Json::array();
  for (const std::string& note : prepared.tally.notes) summary["notes"].push_back(clean_utf8(note));
  return summary;
}

Json card_json(const PrepareOptions& options, const Prepared& prepared, const WindowStore& store) {
  const Recipe& recipe = prepared.recipe;
  Json card = {{"format_version", 1},
               {"source", {{"path", clean_utf8(options.input)}, {"form", name_of(recipe.form)}}},
               {"cite", source_of(recipe.form)},
               {"files", prepared.tally.files},
               {"rows", prepared.tally.rows_read},
               {"sensors", Json::array()},
               {"classes", Json::array()},
               {"rate_hz", recipe.rate_hz},
               {"window_samples", recipe.window_samples},
               {"hop_samples", recipe.hop_samples},
               {"gap_s", recipe.gap_s},
               {"windows", prepared.windows},
               {"calibration_windows", prepared.calibration_windows},
               {"preprocessing", chain_text(options, prepared)}};
  for (const std::string& name : recipe.sensors) card["sensors"].push_back(clean_utf8(name));
  for (const std::string& name : recipe.classes) card["classes"].push_back(clean_utf8(name));
  card["units"] = {{"acceleration", recipe.units.acceleration},
                   {"rotation", recipe.units.rotation},
                   {"field", recipe.units.field}};
  for (const auto& [source, label] : recipe.labels) {
    const std::string name =
        label < 0 ? "" : clean_utf8(recipe.classes[static_cast<size_t>(label)]);
    card["labels"][clean_utf8(source)] = name;
  }
  card["left_out_or_repaired"] = counts_json(prepared.tally);
  card["notes"] = Json::array();
  for (const std::string& note : prepared.tally.notes) card["notes"].push_back(clean_utf8(note));
  for (const PreparedSplit& split : prepared.splits) {
    card["splits"][split.split.name] = {{"subjects", split.split.subjects},
                                        {"windows", split.windows},
                                        {"windows_per_class", split.class_counts}};
  }
  for (const auto& [subject, statistics] : store.subjects()) {
    Json channels = Json::array();
    for (const Moments& m : statistics.raw) channels.push_back(moments_json(m));
    Json counts = Json::object();
    for (const auto& [label, count] : statistics.label_counts) {
      counts[clean_utf8(recipe.classes[static_cast<size_t>(label)])] = count;
    }
    card["subjects"].push_back({{"id", subject},
                                {"name", clean_utf8(subject_name(prepared.tally, subject))},
                                {"windows_per_class", counts},
                                {"channels", channels}});
  }
  for (const MissingCount& count : prepared.missing) {
    card["missing"].push_back({{"readings", count.readings}, {"missing", count.missing}});
  }
  card["leakage"] = {{"shared_subjects", prepared.leakage.shared_subjects},
                     {"equal_windows", prepared.leakage.equal_windows}};
  return card;
}

std::string card_markdown(const PrepareOptions& options, const Prepared& prepared,
                          const WindowStore& store) {
  std::string out;
  add_summary(out, options, prepared);
  add_splits(out, prepared);
  add_counts(out, prepared);
  add_channels(out, prepared, store);
  add_labels(out, prepared);
  out += "\n## People\n\n";
  for (const auto& [subject, statistics] : store.subjects()) {
    out += fmt::format("![person {}](plots/subject_{}.svg)\n\n",
                       safe(subject_name(prepared.tally, subject)), subject);
  }
  return out;
}

}  // namespace graupel::prepare
