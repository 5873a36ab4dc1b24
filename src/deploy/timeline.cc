// A timeline as text, JSON, CSV and an SVG ribbon. See decode.h.
//
// Idea: segment k covers the time from the start of its first window to the start of the next
// segment's; a stretch ends with its last window. Colours are those of the report.
// Test: decode_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "decide/hsmm_durations.h"
#include "deploy/decode.h"

namespace graupel::deploy {
namespace {

using decide::Segment;

struct Place {
  double start = 0.0, duration = 0.0;  // seconds, or windows
};

Place place_of(const Timeline& timeline, const DecodedStretch& stretch, const Segment& segment) {
  const double hop = timeline.hop_s;
  const double start = stretch.start_s + static_cast<double>(segment.start) * hop;
  const bool last = segment.start + segment.length == stretch.windows;
  const double rest = last ? timeline.window_s - hop : 0.0;
  return {start, static_cast<double>(segment.length) * hop + rest};
}

std::string_view mode_name(DecodeMode mode) {
  if (mode == DecodeMode::kOffline) return "offline";
  if (mode == DecodeMode::kCommit) return "commit";
  return mode == DecodeMode::kLag ? "lag" : "filter";
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100.0 * share); }

// A hue per state, evenly around the circle; lightness alternates so that neighbours differ.
std::string colour(size_t state, size_t states) {
  const double hue = 360.0 * static_cast<double>(state) / static_cast<double>(states);
  return fmt::format("hsl({:.0f},55%,{}%)", hue, state % 2 == 0 ? 45 : 62);
}

std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::vector<size_t> states_in(const Timeline& timeline) {
  std::vector<size_t> states;
  for (const DecodedStretch& stretch : timeline.stretches) {
    for (const Segment& segment : stretch.segments) states.push_back(segment.state);
  }
  std::sort(states.begin(), states.end());
  states.erase(std::unique(states.begin(), states.end()), states.end());
  return states;
}

// When a segment became final, after its last window; nothing in other modes.
std::string final_after(const Timeline& timeline, const DecodedStretch& stretch, size_t i) {
  if (stretch.delays.empty()) return "";
  if (stretch.delays[i] < 0) return "  final at the end";
  return fmt::format("  final +{:.2f}", static_cast<double>(stretch.delays[i]) * timeline.hop_s);
}

std::string delay_sentence(const Timeline& timeline) {
  std::vector<int64_t> delays;
  for (const DecodedStretch& stretch : timeline.stretches) {
    for (const int64_t delay : stretch.delays) {
      if (delay >= 0) delays.push_back(delay);
    }
  }
  if (delays.empty()) return "";
  std::sort(delays.begin(), delays.end());
  const auto at = [&](double share) {
    const auto last = static_cast<double>(delays.size() - 1);
    return static_cast<double>(delays[static_cast<size_t>(std::llround(share * last))]) *
           timeline.hop_s;
  };
  std::string text = fmt::format(
      "{} segments were final {:.2f} {} after their last window (median), {:.2f} (95 %), "
      "{:.2f} (at most)\n",
      delays.size(), at(0.5), timeline.seconds ? "s" : "windows", at(0.95), at(1.0));
  if (timeline.forced > 0) {
    text += fmt::format("{} times the memory was full and the best way decided\n", timeline.forced);
  }
  return text;
}

}  // namespace

std::string timeline_text(const Timeline& timeline) {
  const char* unit = timeline.seconds ? "s" : "windows";
  std::string text;
  for (const DecodedStretch& stretch : timeline.stretches) {
    text += fmt::format("subject {}, from {:.2f} {}, {} windows\n", stretch.subject,
                        stretch.start_s, unit, stretch.windows);
    for (size_t i = 0; i < stretch.segments.size(); ++i) {
      const Segment& segment = stretch.segments[i];
      const Place place = place_of(timeline, stretch, segment);
      text += fmt::format("  {:>10.2f}  {:>9.2f} {}  {:<20} {:>7}{}{}\n", place.start,
                          place.duration, unit, shortened(timeline.labels[segment.state], 20),
                          percent(segment.confidence), final_after(timeline, stretch, i),
                          segment.cut_at_start || segment.cut_at_end ? "  at least" : "");
    }
  }
  text += delay_sentence(timeline);
  if (timeline.labelled_windows > 0) {
    text += fmt::format("{} labelled windows: {} right, {} without the HSMM\n",
                        timeline.labelled_windows, percent(timeline.accuracy),
                        percent(timeline.argmax_accuracy));
  }
  return text;
}

