// CRC-32C (Castagnoli), the checksum of TFRecord files and of checkpoints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace etch::detail {

/// The CRC-32C of bytes that go on after others: `crc` is that of what came before, 0 at the start (RFC 3720, appendix
/// B.4).
uint32_t extend_crc32c(uint32_t crc, const void* data, size_t bytes);
/// The same by tables alone, for processors without the instruction and as its test.
uint32_t extend_crc32c_by_table(uint32_t crc, const void* data, size_t bytes);

inline uint32_t crc32c(const void* data, size_t bytes) { return extend_crc32c(0, data, bytes); }
inline uint32_t crc32c(std::string_view bytes) { return crc32c(bytes.data(), bytes.size()); }

/// The CRC-32C of a number's eight bytes, little endian, and of as many bytes at `data`: what frames a record.
struct RecordCrcs {
  uint32_t length;
  uint32_t data;
};
RecordCrcs crc32c_of_record(uint64_t length, const void* data);

/// The CRC-32C of two parts one after the other, from those of the parts and the length of the second.
uint32_t combine_crc32c(uint32_t first, uint32_t second, uint64_t second_bytes);

/// The form in which TFRecord files store a CRC: bytes that hold their own CRC would make poor checksums.
constexpr uint32_t mask_crc32c(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8u; }

}  // namespace etch::detail
