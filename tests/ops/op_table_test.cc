// Every row of ops.def, on every legal dtype and a list of shape cases (some dtypes on one of them): eager ops, unfused
// code, and fused code for every target that runs here, whole and split over two threads, agree to the bit, and the
// interpreter agrees as ops.def promises: exactly, or within 2 ULP.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/ir/text.h"
#include "runtime/parallel.h"
#include "tools/harness.h"

namespace etch {
namespace {

struct ShapeCase {
  const char* name;
  std::vector<Shape> operands;  // the first ones, as many as the op has
};

const ShapeCase kShapeCases[] = {
    {"scalars", {{}, {}, {}}},
    {"one_element", {{1}, {1}, {1}}},
    {"no_elements", {{0}, {0}, {0}}},
    {"no_rows", {{3, 0}, {3, 0}, {3, 0}}},
    {"odd_vector", {{1027}, {1027}, {1027}}},
    {"matrix", {{5, 33}, {5, 33}, {5, 33}}},
    {"scalar_and_vector", {{70}, {}, {70}}},
    {"row_and_column", {{1, 67}, {9, 1}, {9, 67}}},
    {"row_and_matrix", {{67}, {9, 67}, {1, 67}}},
    {"last_axis_broadcast", {{4, 1}, {4, 35}, {}}},
    {"rank_8", {{2, 1, 3, 1, 2, 1, 1, 5}, {1, 2, 3, 1, 1, 2, 1, 5}, {5}}},
};

/// Dtypes that share all but their width with one that runs through every shape.
bool is_sampled(DType dtype) {
  return dtype == DType::f16 || dtype == DType::i8 || dtype == DType::i16 || dtype == DType::u16;
}

std::vector<std::vector<DType>> legal_dtypes(Op op) {
  std::vector<std::vector<DType>> cases;
  for (int d = 0; d < kNumDTypes; ++d) {
    std::vector<Type> types(info(op).arity, Type{static_cast<DType>(d), {}});
    if (info(op).rule == TypeRule::select) types[0].dtype = DType::boolean;
    if (!infer(op, types, {}).ok()) continue;
    std::vector<DType> dtypes;
    for (const Type& type : types) dtypes.push_back(type.dtype);
    cases.push_back(dtypes);
  }
  return cases;
}

// The op on reversed operands, so that fused code has something to fold, and its transpose beside it.
Graph graph_of(Op op, const std::vector<DType>& dtypes, const ShapeCase& shapes) {
  GraphBuilder builder;
  std::vector<Value> operands;
  for (size_t i = 0; i < dtypes.size(); ++i) {
    Type type{dtypes[i], shapes.operands[i]};
    Value operand = *builder.input(type);
    if (type.shape.rank() > 0 && type.shape[0] > 1) {
      op::Slice reversed{Dims::filled(type.shape.rank(), 0), Dims::filled(type.shape.rank(), 1)};
      reversed.start[0] = type.shape[0] - 1;
      reversed.step[0] = -1;
      operand = *builder.emit(reversed, {&operand, 1}, type);
    }
    operands.push_back(operand);
  }
  Value result = *builder.emit(op, operands);
  Dims perm;
  for (int i = builder.type(result).shape.rank() - 1; i >= 0; --i) perm.push_back(i);
  Value transposed = *builder.emit(op::Transpose{perm}, {&result, 1});
  Value outputs[] = {result, transposed};
  return std::move(builder).finish(outputs);
}

class OpTable : public testing::TestWithParam<int> {};

TEST_P(OpTable, AllWaysAgreeOnAllDtypesAndShapes) {
  Op op = static_cast<Op>(GetParam());
  std::vector<std::vector<DType>> dtype_cases = legal_dtypes(op);
  ASSERT_FALSE(dtype_cases.empty());
  const std::vector<Target> targets = targets_that_run();
  const int64_t splits = num_split_loops();
  int64_t grain = 1;
  for (const std::vector<DType>& dtypes : dtype_cases) {
    for (const ShapeCase& shapes : kShapeCases) {
      if (is_sampled(dtypes.back()) && shapes.name != std::string_view("odd_vector")) continue;
      SCOPED_TRACE(absl::StrCat(to_string(Type{dtypes.back(), {}}), " ", shapes.name));
      Graph graph = graph_of(op, dtypes, shapes);
      std::mt19937_64 random(GetParam());
      std::vector<Literal> inputs = random_inputs(graph, Draw::special, random);

      auto unfused = run_compiled(graph, {.fuse = false, .verify = true}, inputs, {.threads = 1});
      ASSERT_TRUE(unfused.ok()) << unfused.status() << "\n" << print(graph);
      // Pieces of 1, 3, 9, ... iterations: at vectors' ends and inside of them.
      grain = grain > 300 ? 1 : 3 * grain;
      const RunOptions split{.threads = 2, .grain = grain};
      auto unfused_2 = run_compiled(graph, {.fuse = false}, inputs, split);
      ASSERT_TRUE(unfused_2.ok()) << unfused_2.status();
      EXPECT_EQ(bit_difference(*unfused, *unfused_2), "") << "unfused, 1 thread against 2 with grain " << grain;
      EXPECT_EQ(bit_difference(*unfused, run_eagerly(graph, inputs)), "") << "unfused against eager";
      for (const Target& target : targets) {
        auto fused = run_compiled(graph, {.target = target, .verify = true}, inputs, {});
        auto fused_2 = run_compiled(graph, {.target = target}, inputs, split);
        ASSERT_TRUE(fused.ok() && fused_2.ok());
        EXPECT_EQ(bit_difference(*unfused, *fused), "") << "unfused against fused for " << target.cpu;
        EXPECT_EQ(bit_difference(*unfused, *fused_2), "")
            << "unfused against fused on 2 threads with grain " << grain << " for " << target.cpu;
      }

      auto oracle = interpret(graph, inputs);
      ASSERT_TRUE(oracle.ok()) << oracle.status();
      if (info(op).accuracy == Accuracy::exact) {
        EXPECT_EQ(bit_difference(*oracle, *unfused), "") << "interpreter against unfused";
        continue;
      }
      // Near its zeros at -2.457... and between the negative integers lgamma has an absolute error instead.
      bool has_zeros = op == Op::lgamma || op == Op::digamma;
      for (size_t i = 0; i < oracle->size(); ++i) {
        double absolute = !has_zeros ? 0 : dtypes[0] == DType::f64 ? 1e-14 : 1e-6;
        EXPECT_LE(max_ulp((*oracle)[i], (*unfused)[i], absolute), 2.0) << "interpreter against unfused";
      }
    }
  }
  // Of the shapes above eight have more than one iteration, and some more than the grain.
  EXPECT_GE(num_split_loops() - splits, static_cast<int64_t>(dtype_cases.size() * targets.size()));
}

INSTANTIATE_TEST_SUITE_P(AllRows, OpTable, testing::Range(0, kNumTableOps),
                         [](const auto& row) { return std::string(name(static_cast<Op>(row.param))); });

}  // namespace
}  // namespace etch
