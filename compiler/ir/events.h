// Events: what a trace recorded, op by op, before equal ops become one node.
#pragma once

#include <span>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"
#include "runtime/flat_map.h"

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

  /// A value that nothing computes and nothing may read: what derivatives are taken in, such as a variable on which
  /// its reads depend, or the place of a cotangent that is to come.
  Value leaf(const Type& type, Origin origin = {});

  /// An event whose results stand for other values, of these types, while derivatives pass through it to the operands
  /// alone. With one operand and one result it passes a cotangent on as it is: so a read of a variable depends on the
  /// leaf of the variable, and stands for what was assigned to it last. `of` is empty where the caller knows the values.
  Results stand_in(std::span<const Value> operands, std::span<const Type> types, std::span<const Value> of,
                   Origin origin = {});
  /// The value that one stands for; any other value is itself.
  Value source(Value value) const;

  std::span<const Value> inputs() const { return inputs_; }

  /// The graph of these outputs: inputs first, in order, equal nodes once, and in the place of stand-ins what they stand
  /// for. What depends on leaves is left out, as are the nodes from `end` on.
  Graph close(std::span<const Value> outputs, int end) const;
  Graph close(std::span<const Value> outputs) const { return close(outputs, static_cast<int>(nodes_.size())); }

  /// The graph of these outputs as a function of the values that are given, with the nodes between them alone; its
  /// inputs are those of them that it needs, by ascending numbers.
  Excerpt excerpt(std::span<const Value> outputs, absl::FunctionRef<bool(Value)> is_given) const;

  /// What was repeated became.
  struct Repeated {
    std::vector<Value> values;  // of each value of the list, if it was repeated or given
    std::vector<int> places;    // of each node from the first on that was to be repeated, and of the end
  };
  /// Records the nodes begin..end of another list, or of this one, once more. `values` says by value what stands there
  /// for inputs, leaves and what comes before; leaves that it does not name are made anew, inputs are not repeated.
  Repeated repeat(const Events& other, int begin, int end, std::vector<Value> values);
  /// All of another list, with these values in the place of its inputs.
  Repeated repeat(const Events& other, std::span<const Value> inputs);

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

  FlatMap<Value, Value> sources_;  // of stand-ins, which are none themselves
  // So that an op like one before costs a look-up, and one like the last a comparison.
  FlatMap<Signature, int32_t> inferred_;
  Signature last_;
  int32_t last_type_ = -1;
};

/// True for a node of Events::stand_in.
inline bool is_stand_in(const Node& node) { return place(node.op) == Place::input && !node.operands.empty(); }

}  // namespace etch
