// A tensor in plain memory, as the interpreter computes with.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "compiler/ir/type.h"

namespace etch {

/// A tensor in plain memory: row-major bytes.
struct Literal {
  Type type;
  std::vector<std::byte> bytes;

  bool operator==(const Literal&) const = default;  // by bits
};

/// The operands of an op.
using Literals = std::span<const Literal* const>;

}  // namespace etch
