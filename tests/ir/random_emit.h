// Random graphs for the tests of the IR: nodes are proposed blindly and the builder takes the legal ones.
#pragma once

#include <random>
#include <vector>

#include "compiler/ir/graph.h"

namespace etch {

class RandomEmitter {
 public:
  explicit RandomEmitter(uint64_t seed) : random_(seed) {}

  /// A graph of up to `proposals` nodes with some origins.
  Graph graph(int proposals) {
    GraphBuilder builder;
    for (int i = 0; i < 4; ++i) {
      if (!builder.input(type()).ok()) --i;
    }
    for (int i = 0; i < proposals; ++i) (void)propose(builder);
    std::vector<Value> outputs;
    for (int64_t i = 0, n = below(4); i < n; ++i) outputs.push_back(value(builder));
    return std::move(builder).finish(outputs);
  }

  /// Proposes one node: most are illegal, none may crash.
  absl::StatusOr<Value> propose(GraphBuilder& builder) {
    const Op op = static_cast<Op>(below(kNumOps));
    std::vector<Value> operands;
    for (int64_t i = 0, n = op < Op::cast ? info(op).arity : below(4); i < n; ++i) operands.push_back(value(builder));
    const Attr attr = attribute(below(20) == 0 ? static_cast<Op>(below(kNumOps)) : op);
    const Origin origin{below(2) ? builder.name("dir/file.cc") : -1, static_cast<int32_t>(below(100)),
                        below(2) ? builder.name("block/softmax") : -1};
    if (op < Op::cast) return builder.emit(op, operands, attr, origin);
    // A type near the first operand's is legal more often than any.
    Type wanted = operands.empty() || below(4) == 0 ? type() : builder[operands[0]].type;
    if (below(3) == 0) wanted.dtype = static_cast<DType>(below(kNumDTypes));
    if (below(3) == 0 && wanted.shape.rank() < kMaxRank) wanted.shape.insert(0, below(3));
    if (below(2)) return builder.emit(op, operands, attr, origin);
    return builder.emit(op, operands, attr, wanted, origin);
  }

  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  uint64_t bits() { return random_(); }

 private:
  Value value(const GraphBuilder& builder) { return {static_cast<int32_t>(below(builder.size()))}; }

  Dims dims(int64_t rank, int64_t low, int64_t high) {
    Dims result;
    for (int64_t i = 0; i < rank; ++i) result.push_back(low + below(high - low));
    return result;
  }

  Type type() {
    const int64_t rank = below(10) ? below(4) : below(kMaxRank + 1);
    return {static_cast<DType>(below(kNumDTypes)), dims(rank, 0, 4)};
  }

  Attr attribute(Op op) {
    const int64_t rank = below(4);
    switch (op) {
      case Op::input: return InputAttr{below(3)};
      case Op::constant: return ConstantAttr{below(2) ? bits() >> below(64) : static_cast<uint64_t>(below(2))};
      case Op::iota:
      case Op::concat: return AxisAttr{below(4) - (below(20) == 0)};
      case Op::reduce: return ReduceAttr{static_cast<ReduceKind>(below(8)), dims(below(3), 0, 4)};
      case Op::transpose: return TransposeAttr{dims(rank, 0, 3)};
      case Op::slice: return SliceAttr{dims(rank, -1, 3), dims(rank, -2, 3)};
      case Op::pad: return PadAttr{dims(rank, 0, 3), dims(rank, 0, 3)};
      default: return NoAttr{};
    }
  }

  std::mt19937_64 random_;
};

}  // namespace etch
