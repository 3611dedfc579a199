// What the schedule asks of an op, by its place: all that is known of a structural op outside of compiler/ir.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "compiler/ir/op.h"
#include "compiler/ir/type.h"
#include "runtime/library.h"

namespace etch {

class AnyOp;
class Host;

/// Result element i is the operand's element at offset + sum of strides[axis] * i[axis], in row-major elements.
struct Movement {
  Dims strides;
  int64_t offset = 0;
};

/// A box of the result that an operand fills.
struct Box {
  int operand = 0;
  Shape shape;
  Dims start;          // of the box in the result
  bool splat = false;  // the operand's one element everywhere
};

/// A reduction along axes, ascending.
struct Reduction {
  ReduceKind kind = ReduceKind::sum;
  Dims axes;
};

/// A library function and what it runs on: its operands and results in memory, row-major.
struct LibraryCall {
  Library function{};
  DType dtype = DType::f32;    // of the instance
  std::vector<int64_t> sizes;  // what the function says
  int64_t iterations = 0;      // threads may share them
  int64_t work = 1;            // rough cost of an iteration in additions
  // It looks at indices, operand 1, which have to be below this; then an IndexError comes behind the results.
  std::optional<int64_t> index_extent = std::nullopt;
  int overwrites = -1;  // the operand in whose memory the first result may lie, or -1
};

/// Where a value enters or leaves a region of an op: the region's number and that of its input or output.
struct Port {
  int region = 0;
  int index = 0;
};

/// A value's way through an op with regions. What comes in at its sources, the operand or the outputs, is what its sinks
/// see, the inputs and the result. Each port of the op belongs to one channel.
struct Channel {
  int operand = -1;  // or none
  int result = -1;   // or none
  std::vector<Port> inputs{};
  std::vector<Port> outputs{};
  bool decides = false;  // which region runs, and whether again
};

/// The one region that runs, once, where that is known: on these operands, and its outputs from the first on are the
/// results.
struct Taken {
  int region = 0;
  int first_output = 0;
  std::vector<int> operands{};
};

/// The argument of a graph with this index, and a value with the same bits everywhere: the ops that the builder makes.
AnyOp input_op(int64_t index);
AnyOp splat_op(uint64_t bits);

/// The bits of every element of an op with Place::splat; nothing for any other.
std::optional<uint64_t> splat_bits(const AnyOp& op);

// The others are asked of an op that has the place they are named for.
int index_axis(const AnyOp& op);
Movement movement_of(const AnyOp& op, const Shape& operand, const Shape& result);
/// The boxes that have elements; they do not overlap and cover the result.
std::vector<Box> boxes_of(const AnyOp& op, std::span<const Type> operands, const Type& result);
/// The axis of operand 0 in whose place the result has the axes of operand 1.
int indexed_axis(const AnyOp& op);
Reduction reduction_of(const AnyOp& op);
LibraryCall call_of(const AnyOp& op, std::span<const Type> operands);
std::vector<Channel> channels_of(const AnyOp& op, int num_operands);
/// The function of the host that it calls.
const Host& host_of(const AnyOp& op);
/// How many operands stand before the `;` in text: a predicate, or what a loop carries.
int num_leading(const AnyOp& op);
/// `constants` are the bits of the operands that are the same everywhere.
std::optional<Taken> taken_region(const AnyOp& op, std::span<const std::optional<uint64_t>> constants);

}  // namespace etch
