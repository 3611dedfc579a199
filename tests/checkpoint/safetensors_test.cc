// Safetensors files: what is written, Python's files, damaged and hostile ones.
#include "etch/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "etch/function.h"
#include "etch/ops.h"
#include "frontend/checkpoint/layout.h"
#include "frontend/checkpoint/tensor_file.h"
#include "frontend/files/crc32c.h"
#include "tests/checkpoint/scratch.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string sample(const std::string& name) { return ETCH_SOURCE_DIR "/tests/checkpoint/samples/" + name; }

/// The bytes of a file with this header and these elements.
std::string file_of(const std::string& header, std::string_view elements = {}) {
  std::string bytes(8, '\0');
  const uint64_t size = header.size();
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes + header + std::string(elements);
}

/// What reading such a file says, without the path.
std::string refusal(const std::string& bytes) {
  const Scratch scratch;
  const std::string path = scratch.file("x.safetensors");
  write_bytes(path, bytes);
  std::string text = error_of([&] { (void)load_safetensors(path); });
  if (const size_t at = text.find(path); at != std::string::npos) text.erase(0, at + path.size() + 2);
  return text;
}

NamedTensors some_tensors() {
  return {{"a", Tensor({{1.f, 2.f}, {3.f, 4.f}})},
          {"b", Tensor(int64_t{-5})},
          {"c", zeros({0, 3}, DType::f64)},
          {"d", Tensor({true, false})},
          {"e", ones({33})},
          {"f", ones({16})}};
}

TEST(Safetensors, GivesBackWhatWasSaved) {
  const Scratch scratch;
  const std::string path = scratch.file("x.safetensors");
  save_safetensors(path, some_tensors());
  const NamedTensors loaded = load_safetensors(path);
  ASSERT_EQ(loaded.size(), 6u);
  for (const auto& [name, tensor] : some_tensors()) {
    EXPECT_EQ(to_string(loaded.at(name)), to_string(tensor)) << name;
  }
}

TEST(Safetensors, HoldsEveryDtypeBitForBit) {
  const Scratch scratch;
  NamedTensors tensors;
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    tensors.emplace(to_string(dtype), cast(Tensor({0, 1, 1}), dtype));
  }
  save_safetensors(scratch.file("x"), tensors);
  for (const auto& [name, tensor] : load_safetensors(scratch.file("x"))) {
    EXPECT_EQ(to_string(tensor), to_string(tensors.at(name)));
  }
}

TEST(Safetensors, ElementsBeginAtAMultipleOf64AndTensorsAtWhatDividesTheirSize) {
  const Scratch scratch;
  save_safetensors(scratch.file("x"), some_tensors());
  const detail::FileHead head = detail::read_file_head(scratch.file("x"), {});
  const std::string bytes = bytes_of(scratch.file("x"));
  EXPECT_EQ((bytes.size() - head.layout.data_bytes()) % 64, 0u);
  for (const detail::StoredTensor& tensor : head.layout.tensors) {
    const uint64_t size = tensor.end - tensor.begin;
    const uint64_t alignment = size == 0 ? 1 : std::min<uint64_t>(64, uint64_t{1} << std::countr_zero(size));
    EXPECT_EQ(tensor.begin % alignment, 0u) << tensor.name;
  }
}

TEST(Safetensors, ReadsWhatPythonWrote) {
  const NamedTensors x = load_safetensors(sample("python.safetensors"));
  EXPECT_EQ(x.size(), 13u);
  EXPECT_EQ(to_string(x.at("kernel")), to_string(Tensor({{0.f, 0.25f, 0.5f}, {0.75f, 1.f, 1.25f}})));
  EXPECT_EQ(x.at("scalar").item<int64_t>(), -7);
  EXPECT_EQ(x.at("empty").shape(), (Shape{0, 5}));
  EXPECT_THAT(x.at("flags").to_vector<bool>(), ElementsAre(true, false, true));
  EXPECT_EQ(static_cast<float>(x.at("half").data<float16>()[1]), -2.f);
  EXPECT_THAT(x.at("bytes").to_vector<uint8_t>(), ElementsAre(0, 255, 7));
  EXPECT_THAT(x.at("name/with \u00e4 and [0]").to_vector<int8_t>(), ElementsAre(1, -1));
  EXPECT_THAT(x.at("u16").to_vector<uint16_t>(), ElementsAre(65535));
  EXPECT_THAT(x.at("i16").to_vector<int16_t>(), ElementsAre(-32768));
  EXPECT_THAT(x.at("i32").to_vector<int32_t>(), ElementsAre(2147483647));
  EXPECT_THAT(x.at("u32").to_vector<uint32_t>(), ElementsAre(4294967295u));
  EXPECT_THAT(x.at("u64").to_vector<uint64_t>(), ElementsAre(18446744073709551615u));
  EXPECT_TRUE(std::isnan(x.at("f64").data<double>()[0]));
  EXPECT_TRUE(std::signbit(x.at("f64").data<double>()[2]));
}

