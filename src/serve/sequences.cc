// The table of open sequences. See sequences.h. Test: sequences_test.cc.
#include "serve/sequences.h"

#include <fmt/format.h>

#include "base/text.h"

namespace graupel::serve {
namespace {

std::string key_of(const std::string& owner, const std::string& model, const OipRequest& request) {
  return owner + '\n' + model + '\n' + request.sequence_id;  // names hold no line feed
}

}  // namespace

Result<std::shared_ptr<SequenceEntry>> Sequences::find(const std::string& owner,
                                                       const std::string& model,
                                                       const OipRequest& request) {
  if (request.sequence_id.empty()) return std::shared_ptr<SequenceEntry>();
  const std::lock_guard lock(mutex_);
  drop_idle();
  const std::string key = key_of(owner, model, request);
  const std::string where = "sequence " + shortened(request.sequence_id, 60);
  const auto found = open_.find(key);
  if (found == open_.end() && !request.sequence_start) {
    return invalid_input(where, "was not begun: its first request needs sequence_start");
  }
  if (found == open_.end() && open_.size() >= limit_) {
    return unsupported(where, fmt::format("cannot begin: {} sequences are open, which is the limit",
                                          open_.size()));
  }
  std::shared_ptr<SequenceEntry>& entry = open_[key];
  if (entry == nullptr || request.sequence_start) entry = std::make_shared<SequenceEntry>();
  entry->last_used = Clock::now();
  return entry;
}

void Sequences::finish(const std::string& owner, const std::string& model,
                       const OipRequest& request) {
  if (request.sequence_id.empty() || !request.sequence_end) return;
  const std::lock_guard lock(mutex_);
  open_.erase(key_of(owner, model, request));
}

size_t Sequences::count() const {
  const std::lock_guard lock(mutex_);
  return open_.size();
}

void Sequences::drop_idle() {
  const TimePoint oldest = Clock::now() - idle_;
  std::erase_if(open_, [&](const auto& each) { return each.second->last_used < oldest; });
}

}  // namespace graupel::serve
