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
    const AnyOp op = random_fields(static_cast<Op>(below(kNumOps)));
    std::vector<Value> operands;
    const int64_t count = is_table_op(op) ? info(op).arity : below(4);
    for (int64_t i = 0; i < count; ++i) operands.push_back(value(builder));
    const Origin origin{below(2) ? builder.name("dir/file.cc") : -1, static_cast<int32_t>(below(100)),
                        below(2) ? builder.name("block/softmax") : -1};
    if (is_table_op(op)) return builder.emit(op, operands, origin);
    // A type near the first operand's is legal more often than any.
    Type wanted = operands.empty() || below(4) == 0 ? type() : builder.type(operands[0]);
    if (below(3) == 0) wanted.dtype = static_cast<DType>(below(kNumDTypes));
    if (below(3) == 0 && wanted.shape.rank() < kMaxRank) wanted.shape.insert(0, below(3));
    if (below(2)) return builder.emit(op, operands, origin);
    return builder.emit(op, operands, wanted, origin);
  }

  /// The op with small random numbers in its fields.
  AnyOp random_fields(const AnyOp& op) {
    rank_ = below(4);
    return op.visit([&]<class T>(T fields) -> AnyOp {
      if constexpr (std::is_same_v<T, Row>) {
        return fields.op;
      } else {
        for_each_field(fields, [&](std::string_view, auto& field) { draw(field); });
        return fields;
      }
    });
  }

  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  uint64_t bits() { return random_(); }

 private:
  Value value(const GraphBuilder& builder) { return {static_cast<int32_t>(below(builder.num_values()))}; }

  Dims dims(int64_t rank, int64_t low, int64_t high) {
    Dims result;
    for (int64_t i = 0; i < rank; ++i) result.push_back(low + below(high - low));
    return result;
  }

  Type type() {
    const int64_t rank = below(10) ? below(4) : below(kMaxRank + 1);
    return {static_cast<DType>(below(kNumDTypes)), dims(rank, 0, 4)};
  }

  // A field of each type that fields may have.
  void draw(int64_t& field) { field = below(4) - (below(20) == 0); }
  void draw(bool& field) { field = below(2) == 0; }
  void draw(Mark& field) { field.is_set = below(2) == 0; }
  void draw(uint64_t& field) { field = below(2) ? bits() >> below(64) : static_cast<uint64_t>(below(2)); }
  void draw(ReduceKind& field) { field = static_cast<ReduceKind>(below(kNumReduceKinds)); }
  void draw(Dims& field) {
    const int64_t low = -below(3);
    field = dims(rank_, low, low + 1 + below(4));
  }

  /// A few nodes on a few inputs.
  void draw(Region& field) {
    GraphBuilder builder;
    for (int64_t i = 0, n = below(3); i < n; ++i) (void)builder.input(type());
    std::vector<Value> outputs;
    if (depth_ < 2 && builder.num_values() > 0) {
      ++depth_;
      for (int64_t i = 0, n = below(6); i < n; ++i) (void)propose(builder);
      --depth_;
      for (int64_t i = 0, n = below(3); i < n; ++i) outputs.push_back(value(builder));
    }
    field = Region(std::move(builder).finish(outputs));
  }

  /// No function, so that nothing is printed.
  void draw(Host&) {}

  int64_t rank_ = 0;  // of the lists of one op
  int depth_ = 0;     // of the regions at hand
  std::mt19937_64 random_;
};

}  // namespace etch
