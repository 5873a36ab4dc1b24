// What sessions answer, as JSON; the fields are those of docs/sessions.md.
// Test: sessions_test.cc.
#pragma once

#include <string>
#include <string_view>

#include "serve/json_writer.h"
#include "serve/metrics.h"
#include "serve/session.h"
#include "serve/session_json.h"

namespace graupel::serve {

// Picks the name that a form has for a field.
struct Names {
  SessionForm form = SessionForm::kA;
  std::string_view operator()(std::string_view a, std::string_view b) const {
    return form == SessionForm::kA ? a : b;
  }
};

std::string iso_time(WallTime time);  // "2026-11-26T14:05:06.789Z"
double milliseconds(int64_t us);

// "m1" for class 0, as EdgeInfer names motifs.
std::string motif_id(int64_t class_index);
// The class's label, or its motif id where the bundle names none.
std::string class_name(const Model& model, int64_t class_index);

// Objects, in the place of a value.
void write_window(JsonWriter& json, const WindowRecord& record);
// The `count` instants of the grid from `first` on, or every so manieth where they are more than
// 500; null where they are not known.
void write_signals(JsonWriter& json, const Session& session, uint64_t first, uint64_t count);
void write_session_line(JsonWriter& json, const Session& session);  // of the list of sessions
void write_histogram(JsonWriter& json, const HistogramView& histogram);

// Fields of an open object: model, version, engine, and why it was not the preferred one.
void write_engine(JsonWriter& json, const Names& names, const Session& session);
// status "ok" or "waiting", and the reason.
void write_status(JsonWriter& json, const std::string& waiting);

// The answers of `start` and `stop`, whole.
std::string started_json(const Session& session, SessionForm form, std::chrono::seconds idle);
std::string stopped_json(const Session& session, SessionForm form);

}  // namespace graupel::serve
