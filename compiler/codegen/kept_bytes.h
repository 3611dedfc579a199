// The scratch memory of products that depends on their sizes.
#pragma once

#include <cstdint>
#include <span>

#include "compiler/codegen/target.h"
#include "compiler/schedule/kernel.h"

namespace etch {

/// What a product in tiles of these sizes needs behind its scratch_bytes, where it copies its second operand once for all rows.
int64_t kept_bytes(const KernelProgram& program, std::span<const int64_t> sizes, const Target& target);

}  // namespace etch