TEST(Safetensors, ReadsPythonsFileWithoutMetadataAndItsBf16) {
  EXPECT_THAT(load_safetensors(sample("python_no_metadata.safetensors")).at("x").to_vector<float>(),
              ElementsAre(1.5f, 2.5f));
  const Tensor x = load_safetensors(sample("python_bf16.safetensors")).at("x");
  EXPECT_EQ(x.dtype(), DType::bf16);
  EXPECT_EQ(static_cast<float>(x.data<bfloat16>()[1]), -3.f);
}

TEST(Safetensors, RefusesADtypeThatNoTensorHas) {
  EXPECT_THAT(
      error_of([] { (void)load_safetensors(sample("python_f8.safetensors")); }),
      HasSubstr(
          "python_f8.safetensors: its header's 'x' has the dtype 'F8_E4M3', not F16, BF16, F32, F64, I8, I16, I32, I64,"
          " U8, U16, U32, U64 or BOOL"));
}

TEST(Safetensors, RefusesNamesThatTheFormatOrJsonDoesNotTake) {
  const Scratch scratch;
  EXPECT_THAT(error_of([&] {
                save_safetensors(scratch.file("x"), {{"__metadata__", ones({1})}});
              }),
              HasSubstr("a tensor cannot be called __metadata__, which is the format's own name"));
  EXPECT_THAT(error_of([&] { save_safetensors(scratch.file("x"), {{"a\xff", ones({1})}}); }), HasSubstr("not UTF-8"));
  EXPECT_THAT(scratch.names(), ElementsAre());
}

TEST(Safetensors, RefusesFilesThatAreNone) {
  EXPECT_EQ(refusal(""), "it has 0 bytes, too few for the length of its header");
  EXPECT_EQ(refusal("1234567"), "it has 7 bytes, too few for the length of its header");
  EXPECT_EQ(refusal(std::string(8, '\xff')),
            "its header of 18446744073709551615 bytes is too long; 100000000 are the most");
  EXPECT_EQ(refusal(std::string("\x10\0\0\0\0\0\0\0{}", 10)), "its header has 16 bytes, but the file only 10");
  EXPECT_EQ(refusal(file_of("")), "its header is no JSON at byte 8");
  EXPECT_EQ(refusal(file_of("{\"x")), "its header is no JSON at byte 11");
  EXPECT_EQ(refusal(file_of("[]")), "its header's beginning has a list where it may not stand");
  EXPECT_EQ(refusal(file_of("{}x")), "its header is no JSON at byte 10");
  EXPECT_EQ(refusal(file_of("{}", "1")), "it holds 1 bytes of elements, but its tensors take 0");
}

/// A header of one tensor `x` with these places.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"x\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
}

