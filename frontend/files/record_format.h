// How TFRecord files and TensorBoard's event files frame a record: its length, the masked CRC-32C of the length, its
// bytes and their masked CRC-32C, all little endian (https://www.tensorflow.org/tutorials/load_data/tfrecord).
#pragma once

#include <cstddef>
#include <cstdint>

namespace etch::detail {

inline constexpr size_t kRecordHeader = sizeof(uint64_t) + sizeof(uint32_t);
inline constexpr size_t kRecordFooter = sizeof(uint32_t);

}  // namespace etch::detail
