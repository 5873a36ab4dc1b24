// The texts of what is left out. See recording.h. Test: readers_test.cc.
#include "prepare/recording.h"

#include <fmt/format.h>

namespace graupel::prepare {

const ReasonText& text_of(Reason reason) {
  static constexpr ReasonText kTexts[] = {
      {"ragged_rows", "rows", "a field too few, too many or not a number: row left out"},
      {"left_out_labels", "rows", "the label map leaves this label out"},
      {"duplicate_times", "rows", "same time stamp as the row before: row left out"},
      {"backward_times", "rows", "time stamp before the row before: row left out"},
      {"clock_restarts", "times", "the clock jumped back: a new recording begins"},
      {"interpolated", "values", "missing readings filled in, in gaps within the limit"},
      {"gap_cuts", "gaps", "longer than the limit: no window across"},
      {"no_partner", "samples", "not covered by every sensor, or in a gap: left out"},
      {"too_short", "samples", "in a stretch shorter than one window"},
      {"tails", "samples", "behind the last whole window of a stretch"},
      {"missing_files", "files", "of the published set are not there"},
      {"segment_borders", "borders", "recording not continuous there: no window across"},
      {"long_runs", "times", "a very long run divided to bound memory"},
  };
  static_assert(std::size(kTexts) == kReasonCount);
  return kTexts[static_cast<size_t>(reason)];
}

Error too_many_people(const std::string& place) {
  return invalid_input(place, fmt::format("is a person beyond the {} that are accepted; is this "
                                          "column really the person?",
                                          kMaximumPeople));
}

Result<void> check_ragged(const Tally& tally, const std::string& where) {
  const int64_t ragged = tally[Reason::kRaggedRow];
  if (ragged * 100 <= tally.rows_read) return ok();
  return invalid_input(
      where, fmt::format("{} of {} rows have a field too few, too many or not a number, the first "
                         "at {}; is this the right kind of file?",
                         ragged, tally.rows_read,
                         tally.first_place[static_cast<size_t>(Reason::kRaggedRow)]));
}

}  // namespace graupel::prepare
