// What a trace, or the tapes over eager ops, write down: events with their places in the user's code, and which of them
// count as one op.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "compiler/ir/events.h"
#include "compiler/ir/gradient.h"
#include "etch/number.h"

namespace etch::detail {

class EventLog {
 public:
  EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// Unlike that of any other log of this process.
  uint64_t id() const { return id_; }
  Events& events() { return events_; }
  const Events& events() const { return events_; }
  int num_events() const { return static_cast<int>(events_.nodes().size()); }

  /// The stretches of events that count as one op where they are differentiated: composite ops and calls of functions.
  std::vector<NodeRange>& groups() { return groups_; }
  /// The events since `begin` are a group; also a single one, since what the log leaves out as constant must not count.
  void end_group(int begin) {
    if (num_events() > begin) groups_.push_back({begin, num_events()});
  }

  /// The log that this thread writes: that of the trace or else of its tapes; nullptr if there is neither.
  static EventLog* current();

 protected:
  Origin origin(Location where);

  uint64_t id_;
  Events events_;

 private:
  std::vector<NodeRange> groups_;
  absl::flat_hash_map<const char*, int32_t> files_;
  const char* last_file_ = nullptr;  // ops beside each other stand in one file
  int32_t last_file_index_ = -1;
};

}  // namespace etch::detail
