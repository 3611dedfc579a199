// What a product's epilogue shows of the sums: where it chooses something else by rows and columns, nobody sees them.
// Internal to code generation.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "compiler/schedule/kernel.h"

namespace etch::codegen {

/// Sums are seen only where the terms and the constant add up to 0 or more.
struct SeenSums {
  struct Term {
    int sign;   // 1 or -1
    int instr;  // an index, or a value that is the same in the whole kernel
  };
  std::vector<Term> terms;  // i64
  int64_t constant = 0;
};

/// Found where all that is made of the sums goes through one arm of a `where` whose condition compares such terms, as a causal
/// mask does.
std::optional<SeenSums> seen_sums(const KernelProgram& program, int dot);

}  // namespace etch::codegen
