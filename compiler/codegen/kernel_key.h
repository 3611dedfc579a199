// The key of a compiled kernel: its program, target and options, compared in full. Hash and equality read every field by
// reflection, so that a field which is added cannot be forgotten.
#pragma once

#include <boost/pfr/core.hpp>

#include <concepts>
#include <cstddef>
#include <utility>

#include "absl/hash/hash.h"
#include "compiler/codegen/codegen.h"

namespace etch {

/// All that decides the machine code of one kernel.
struct KernelKey {
  KernelProgram program;
  CodegenOptions options;
  bool operator==(const KernelKey&) const = default;
};

template <class T, class... Parts>
concept OneOf = (std::same_as<T, Parts> || ...);

/// Found by absl::Hash; a part that is missing in this list does not compile.
template <class H, OneOf<Access, Instr, BlockSizes, KernelProgram, Target, CodegenOptions, KernelKey> T>
H AbslHashValue(H state, const T& part) {
  boost::pfr::for_each_field(part, [&](const auto& field) { state = H::combine(std::move(state), field); });
  return state;
}

}  // namespace etch
