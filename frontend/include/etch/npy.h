// NumPy's .npy files, read and written.
#pragma once

#include <string>

#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {

/// The tensor of a .npy file as numpy.save writes it: format versions 1 to 3, little endian, C or Fortran order, one
/// array of float16, float32, float64, bool or integers of 8 to 64 bits. NumPy has no bfloat16; two bytes without a
/// type (`V2`), as which numpy.save writes that of the package ml_dtypes, are read as bf16. Error that names the file,
/// the reason and, for another dtype, the way out; also for a corrupt header, missing or surplus bytes and bools that
/// are neither 0 nor 1.
/// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
Tensor load_npy(const std::string& path, Location where = Location::current());

/// Writes a .npy file (version 1, C order) for numpy.load. The file appears whole or not at all: it is
/// written beside its place, synced and renamed; a symbolic link there is replaced. bf16 is written as `V2`: read it by
/// `numpy.load(path).view(ml_dtypes.bfloat16)`. Error that names the file when it cannot be written, when something
/// else than a regular file is there, or for a value of a trace.
void save_npy(const std::string& path, const Operand& x);

}  // namespace etch
