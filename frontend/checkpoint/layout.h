// The header of a safetensors file: what stands where.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/ir/type.h"

namespace etch::detail {

/// A tensor of a file. Offsets count from the file's first element.
struct StoredTensor {
  std::string name;
  Type type;
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// What a header says.
struct FileLayout {
  std::vector<StoredTensor> tensors;            // in the order of their bytes, without holes
  std::map<std::string, std::string> metadata;  // names and texts

  uint64_t data_bytes() const { return tensors.empty() ? 0 : tensors.back().end; }
};

/// What stands before the header, its length, and the most that it may have: that of the format's own library.
inline constexpr uint64_t kLengthBytes = 8;
inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr uint64_t kDataAlignment = 64;

/// Gives tensors, of which names and types are set, their places: those first whose sizes are multiples of more. So
/// each begins at a multiple of the largest power of two, up to 64, that divides its size.
void place_tensors(std::vector<StoredTensor>& tensors);

/// The header's length and the header, padded with spaces so that the elements begin at a multiple of 64 bytes. Error,
/// without a path, for a name or text that is not UTF-8, and for a header that is too long.
std::string write_layout(const FileLayout& layout);

/// Reads a header. Error, without a path, unless all of it fits together and with how many bytes of elements there are.
FileLayout read_layout(std::string_view header, uint64_t data_bytes);

/// One text for what is stored where, in which every bit counts: what a checksum is taken of.
std::string text_of_places(std::vector<StoredTensor> tensors);

bool is_utf8(std::string_view text);
/// `'name'`, short and printable.
std::string in_quotes(std::string_view text);

}  // namespace etch::detail
