// What the runs of one callable are described in: kinds of events, types, and what is there before a run begins.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"
#include "frontend/capture/blocks.h"
#include "frontend/capture/program.h"
#include "frontend/tensor_impl.h"
#include "frontend/variable_cell.h"
#include "runtime/flat_map.h"

namespace etch::detail {

/// An event, without its operands.
struct EventKind {
  enum class What : uint8_t {
    op,
    read,   // of a variable: `slot`
    given,  // no event, but where a condition comes from that is one of what is given
  };
  What what = What::op;
  int32_t slot = -1;
  AnyOp op = input_op(0);
  absl::InlinedVector<int32_t, 3> operands;  // types
  absl::InlinedVector<int32_t, 2> results;   // types
  Origin place;                              // names are those of the vocabulary

  bool operator==(const EventKind& other) const {
    return what == other.what && slot == other.slot && op == other.op && operands == other.operands &&
           results == other.results && place.file == other.place.file && place.line == other.place.line &&
           place.scope == other.place.scope;
  }
  template <class H>
  friend H AbslHashValue(H h, const EventKind& kind) {
    return H::combine(std::move(h), kind.what, kind.slot, kind.op, kind.operands, kind.results, kind.place.file,
                      kind.place.line, kind.place.scope);
  }
};

/// A value that is there before a run begins.
struct GivenValue {
  enum class What : uint8_t {
    argument,  // `index`
    member,    // of the object that a member function belongs to: `index`
    capture,   // a tensor from around: `index`
    variable,  // the first value of a variable: `index` is its slot
  };
  What what = What::argument;
  int32_t index = 0;
  int32_t type = 0;

  bool operator==(const GivenValue&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const GivenValue& given) {
    return H::combine(std::move(h), given.what, given.index, given.type);
  }
};

class Vocabulary {
 public:
  // ---- Types and names

  int32_t type_index(const Type& type);
  const Type& type(int32_t index) const { return types_[index]; }
  int32_t name(std::string_view text);
  std::string_view name_of(int32_t index) const { return index < 0 ? std::string_view() : names_[index]; }

  // ---- Kinds

  const EventKind& kind(capture::Kind kind) const { return kinds_[kind]; }
  /// The kind of an op; the status of one that is illegal. @param expected the kind that is likely, or -1.
  absl::StatusOr<capture::Kind> op_kind(const AnyOp& op, std::span<const int32_t> operands, std::span<const Type> wanted,
                                        const Origin& place, capture::Kind expected);
  /// The same where the types of the results are known.
  capture::Kind op_kind(const AnyOp& op, std::span<const int32_t> operands, std::span<const int32_t> results,
                        const Origin& place);
  capture::Kind read_kind(int32_t slot, const Origin& place);
  capture::Kind given_kind(capture::Ref given);

  // ---- What is given

  capture::Ref argument(int32_t index, const Type& type);
  capture::Ref member(int32_t index, const Type& type);
  /// A tensor from around: an eager one, or one of the trace around that of a region. One that was there before the callable ran is itself; of those that runs make, equal ones are one.
  capture::Ref capture(const TensorImpl& impl);
  capture::Ref initial(int32_t slot);
  const GivenValue& given(capture::Ref ref) const { return given_[-2 - ref]; }
  int32_t type_of_given(capture::Ref ref) const { return given(ref).type; }
  const TensorImpl& captured(int32_t index) const { return *TensorAccess::get(captured_[index]); }

  struct Slot {
    Ref<VariableCell> cell;
    Location where;   // of the first use
  };
  int32_t slot(VariableCell& cell, Location where);
  const Slot& slot_at(int32_t slot) const { return slots_[slot]; }
  int32_t num_slots() const { return static_cast<int32_t>(slots_.size()); }

  // ---- Ends

  struct End {
    std::string key;              // structure and values beside the tensors
    std::vector<int32_t> types;
    bool operator==(const End&) const = default;
  };
  capture::Kind end(End end);
  const End& end_at(capture::Kind kind) const { return ends_[kind]; }

  // ---- Texts

  std::string place_text(capture::Kind kind) const;
  std::string text(capture::Kind kind) const;
  /// Where two kinds are one op at one place on other types: `slice at demo.cc:13 (f32[3], f32[4])`.
  std::optional<std::string> type_change(capture::Kind a, capture::Kind b) const;
  std::string end_text(capture::Kind kind) const;

 private:
  capture::Kind intern(EventKind kind);
  capture::Ref give(const GivenValue& given);

  std::vector<Type> types_;
  FlatMap<Type, int32_t> type_index_;
  std::vector<std::string> names_;
  FlatMap<std::string, int32_t> name_index_;
  std::vector<EventKind> kinds_;
  FlatMap<EventKind, capture::Kind> kind_index_;
  std::vector<GivenValue> given_;
  FlatMap<GivenValue, capture::Ref> given_index_;
  std::vector<Tensor> captured_;
  FlatMap<const TensorImpl*, capture::Ref> captured_index_;
  FlatMap<std::string, capture::Ref> by_content_;   // of tensors that runs made
  std::vector<Slot> slots_;
  FlatMap<const VariableCell*, int32_t> slot_index_;
  std::vector<End> ends_;
};

/// A program whose runs are described in a vocabulary.
class DescribedProgram : public capture::Program {
 public:
  capture::Ref initial(int32_t slot) override { return vocabulary_.initial(slot); }
  std::string text_of(capture::Kind kind) const override { return vocabulary_.text(kind); }
  std::string place_of(capture::Kind kind) const override { return vocabulary_.place_text(kind); }
  std::optional<std::string> type_change(capture::Kind a, capture::Kind b) const override {
    return vocabulary_.type_change(a, b);
  }
  std::string text_of_end(capture::Kind what) const override { return vocabulary_.end_text(what); }

 protected:
  Vocabulary vocabulary_;
};

}  // namespace etch::detail