Json timeline_json(const Timeline& timeline) {
  Json root = {{"mode", mode_name(timeline.mode)}};
  if (timeline.mode == DecodeMode::kLag) root["lag_windows"] = timeline.lag;
  if (timeline.mode == DecodeMode::kCommit) root["forced"] = timeline.forced;
  root["unit"] = timeline.seconds ? "s" : "windows";
  root["hop"] = timeline.hop_s;
  root["window"] = timeline.window_s;
  root["recordings"] = Json::array();
  for (const DecodedStretch& stretch : timeline.stretches) {
    Json segments = Json::array();
    for (size_t i = 0; i < stretch.segments.size(); ++i) {
      const Segment& segment = stretch.segments[i];
      const Place place = place_of(timeline, stretch, segment);
      segments.push_back({{"start", place.start},
                          {"duration", place.duration},
                          {"first_window", segment.start},
                          {"windows", segment.length},
                          {"class", segment.state},
                          {"label", timeline.labels[segment.state]},
                          {"confidence", segment.confidence},
                          {"cut_at_start", segment.cut_at_start},
                          {"cut_at_end", segment.cut_at_end}});
      if (stretch.delays.empty()) continue;
      const int64_t delay = stretch.delays[i];
      segments.back()["final_after_windows"] = delay < 0 ? Json(nullptr) : Json(delay);
    }
    root["recordings"].push_back({{"subject", stretch.subject},
                                  {"start", stretch.start_s},
                                  {"windows", stretch.windows},
                                  {"segments", std::move(segments)}});
  }
  if (timeline.labelled_windows > 0) {
    root["labelled_windows"] = timeline.labelled_windows;
    root["accuracy"] = timeline.accuracy;
    root["argmax_accuracy"] = timeline.argmax_accuracy;
  }
  root["notes"] = timeline.notes;
  return root;
}

std::string timeline_csv(const Timeline& timeline) {
  const char* unit = timeline.seconds ? "s" : "windows";
  std::string text = fmt::format(
      "subject,start_{},duration_{},class,label,confidence,cut_at_start,cut_at_end\n", unit, unit);
  for (const DecodedStretch& stretch : timeline.stretches) {
    for (const Segment& segment : stretch.segments) {
      const Place place = place_of(timeline, stretch, segment);
      text +=
          fmt::format("{},{},{},{},{},{:.6f},{},{}\n", stretch.subject, place.start, place.duration,
                      segment.state, field(timeline.labels[segment.state]), segment.confidence,
                      segment.cut_at_start ? 1 : 0, segment.cut_at_end ? 1 : 0);
    }
  }
  return text;
}

