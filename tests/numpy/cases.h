// The expressions over public ops that expected.txt has values for.
#pragma once

#include <span>
#include <vector>

#include "etch/ops.h"

namespace etch {

using Tensors = std::vector<Tensor>;

struct Case {
  const char* expression;  // its C++ text: the key in expected.txt
  Tensors (*run)(const Tensor& a, const Tensor& b, const Tensor& c);
};

std::span<const Case> numpy_cases();

}  // namespace etch
