// Opens a file as it lies or packed.
#pragma once

#include <memory>
#include <string>

#include "etch/data/files.h"
#include "frontend/files/file.h"

namespace etch::detail {

inline std::unique_ptr<ByteSource> open_packed(const std::string& path, data::Compression compression) {
  if (compression == data::Compression::gzip) return std::make_unique<GzipFile>(path);
  return std::make_unique<InputFile>(path);
}

/// True if a file begins as gzip files do.
inline bool is_gzip(const std::string& path) { return InputFile(path).peek(2).starts_with("\x1f\x8b"); }

}  // namespace etch::detail
