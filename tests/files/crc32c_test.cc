// CRC-32C against the values of RFC 3720 and against itself.
#include "frontend/files/crc32c.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace etch::detail {
namespace {

std::vector<uint8_t> random_bytes(size_t count) {
  std::mt19937 random(7);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

TEST(Crc32c, HasThePublishedValues) {
  // RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::vector<uint8_t> counting(32);
  std::iota(counting.begin(), counting.end(), uint8_t{0});
  EXPECT_EQ(crc32c(counting.data(), counting.size()), 0x46dd794eu);
  EXPECT_EQ(crc32c(std::vector<uint8_t>(counting.rbegin(), counting.rend()).data(), 32), 0x113fdb5cu);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(Crc32c, TheInstructionGivesWhatTheTablesGive) {
  const std::vector<uint8_t> bytes = random_bytes(20000);
  for (size_t length = 0; length < 15000; length += length < 700 ? 1 : 211) {
    for (size_t start : {0, 1, 7}) {
      ASSERT_EQ(extend_crc32c(0x1234567, bytes.data() + start, length),
                extend_crc32c_by_table(0x1234567, bytes.data() + start, length))
          << length << " from " << start;
    }
  }
}

TEST(Crc32c, OfARecordAreThoseOfItsParts) {
  const std::vector<uint8_t> bytes = random_bytes(5000);
  for (const uint64_t length : {uint64_t{0}, uint64_t{100}, uint64_t{5000}}) {
    const RecordCrcs crcs = crc32c_of_record(length, bytes.data());
    EXPECT_EQ(crcs.length, crc32c(&length, sizeof length));
    EXPECT_EQ(crcs.data, crc32c(bytes.data(), length));
  }
}

TEST(Crc32c, GoesOnBehindAPart) {
  const std::vector<uint8_t> bytes = random_bytes(5000);
  for (size_t first : {0, 1, 8, 96, 97, 1000, 4096, 5000}) {
    EXPECT_EQ(extend_crc32c(crc32c(bytes.data(), first), bytes.data() + first, bytes.size() - first),
              crc32c(bytes.data(), bytes.size()));
  }
}

TEST(Crc32c, CombinesThoseOfTwoParts) {
  const std::vector<uint8_t> bytes = random_bytes(5000);
  for (size_t first : {0, 1, 8, 96, 97, 1000, 4096, 5000}) {
    EXPECT_EQ(combine_crc32c(crc32c(bytes.data(), first), crc32c(bytes.data() + first, bytes.size() - first),
                             bytes.size() - first),
              crc32c(bytes.data(), bytes.size()));
  }
}

}  // namespace
}  // namespace etch::detail