// One ribbon per stretch on its own time axis; opacity is confidence.
std::string timeline_svg(const Timeline& timeline) {
  constexpr double kLeft = 110.0, kWidth = 860.0, kRow = 46.0, kRibbon = 22.0;
  const size_t states = timeline.labels.size();
  const std::vector<size_t> used = states_in(timeline);
  const double legend = 26.0 + 18.0 * std::ceil(static_cast<double>(used.size()) / 5.0);
  const double height = legend + kRow * static_cast<double>(timeline.stretches.size()) + 10.0;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 {0:.0f}\" width=\"1000\" "
      "height=\"{0:.0f}\" style=\"max-width:100%;height:auto\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"1000\" "
      "height=\"{0:.0f}\" fill=\"#fff\"/>\n",
      height);
  for (size_t i = 0; i < used.size(); ++i) {
    const double x = kLeft + 172.0 * static_cast<double>(i % 5);
    const double y = 14.0 + 18.0 * static_cast<double>(i / 5);
    svg += fmt::format(
        "<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"12\" height=\"12\" fill=\"{}\"/><text "
        "x=\"{:.0f}\" y=\"{:.0f}\">{}</text>\n",
        x, y - 10.0, colour(used[i], states), x + 17.0, y,
        html_escaped(shortened(timeline.labels[used[i]], 22)));
  }
  const char* unit = timeline.seconds ? "s" : "windows";
  double y = legend;
  for (const DecodedStretch& stretch : timeline.stretches) {
    const double length =
        static_cast<double>(stretch.windows - 1) * timeline.hop_s + timeline.window_s;
    svg += fmt::format("<text x=\"8\" y=\"{:.0f}\">{}</text>\n", y + 16.0,
                       stretch.name.empty() ? fmt::format("subject {}", stretch.subject)
                                            : html_escaped(stretch.name));
    for (const Segment& segment : stretch.segments) {
      const Place place = place_of(timeline, stretch, segment);
      svg += fmt::format(
          "<rect x=\"{:.2f}\" y=\"{:.0f}\" width=\"{:.2f}\" height=\"{:.0f}\" fill=\"{}\" "
          "fill-opacity=\"{:.2f}\"><title>{}: {:.2f} to {:.2f} {}, {}</title></rect>\n",
          kLeft + kWidth * (place.start - stretch.start_s) / length, y,
          kWidth * place.duration / length, kRibbon, colour(segment.state, states),
          0.25 + 0.75 * std::clamp(segment.confidence, 0.0, 1.0),
          html_escaped(timeline.labels[segment.state]), place.start, place.start + place.duration,
          unit, percent(segment.confidence));
    }
    for (int tick = 0; tick <= 4; ++tick) {
      const double share = 0.25 * tick;
      svg += fmt::format(
          "<text x=\"{:.0f}\" y=\"{:.0f}\" font-size=\"10\" fill=\"#555\" "
          "text-anchor=\"middle\">{:.6g} {}</text>\n",
          kLeft + kWidth * share, y + kRibbon + 12.0, stretch.start_s + length * share, unit);
    }
    y += kRow;
  }
  return svg + "</svg>\n";
}

std::string fit_text(const calibrate::HsmmFit& fit, const std::vector<std::string>& labels) {
  std::string text = fmt::format("{:<20} {:<18} {:>12}\n", "state", "duration", "mean windows");
  const auto maximum = static_cast<size_t>(fit.model.maximum_duration);
  for (size_t s = 0; s < fit.model.states(); ++s) {
    const decide::DurationTable law = decide::make_duration_table(fit.model.durations[s], maximum);
    text += fmt::format("{:<20} {:<18} {:>12.1f}\n",
                        s < labels.size() ? shortened(labels[s], 20) : fmt::format("class {}", s),
                        decide::to_string(fit.model.durations[s].family), law.mean);
  }
  text += fmt::format("weight of a window {:g}, longest explicit duration {} windows\n",
                      fit.model.emission.weight, maximum);
  if (!fit.held_out) return text;
  const calibrate::HsmmScores& scores = *fit.held_out;
  return text + fmt::format(
                    "people not fitted on, {} windows: {} right without the HSMM, {} filtered, {} "
                    "offline; {} segments labelled, {} without the HSMM, {} offline\n",
                    scores.windows, percent(scores.argmax_accuracy),
                    percent(scores.filter_accuracy), percent(scores.path_accuracy),
                    scores.labelled_segments, scores.argmax_segments, scores.path_segments);
}

Json fit_json(const calibrate::HsmmFit& fit) {
  Json measured = Json::object();
  for (const decide::Measured& row : fit.model.measured) measured[row.id] = row.value;
  return {{"states", fit.model.states()},
          {"maximum_duration", fit.model.maximum_duration},
          {"weight", fit.model.emission.weight},
          {"log_likelihood", fit.log_likelihood},
          {"em_iterations", fit.iterations},
          {"measured", std::move(measured)},
          {"notes", fit.model.notes}};
}

}  // namespace graupel::deploy
