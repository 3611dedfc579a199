// Events: what a trace recorded, op by op, before equal ops become one node.
#pragma once

#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"

namespace etch {

/// A part of a list of events as a graph of its own, and the values of the list that are its inputs.
struct Excerpt {
  Graph graph;
  std::vector<Value> inputs;
};

/// Nodes that are never merged, in the order in which the user's code made them. Inputs may stand anywhere among them:
/// a capture is found when it is used.
class Events : public NodeMaker {
 public:
  /// The results of an op on values of this list, with inferred and checked types, and the Errors of
  /// GraphBuilder::emit_all.
  absl::StatusOr<Results> record(const AnyOp& op, std::span<const Value> operands, std::span<const Type> types,
                                 Origin origin = {});

  /// One read of a variable whose value is `of`: an event of its own, so that derivatives can tell it from the others.
  Value read(Value of, Origin origin = {});
  /// The value that was read; any other value is itself.
  Value source(Value value) const;

  std::span<const Value> inputs() const { return inputs_; }

  /// The graph of these outputs: inputs first, in order, equal nodes once, and in the place of each read what was read.
  Graph close(std::span<const Value> outputs) const;

  /// The graph of these outputs as a function of the values that are given, with the nodes between them alone; its
  /// inputs are those of them that it needs, by ascending numbers.
  Excerpt excerpt(std::span<const Value> outputs, absl::FunctionRef<bool(Value)> is_given) const;

  /// Records all events of another list, with these values in the place of its inputs. Returns the value that stands
  /// for each of its values.
  std::vector<Value> repeat(const Events& other, std::span<const Value> inputs);

 private:
  /// A table op on operands of known types. It has no fields, so these decide the type of its result.
  struct Signature {
    Op op{};
    absl::InlinedVector<int32_t, 3> operands;

    bool operator==(const Signature&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Signature& signature) {
      return H::combine(std::move(h), signature.op, signature.operands);
    }
  };

  absl::StatusOr<TypeIndices> types_of(const AnyOp& op, std::span<const Value> operands, std::span<const Type> types);

  absl::flat_hash_map<Value, Value> reads_;  // and what they read, which is no read
  // So that an op like one before costs a look-up, and one like the last a comparison.
  absl::flat_hash_map<Signature, int32_t> inferred_;
  Signature last_;
  int32_t last_type_ = -1;
};

}  // namespace etch
