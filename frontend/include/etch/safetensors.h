// Files of the safetensors format, read and written.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {

/// Tensors by their names.
using NamedTensors = std::map<std::string, Tensor, std::less<>>;

/// The tensors of a safetensors file: those of Python's safetensors.numpy.save_file and of other writers, and those
/// that Etch writes, whose checksums are verified. All that the file says is checked before anything is allocated for
/// it; the elements are read, not mapped, so a file that shrinks meanwhile is an Error. Error with path and reason for
/// what is no such file; for lengths, offsets, shapes and names that do not fit together; for a dtype that no tensor
/// has, such as F8_E4M3; and for a BOOL that is neither 0 nor 1. At most 100 MB of header. Format:
/// https://github.com/huggingface/safetensors
NamedTensors load_safetensors(const std::string& path, Location where = Location::current());

/// Writes a file for Python's safetensors and load_safetensors. It appears whole or not at all, and is on the disk
/// then: it is written beside its place, synced and renamed, and its folder is synced. Missing folders are made; a
/// symbolic link there is replaced. The elements of the file begin at a multiple of 64 bytes, and each tensor at a
/// multiple of the largest power of two, up to 64, that divides its size in bytes: those come first whose size is a
/// multiple of 64. Checksums stand in the metadata, under `etch`. Error with path and reason if it cannot be written,
/// for names that are not UTF-8 or are `__metadata__`, and for values of a trace.
void save_safetensors(const std::string& path, const NamedTensors& tensors, Location where = Location::current());

}  // namespace etch
