// CRC-32C by the processor's instruction in three streams, or by tables.
//
// Polynomials over GF(2) modulo P are held as CRCs are: bit 31 is the coefficient of x^0. To go on by n zero bytes is
// to multiply by x^(8n).
#include "frontend/files/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace etch::detail {
namespace {

static_assert(std::endian::native == std::endian::little, "words are loaded as they lie in memory");

constexpr uint32_t kPolynomial = 0x82f63b78;  // P without x^32, bit 31 being x^0
constexpr uint32_t kOne = 0x80000000;

constexpr uint32_t times_x(uint32_t a) { return a >> 1 ^ ((a & 1) != 0 ? kPolynomial : 0); }

constexpr uint32_t times(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = times_x(b);
  }
  return product;
}

constexpr uint32_t power_of_x(uint64_t exponent) {
  uint32_t result = kOne;
  uint32_t square = kOne >> 1;  // x
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = times(result, square);
    square = times(square, square);
  }
  return result;
}

using Tables = std::array<std::array<uint32_t, 256>, 8>;

/// Table k: what a byte that k bytes follow does to the CRC.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = times_x(crc);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = before >> 8 ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

uint64_t load_word(const uint8_t* data) {
  uint64_t word;
  std::memcpy(&word, data, sizeof word);
  return word;
}

#ifdef __x86_64__
#define ETCH_CRC_TARGET __attribute__((target("sse4.2,pclmul")))

/// The product of two polynomials as the instruction takes a word: it multiplies by x^32 modulo P, and a word's bits
/// stand one place lower than those of a product, which is another x.
ETCH_CRC_TARGET inline uint64_t wide_product(uint32_t a, uint32_t b) {
  return static_cast<uint64_t>(_mm_cvtsi128_si64(
      _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(a)), _mm_cvtsi32_si128(static_cast<int>(b)), 0)));
}

/// Three runs of kBytes each, whose instructions do not wait for each other.
template <size_t kBytes>
ETCH_CRC_TARGET inline uint64_t extend_by_three(uint64_t crc, const uint8_t* data) {
  constexpr uint32_t kPastOne = power_of_x(8 * kBytes - 33);
  constexpr uint32_t kPastTwo = power_of_x(16 * kBytes - 33);
  uint64_t second = 0;
  uint64_t third = 0;
  for (size_t i = 0; i < kBytes; i += 8) {
    crc = _mm_crc32_u64(crc, load_word(data + i));
    second = _mm_crc32_u64(second, load_word(data + kBytes + i));
    third = _mm_crc32_u64(third, load_word(data + 2 * kBytes + i));
  }
  return third ^ _mm_crc32_u64(0, wide_product(static_cast<uint32_t>(crc), kPastTwo) ^
                                      wide_product(static_cast<uint32_t>(second), kPastOne));
}

template <size_t kBytes>
ETCH_CRC_TARGET inline uint64_t extend_while_long(uint64_t crc, const uint8_t*& data, size_t& bytes) {
  while (bytes >= 3 * kBytes) {
    crc = extend_by_three<kBytes>(crc, data);
    data += 3 * kBytes;
    bytes -= 3 * kBytes;
  }
  return crc;
}

ETCH_CRC_TARGET inline uint32_t extend_by_instruction(uint32_t before, const uint8_t* data, size_t bytes) {
  uint64_t crc = ~before;
  crc = extend_while_long<1360>(crc, data, bytes);
  crc = extend_while_long<168>(crc, data, bytes);
  crc = extend_while_long<32>(crc, data, bytes);
  for (; bytes >= 8; bytes -= 8, data += 8) crc = _mm_crc32_u64(crc, load_word(data));
  auto last = static_cast<uint32_t>(crc);
  if ((bytes & 4) != 0) {
    uint32_t word;
    std::memcpy(&word, data, sizeof word);
    last = _mm_crc32_u32(last, word);
    data += 4;
  }
  for (bytes &= 3; bytes > 0; --bytes) last = _mm_crc32_u8(last, *data++);
  return ~last;
}

ETCH_CRC_TARGET RecordCrcs record_by_instruction(uint64_t length, const uint8_t* data) {
  return {~static_cast<uint32_t>(_mm_crc32_u64(UINT32_MAX, length)), extend_by_instruction(0, data, length)};
}

bool has_instructions() { return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"); }
#endif

}  // namespace

uint32_t extend_crc32c_by_table(uint32_t crc, const void* from, size_t bytes) {
  const auto* data = static_cast<const uint8_t*>(from);
  crc = ~crc;
  for (; bytes >= 8; bytes -= 8, data += 8) {
    const uint64_t word = load_word(data) ^ crc;
    crc = 0;
    for (size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][word >> 8 * k & 0xff];
  }
  for (; bytes > 0; --bytes) crc = crc >> 8 ^ kTables[0][(crc ^ *data++) & 0xff];
  return ~crc;
}

uint32_t extend_crc32c(uint32_t crc, const void* data, size_t bytes) {
#ifdef __x86_64__
  if (has_instructions()) return extend_by_instruction(crc, static_cast<const uint8_t*>(data), bytes);
#endif
  return extend_crc32c_by_table(crc, data, bytes);
}

RecordCrcs crc32c_of_record(uint64_t length, const void* data) {
#ifdef __x86_64__
  if (has_instructions()) return record_by_instruction(length, static_cast<const uint8_t*>(data));
#endif
  return {extend_crc32c_by_table(0, &length, sizeof length), extend_crc32c_by_table(0, data, length)};
}

uint32_t combine_crc32c(uint32_t first, uint32_t second, uint64_t second_bytes) {
  return times(first, power_of_x(8 * second_bytes)) ^ second;
}

}  // namespace etch::detail
