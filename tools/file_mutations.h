// Files that are mutated and read: each must be read or be an Error that names it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace etch {

/// A valid file of a format and how it is read.
struct FileSample {
  std::string format;
  std::string bytes;
  /// Reads the file; how many elements there were. Throws where it cannot.
  int64_t (*read)(const std::string& path);
  /// Makes checksums right again, so that a mutation gets behind them; or null.
  void (*repair)(std::string& bytes) = nullptr;
};

/// Small files of TFRecord, Example, CSV, PNG, JPEG, npy, idx and safetensors that other tools made, and a checkpoint.
/// @param made the folder tests/files/made.
std::vector<FileSample> file_samples(const std::string& made);

/// One of many ways to break bytes: flipped bits, cut and doubled parts, numbers with hostile values, parts of `other`.
std::string mutate(std::string bytes, std::string_view other, uint64_t seed);

struct MutationCounts {
  int64_t read = 0;
  int64_t refused = 0;
};
/// Writes mutation `seed` of a sample to `path` and reads it. What is wrong, or nothing: an exception that is no Error,
/// or an Error that does not name the path.
std::string try_mutation(const FileSample& sample, std::string_view other, uint64_t seed, const std::string& path,
                         MutationCounts& counts);

}  // namespace etch