TEST(Safetensors, RefusesLengthsAndOffsetsThatDoNotFit) {
  EXPECT_EQ(refusal(file_of(one("F32", "[2]", "[0,4]"), "1234")),
            "'x' is f32[2], 8 bytes, but its data_offsets are 0 and 4 of 4");
  EXPECT_EQ(refusal(file_of(one("F32", "[1]", "[4,8]"), "12345678")),
            "'x' begins at 4 where 0 would follow: tensors leave a hole");
  EXPECT_EQ(refusal(file_of(one("F32", "[1]", "[4,0]"), "1234")),
            "'x' is f32[1], 4 bytes, but its data_offsets are 4 and 0 of 4");
  EXPECT_EQ(refusal(file_of(one("F32", "[4611686018427387904,4]", "[0,0]"))),
            "a tensor of f32[4611686018427387904,4], as 'x' says, cannot be");
  EXPECT_EQ(refusal(file_of(one("U8", "[1099511627776]", "[0,1099511627776]"), "1")),
            "'x' is u8[1099511627776], 1099511627776 bytes, but its data_offsets are 0 and 1099511627776 of 1");
  EXPECT_EQ(refusal(file_of(one("U8", "[18446744073709551615]", "[0,1]"), "1")),
            "its header's 'x' has the extent 18446744073709551615");
  EXPECT_EQ(refusal(file_of(one("U8", "[-1]", "[0,1]"), "1")), "its header's 'x' has -1 where it may not stand");
  EXPECT_EQ(refusal(file_of(one("U8", "[1.0]", "[0,1]"), "1")), "its header's 'x' has 1.0 where it may not stand");
  EXPECT_EQ(refusal(file_of(one("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), "1")), "its header's 'x' has more than 8 axes");
  EXPECT_EQ(refusal(file_of(one("U8", "[1]", "[0,1,2]"), "1")), "its header's 'x' has more than two data_offsets");
  EXPECT_EQ(refusal(file_of(one("U8", "[1]", "[0]"), "1")), "its header's 'x' has not two data_offsets");
  EXPECT_EQ(refusal(file_of(one("U8", "[1]", "[0,99999999999999999999]"), "1")),
            "its header's 'x' has 99999999999999999999 where it may not stand");
}

TEST(Safetensors, RefusesTensorsThatOverlap) {
  EXPECT_EQ(refusal(file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],)"
                            R"("data_offsets":[1,3]}})",
                            "123")),
            "'b' begins at 1 where 2 would follow: tensors overlap");
  EXPECT_EQ(refusal(file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],)"
                            R"("data_offsets":[0,2]}})",
                            "12")),
            "'b' begins at 0 where 2 would follow: tensors overlap");
}

TEST(Safetensors, RefusesHeadersOfAnotherForm) {
  EXPECT_EQ(refusal(file_of(R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{}})")),
            "its header has 'x' twice");
  EXPECT_EQ(refusal(file_of(R"({"x":{"dtype":"U8","dtype":"U8"}})")), "its header's 'x' has 'dtype' twice");
  EXPECT_EQ(refusal(file_of(R"({"x":{"dtype":"U8","shape":[0]}})")),
            "its header's 'x' lacks one of dtype, shape and data_offsets");
  EXPECT_EQ(refusal(file_of(R"({"x":{"dtype":"U8","strides":[0]}})")),
            "its header's 'x' has 'strides', not only dtype, shape and data_offsets");
  EXPECT_EQ(refusal(file_of(R"({"x":{"dtype":8}})")), "its header's 'x' has 8 where it may not stand");
  EXPECT_EQ(refusal(file_of(R"({"x":null})")), "its header's 'x' has null where it may not stand");
  EXPECT_EQ(refusal(file_of(R"({"x":{"shape":[[1]]}})")), "its header's 'x' has a list where it may not stand");
  EXPECT_EQ(refusal(file_of(R"({"__metadata__":{"a":{}}})")),
            "its header's '__metadata__' has an object where it may not stand");
  EXPECT_EQ(refusal(file_of(R"({"__metadata__":{"a":"1","a":"2"}})")), "its header's '__metadata__' has 'a' twice");
}

TEST(Safetensors, DeepJsonEndsAtTheFirstStepThatIsTooDeep) {
  EXPECT_EQ(refusal(file_of("{\"x\":" + std::string(10'000'000, '['))),
            "its header's 'x' has a list where it may not stand");
}

TEST(Safetensors, RefusesABoolThatIsNeither0Nor1) {
  EXPECT_EQ(refusal(file_of(one("BOOL", "[2]", "[0,2]"), std::string_view("\1\2", 2))),
            "a BOOL of 'x' is neither 0 nor 1");
}

/// The refusal of a file of Etch with this text under `etch`; its checksum is put before it.
std::string refusal_of_metadata(std::string text) {
  detail::FileLayout layout;
  layout.metadata["etch"] = std::move(text);
  std::string bytes = detail::write_layout(layout);
  return refusal(bytes);
}

