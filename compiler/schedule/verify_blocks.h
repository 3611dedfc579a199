// The verifier of control flow in kernels.
#pragma once

#include <string>

#include "compiler/schedule/kernel.h"

namespace etch {

/// What is wrong with the blocks of a program whose arguments stand before their uses, or empty: blocks nest, values are
/// used where they are known, what is handed on has the types and number that the other end wants, and memory is read
/// first and written last. A program with more axes than one for the lanes has no blocks.
std::string check_blocks(const KernelProgram& program);

}  // namespace etch
