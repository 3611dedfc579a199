// The header of NumPy's .npy files (numpy/lib/format.py: magic, version, header length, header dictionary).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "etch/dtype.h"
#include "etch/number.h"
#include "etch/shape.h"

namespace etch::detail {

inline constexpr std::string_view kNpyMagic = "\x93NUMPY";

/// What the header says.
struct NpyHeader {
  DType dtype = DType::f32;
  bool fortran = false;
  Shape shape;
};

/// Reads a header through `read`, which fills the bytes or throws. Error with `where` and the path, also for a shape
/// that no tensor can have.
NpyHeader read_npy_header(const std::function<void(void* to, size_t bytes)>& read, const std::string& path,
                          Location where);

/// Error `cannot read PATH: reason` with `where`.
[[noreturn]] void fail_npy(const std::string& path, Location where, std::string_view reason);

}  // namespace etch::detail