TEST(Safetensors, RefusesMetadataThatIsDamaged) {
  EXPECT_EQ(refusal_of_metadata(""), "its entry `etch` is damaged: it does not begin with a checksum");
  EXPECT_EQ(refusal_of_metadata(R"({"crc32c":"00000000","version":1})"),
            "its entry `etch` is damaged: its checksum is another one");
  EXPECT_EQ(refusal_of_metadata(R"({"crc32c":"zzzzzzzz","version":1})"),
            "its entry `etch` is damaged: a number is none");
}

TEST(Safetensors, RefusesAFileOfALaterVersion) {
  detail::FileMetadata metadata;
  std::string text = detail::write_metadata(metadata);
  const size_t at = text.find("\"version\":1");
  text.replace(at, 11, "\"version\":2");
  const std::string rest = text.substr(19);
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", detail::crc32c(rest));
  EXPECT_EQ(refusal_of_metadata("{\"crc32c\":\"" + std::string(digits) + rest),
            "it has version 2 of Etch's metadata; this Etch reads up to 1");
}

TEST(Safetensors, ADamagedElementNamesItsTensorAndItsBytes) {
  const Scratch scratch;
  save_safetensors(scratch.file("x"), {{"a", ones({16})}, {"b", ones({16})}});
  std::string bytes = bytes_of(scratch.file("x"));
  bytes[bytes.size() - 3] ^= 1;
  const size_t begin = bytes.size() - 64;
  EXPECT_EQ(refusal(bytes), "the elements of 'b', from byte " + std::to_string(begin) + " to " +
                                std::to_string(begin + 64) + ", are damaged: their checksum is another one");
}

TEST(Safetensors, ADamagedHeaderIsFound) {
  const Scratch scratch;
  save_safetensors(scratch.file("x"), {{"a", ones({2, 8})}});
  std::string bytes = bytes_of(scratch.file("x"));
  bytes.replace(bytes.find("[2,8]"), 5, "[8,2]");
  EXPECT_EQ(refusal(bytes), "its header is damaged: the checksum of names, types and places is another one");
}

TEST(Safetensors, ATruncatedFileIsAnError) {
  const Scratch scratch;
  save_safetensors(scratch.file("x"), some_tensors());
  const std::string bytes = bytes_of(scratch.file("x"));
  for (size_t size = 0; size < bytes.size(); size += 7) {
    write_bytes(scratch.file("y"), bytes.substr(0, size));
    ASSERT_THAT(error_of([&] { (void)load_safetensors(scratch.file("y")); }), HasSubstr("cannot read ")) << size;
  }
}

TEST(Safetensors, AChangedByteOfAFileIsFound) {
  const Scratch scratch;
  save_safetensors(scratch.file("x"), some_tensors());
  const std::string bytes = bytes_of(scratch.file("x"));
  for (size_t i = 0; i < bytes.size(); i += 3) {
    std::string damaged = bytes;
    damaged[i] ^= 1 << (i % 8);
    write_bytes(scratch.file("y"), damaged);
    const bool is_foreign = i > 8 && i < bytes.find("\"etch\"") + 6;  // it may name other metadata then
    const std::string error = error_of([&] { (void)load_safetensors(scratch.file("y")); });
    if (error == "no error") {
      EXPECT_TRUE(is_foreign) << i << " " << damaged[i];
    } else {
      EXPECT_THAT(error, HasSubstr("cannot read "));
    }
  }
}

TEST(Safetensors, WhatCannotBeReadNamesThePathAndTheReason) {
  const Scratch scratch;
  EXPECT_THAT(error_of([&] { (void)load_safetensors(scratch.file("none")); }),
              HasSubstr("cannot read " + scratch.file("none") + ": No such file or directory"));
  EXPECT_THAT(error_of([&] { (void)load_safetensors(scratch.path()); }), HasSubstr("it is a directory"));
  ASSERT_EQ(mkfifo(scratch.file("pipe").c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { (void)load_safetensors(scratch.file("pipe")); }), HasSubstr("it is not a regular file"));
}

TEST(Safetensors, AValueOfATraceCannotBeSaved) {
  const Scratch scratch;
  const auto f = function([&](Tensor x) {
    save_safetensors(scratch.file("x"), {{"a", x}});
    return x;
  });
  EXPECT_THAT(error_of([&] { (void)f(ones({2})); }), HasSubstr("'a' belongs to a trace and has no elements"));
}

}  // namespace
}  // namespace etch
