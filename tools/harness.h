// What tests and tools share to run graphs in every way and to compare what comes out.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/compile.h"
#include "compiler/ir/gradient.h"
#include "compiler/ir/interpreter.h"
#include "etch/tensor.h"

namespace etch {

/// Which values random_literal draws.
enum class Draw {
  plain,    // small numbers of both signs; integers -9..9; every op is well-behaved on them
  special,  // one in three is NaN, an infinity, a zero of either sign, a subnormal, a huge or tiny number or a limit, and
            // integers take all their bits
  whole,    // floats are whole numbers -4..4: sums and products of a few are exact in any order
  units,    // floats are -1, 0 or 1: products of any number are exact too
};

/// A tensor of random elements.
Literal random_literal(const Type& type, Draw draw, std::mt19937_64& random);

/// One random literal for each input of the graph.
std::vector<Literal> random_inputs(const Graph& graph, Draw draw, std::mt19937_64& random);

/// The targets that this processor runs, the host first; those that are the same are named once.
std::vector<Target> targets_that_run();

/// The gradients of a graph's outputs of floats in all of its inputs.
GradientGraph differentiate_all(const Graph& graph);

/// The outputs that are of floats.
std::vector<Value> float_outputs(const Graph& graph);

/// The graph's outputs, compiled and run.
absl::StatusOr<std::vector<Literal>> run_compiled(const Graph& graph, const CompileOptions& options,
                                                  std::span<const Literal> inputs, const RunOptions& run);

/// The same for a graph that is compiled already. Outputs that may overwrite an input do so, in a copy of it.
std::vector<Literal> run_executable(const Executable& executable, const Graph& graph, std::span<const Literal> inputs,
                                    const RunOptions& run);

/// A tensor's elements as a literal, and back.
Literal to_literal(const Tensor& tensor);
Tensor to_tensor(const Literal& literal);

/// The outputs of the graph run eagerly, op by op, as a user's code would. Throws etch::Error.
std::vector<Literal> run_eagerly(const Graph& graph, std::span<const Literal> inputs);

/// Empty if all bits are equal, else where the first difference is and both values. NaNs are equal to each other.
std::string bit_difference(std::span<const Literal> a, std::span<const Literal> b);

/// The distance of two floating literals in units of the last place of their dtype, the largest of all elements; equal
/// values, two NaNs, and exact dtypes that are equal are 0 apart; a NaN or a sign of infinity on one side only is
/// infinitely far, as is any difference of other dtypes. Differences below `absolute` count as 0.
double max_ulp(const Literal& a, const Literal& b, double absolute);

/// One element as text.
std::string element_text(const Literal& literal, int64_t index);

}  // namespace etch
