// .npy rows and idx files.
#include "etch/data/files.h"
#include "etch/npy.h"
#include "tests/files/files.h"

namespace etch::data {
namespace {

class NpyRows : public Files {};
class Idx : public Files {};

std::vector<float> floats_of(const Tensor& x) {
  std::vector<float> values;
  dispatch(x.dtype(), [&]<class T>() {
    for (T value : x.data<T>()) values.push_back(static_cast<float>(value));
  });
  return values;
}

TEST_F(NpyRows, AreTheRowsOfTheWholeArray) {
  const auto rows = npy_rows(kMade + "rows.npy");
  const Tensor whole = load_npy(kMade + "rows.npy");
  EXPECT_EQ(rows.cardinality(), 4);
  EXPECT_EQ(to_string(rows.element_spec().at(0)), "f32[3,2]");
  const std::vector<Tensor> all = rows.to_vector();
  ASSERT_EQ(all.size(), 4u);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(same_bits(all[static_cast<size_t>(i)], whole[i])) << i;
  expect_resumes(rows, same_bits);
}

TEST_F(NpyRows, BatchesAreRowsBehindEachOther) {
  const auto batches = npy_rows(kMade + "rows.npy").batch(3).to_vector();
  const Tensor whole = load_npy(kMade + "rows.npy");
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_TRUE(same_bits(batches[0], whole[Slice(0, 3)]));
  EXPECT_TRUE(same_bits(batches[1], whole[Slice(3, 4)]));
}

TEST_F(NpyRows, CanBeShuffledByIndex) {
  const auto rows = npy_rows(kMade + "rows.npy");
  ASSERT_NE(rows.stage()->random_access(), nullptr);
  EXPECT_EQ(floats_of(rows.stage()->random_access()->at(2)), (std::vector<float>{12, 13, 14, 15, 16, 17}));
  std::vector<Tensor> stacked;
  ASSERT_TRUE(rows.stage()->random_access()->gather(std::vector<int64_t>{3, 1, 2}, stacked));
  EXPECT_EQ(floats_of(stacked.at(0)),
            (std::vector<float>{18, 19, 20, 21, 22, 23, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}));
}

TEST_F(NpyRows, FilesThatHaveNoneAreErrors) {
  EXPECT_EQ(short_text(error_of([] { npy_rows(kMade + "fortran.npy"); })),
            "cannot read fortran.npy: its rows do not lie one behind the other; save `numpy.ascontiguousarray(x)`, or "
            "read it whole "
            "by load_npy");
  EXPECT_EQ(short_text(error_of([] { npy_rows(kMade + "scalar.npy"); })), "cannot read scalar.npy: f64[] has no rows");
  const std::string whole = read_file(kMade + "rows.npy");
  EXPECT_EQ(short_text(error_of([&] { npy_rows(write("a", whole.substr(0, whole.size() - 1))); })),
            "cannot read a: it holds 95 bytes of elements, but f32[4,3,2] takes 96");
}

TEST_F(NpyRows, AFileThatBecomesShorterIsAnError) {
  const std::string file = write("a", read_file(kMade + "rows.npy"));
  const auto rows = npy_rows(file);
  std::filesystem::resize_file(file, 128 + 30);
  EXPECT_EQ(first_error(rows), "cannot read a: it became shorter: it ends at byte 158 within its elements");
}

TEST_F(Idx, HasAllDTypes) {
  EXPECT_EQ(load_idx(kMade + "uint8.idx").to_vector<uint8_t>(), (std::vector<uint8_t>{0, 1, 2, 3, 100, 127}));
  EXPECT_EQ(load_idx(kMade + "int8.idx").to_vector<int8_t>(), (std::vector<int8_t>{0, -1, -2, -3, -100, -127}));
  EXPECT_EQ(load_idx(kMade + "int16.idx").to_vector<int16_t>(),
            (std::vector<int16_t>{0, -257, -514, -771, -25700, -32639}));
  const std::vector<float> expected = {0, -257, -514, -771, -25700, -32639};
  for (const std::string name : {"int32", "float32", "float64"}) {
    const Tensor x = load_idx(kMade + name + ".idx");
    EXPECT_EQ(floats_of(x), expected) << name;
    EXPECT_EQ(to_string(x.shape()), "[2,3]");
  }
  EXPECT_EQ(load_idx(kMade + "int32.idx").dtype(), DType::i32);
  EXPECT_EQ(load_idx(kMade + "float32.idx").dtype(), DType::f32);
  EXPECT_EQ(load_idx(kMade + "float64.idx").dtype(), DType::f64);
}

TEST_F(Idx, IsUnpacked) {
  EXPECT_TRUE(same_bits(load_idx(kMade + "uint8.idx.gz"), load_idx(kMade + "uint8.idx")));
  const auto rows = idx(kMade + "uint8.idx.gz");
  EXPECT_EQ(rows.cardinality(), 2);
  EXPECT_EQ(to_string(rows.element_spec().at(0)), "u8[3]");
  expect_resumes(rows, same_bits);
}

TEST_F(Idx, RowsAreThoseOfTheWhole) {
  const auto rows = idx(kMade + "int16.idx");
  EXPECT_EQ(rows.cardinality(), 2);
  EXPECT_EQ(floats_of(rows.to_vector().at(1)), (std::vector<float>{-771, -25700, -32639}));
  expect_resumes(rows, same_bits);
}

TEST_F(Idx, BrokenFilesAreErrors) {
  const auto error = [&](std::string_view bytes) { return short_text(error_of([&] { load_idx(write("a", bytes)); })); };
  EXPECT_EQ(error(""), "cannot read a: it ends within its header");
  EXPECT_EQ(error("PK\3\4...."), "cannot read a: it is no idx file: it does not start with two zero bytes");
  EXPECT_EQ(error(std::string("\0\0\7\1\0\0\0\1x", 9)), "cannot read a: its code of a dtype, 7, is none of idx's");
  EXPECT_EQ(error(std::string("\0\0\x08\x09", 4)), "cannot read a: it has 9 axes, more than 8");
  EXPECT_EQ(error(std::string("\0\0\x08\x01\0\0\0\3xy", 10)),
            "cannot read a: it holds no more than 2 bytes of elements, but u8[3] takes 3");
  EXPECT_EQ(error(std::string("\0\0\x08\x01\0\0\0\1xy", 10)), "cannot read a: it holds more than the 1 bytes of u8[1]");
  EXPECT_EQ(error(std::string("\0\0\x0e\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 20)),
            "cannot read a: a tensor of f64[4294967295,4294967295,4294967295,4294967295] cannot be");
}

TEST_F(Idx, APackedFileThatIsCutOffIsAnErrorOfOneRow) {
  const std::string whole = read_file(kMade + "uint8.idx.gz");
  const auto data = idx(write("a.gz", whole.substr(0, whole.size() - 8)));
  const auto walked = walk(data);
  EXPECT_EQ(walked.errors.size(), 1u);
}

}  // namespace
}  // namespace etch::data
