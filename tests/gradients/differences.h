// Derivatives by differences: what gradients are compared with.
#pragma once

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tools/harness.h"

namespace etch {

std::vector<double> values_of(const Literal& literal);
Literal literal_of(const Shape& shape, const std::vector<double>& values);

/// Numbers in low..high, and their negatives too if asked for; conditions are drawn by coin.
Literal draw(const Type& type, double low, double high, bool both_signs, std::mt19937_64& random);

/// For each input of f64 what the weighted sum of the graph's outputs of floats changes by, by central differences of
/// the interpreter's results; for other inputs an empty list.
std::vector<std::vector<double>> central_differences(const Graph& graph, const std::vector<Literal>& inputs,
                                                     const std::vector<Literal>& weights);

/// Weights of both signs for the graph's outputs of floats.
std::vector<Literal> draw_weights(const Graph& graph, std::mt19937_64& random);

/// Expects all numbers to be as near as differences can tell.
void expect_near(const std::vector<double>& got, const std::vector<double>& expected, const std::string& what);

/// Expects the graph's interpreted, unfused, fused and split runs to agree, the compiled ones to the bit.
void expect_all_ways_agree(const Graph& graph, const std::vector<Literal>& inputs);

/// The interpreter's outputs.
std::vector<Literal> outputs_of(const Graph& graph, const std::vector<Literal>& inputs);

}  // namespace etch
