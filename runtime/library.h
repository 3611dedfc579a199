// The registry of library functions: what steps call where a kernel would not do, such as selections and sorts.
#pragma once

#include <cstdint>
#include <string_view>

#include "etch/dtype.h"
#include "runtime/kernel_abi.h"

namespace etch {

/// One for each row of library.def. Plain data, so that schedules and keys can hold, compare and print it.
enum class Library : uint8_t {
#define ETCH_LIBRARY(name) name,
#include "runtime/library.def"
};

std::string_view name(Library function);

/// The instance of a library function for one dtype. Its buffers are those of its operands, then of its results, all
/// row-major; the sizes and what an iteration is are said where it is defined. It gives the same bits however its
/// iterations are split.
struct LibraryFunction {
  KernelFn fn = nullptr;  // null where there is no instance for this dtype
  int64_t (*scratch_bytes)(const int64_t* sizes) = nullptr;  // what each thread needs
};

LibraryFunction library_function(Library function, DType dtype);

/// Columns that cumsum adds up side by side.
inline constexpr int64_t kCumsumPanel = 64;

/// The rows, each in its file.
namespace library {
#define ETCH_LIBRARY(name) LibraryFunction name(DType dtype);
#include "runtime/library.def"
}  // namespace library

}  // namespace etch
