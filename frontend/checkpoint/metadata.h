// What Etch says in the metadata of the safetensors files that it writes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "etch/safetensors.h"
#include "etch/saved_state.h"

namespace etch::detail {

/// The text under `etch` in a file's metadata: JSON that begins with a checksum of what follows it.
///
///   {"crc32c":"0a1b2c3d","aliases":{..},"checksums":{..},"host":{..},"layout":"..","slots":{..},"version":1}
struct FileMetadata {
  static constexpr std::string_view kKey = "etch";
  static constexpr int64_t kVersion = 1;

  using Names = std::map<std::string, std::string, std::less<>>;

  std::map<std::string, uint32_t, std::less<>> checksums;  // CRC-32C of the bytes of each tensor
  uint32_t layout = 0;                                     // and of text_of_places
  Names aliases;                                           // other names of variables that are stored under one
  Names slots;                                             // which variable a slot of an optimizer belongs to
  SavedState host;                                         // what is no tensor and no long text
  std::map<std::string, bool, std::less<>> host_tensors;   // tensors of the file that belong to `host`; true for texts
};

/// Takes tensors and long texts out of `host`, as tensors of the file under the same names.
NamedTensors take_host_tensors(FileMetadata& metadata);
/// Puts them back in and takes them from `tensors`. Error if one is not there, or is no text where it should be.
void put_host_tensors(FileMetadata& metadata, NamedTensors& tensors);

/// The text. It has the same length whatever the checksums are. Error for names that are not UTF-8.
std::string write_metadata(const FileMetadata& metadata);
/// Reads it. Error if it is damaged, or was written by a later version.
FileMetadata read_metadata(std::string_view text);

}  // namespace etch::detail
