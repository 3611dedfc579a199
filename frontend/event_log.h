// What a trace, or the tapes over eager ops, write down: events with their places in the user's code, and which of them
// count as one op.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/ir/events.h"
#include "compiler/ir/gradient.h"
#include "frontend/custom_events.h"
#include "frontend/variable_cell.h"
#include "runtime/flat_map.h"

namespace etch::detail {

class Vocabulary;

class [[gnu::visibility("hidden")]] EventLog {
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

  /// The leaf of a variable: what its reads depend on, and what derivatives in it are taken in.
  Value leaf(VariableCell& cell);
  /// The same, or none where nothing made it.
  Value find_leaf(const VariableCell& cell) const;
  /// The variable of a leaf, or nullptr.
  VariableCell* variable_of(Value leaf) const;
  /// The variables that are read in events begin..end, in the order of their first reads.
  std::vector<VariableCell*> variables_read(int begin, int end) const;

  CustomEvents& custom_events() { return custom_events_; }
  /// Records a stand-in of these types with a derivative of its own.
  Results record_custom(std::span<const Value> operands, std::span<const Type> types, std::span<const Value> of,
                        CustomEvent custom);
  /// Records what a backward function of a trace that has ended does with these cotangents. Returns what it gives for
  /// each operand.
  std::vector<Value> repeat(const RecordedBackward& backward, std::span<const Value> cotangents);

  /// The log that this thread writes: that of the trace or else of its tapes; nullptr if there is neither, or where the
  /// trace is captured and no tape is open in it.
  static EventLog* current();

 protected:
  Origin origin(Location where);
  /// From now on names are those of a vocabulary.
  void use_names_of(Vocabulary& vocabulary);
  /// The index of a name among those of the events, or of the vocabulary where there is one.
  int32_t name_index(std::string_view name);
  /// A place in the names of the events, of one whose names are those of the vocabulary if there is one.
  Origin in_events(Origin place);
  /// The same the other way round.
  Origin in_vocabulary(Origin place);
  /// Begins anew, without events.
  void clear();
  /// Takes over the groups, and the derivatives that users gave, of events from `begin` on that were repeated.
  void repeat_groups(std::span<const NodeRange> groups, int begin, const Events::Repeated& repeated);
  void repeat_custom_events(const CustomEvents& events, int begin, const Events::Repeated& repeated);

  uint64_t id_;
  Events events_;
  Vocabulary* vocabulary_ = nullptr;  // of a trace that is captured

 private:
  std::vector<NodeRange> groups_;
  CustomEvents custom_events_;
  FlatMap<const VariableCell*, Value> leaves_;
  FlatMap<Value, Ref<VariableCell>> variables_;  // by leaf
  FlatMap<const char*, int32_t> files_;
  const char* last_file_ = nullptr;  // ops beside each other stand in one file
  int32_t last_file_index_ = -1;
};

}  // namespace etch::detail
