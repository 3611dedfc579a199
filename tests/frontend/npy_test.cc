// Reading and writing of .npy files; the files are NumPy's (make_npy.py).
#include "etch/npy.h"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <sstream>
#include <thread>

#include "etch/function.h"
#include "etch/ops.h"

namespace etch {
namespace {

namespace fs = std::filesystem;

const std::string kFolder = ETCH_SOURCE_DIR "/tests/frontend/npy/";

std::string bytes_of_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_bytes(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// A folder of one test.
class Npy : public testing::Test {
 protected:
  Npy() { fs::create_directories(folder_); }
  ~Npy() override { fs::remove_all(folder_); }

  std::string scratch(const std::string& name) const { return (folder_ / name).string(); }
  size_t files() const { return std::distance(fs::directory_iterator(folder_), fs::directory_iterator()); }

  const fs::path folder_ = fs::temp_directory_path() / ("etch_npy_" + std::to_string(getpid()));
};

/// A version 1 file with this header.
std::string file_with(const std::string& header, const std::string& elements) {
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size() & 0xff) +
         static_cast<char>(header.size() >> 8) + header + elements;
}

std::string error_of(const std::string& path) {
  try {
    load_npy(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

template <class T>
void expect_file(const std::string& name, const Shape& shape, const std::vector<T>& values) {
  const Tensor tensor = load_npy(kFolder + name);
  EXPECT_EQ(tensor.dtype(), dtype_of<T>) << name;
  EXPECT_EQ(to_string(tensor.shape()), to_string(shape)) << name;
  EXPECT_EQ(tensor.to_vector<T>(), values) << name;
}

template <class T>
std::vector<T> halves() {
  return {T(1.5), T(-2.0), T(3.25), T(4.0), T(5.5), T(-6.75)};
}

TEST_F(Npy, ReadsEveryDType) {
  expect_file<float16>("good_float16.npy", {2, 3}, halves<float16>());
  expect_file<bfloat16>("good_bfloat16.npy", {2, 3}, halves<bfloat16>());
  expect_file<bfloat16>("good_void2.npy", {2, 3}, halves<bfloat16>());
  expect_file<float>("good_float32.npy", {2, 3}, {1.5f, -2, 3.25f, 4, 5.5f, -6.75f});
  expect_file<double>("good_float64.npy", {2, 3}, {1.5, -2, 3.25, 4, 5.5, -6.75});
  expect_file<int8_t>("good_int8.npy", {2, 3}, {1, -2, 3, 4, 5, -6});
  expect_file<int16_t>("good_int16.npy", {2, 3}, {1, -2, 3, 4, 5, -6});
  expect_file<int32_t>("good_int32.npy", {2, 3}, {1, -2, 3, 4, 5, -6});
  expect_file<int64_t>("good_int64.npy", {2, 3}, {1, -2, 3, 4, 5, -6});
  expect_file<uint8_t>("good_uint8.npy", {2, 3}, {1, 2, 3, 4, 5, 6});
  expect_file<uint16_t>("good_uint16.npy", {2, 3}, {1, 2, 3, 4, 5, 6});
  expect_file<uint32_t>("good_uint32.npy", {2, 3}, {1, 2, 3, 4, 5, 6});
  expect_file<uint64_t>("good_uint64.npy", {2, 3}, {1, 2, 3, 4, 5, 6});
  expect_file<bool>("good_bool.npy", {2, 3}, {true, true, true, true, true, true});
}

TEST_F(Npy, ReadsEveryVersion) {
  expect_file<float>("good_version2.npy", {2, 3}, {1.5f, -2, 3.25f, 4, 5.5f, -6.75f});
  expect_file<float>("good_version3.npy", {2, 3}, {1.5f, -2, 3.25f, 4, 5.5f, -6.75f});
}

template <class T>
std::vector<T> counted(int n) {
  std::vector<T> values(n);
  std::iota(values.begin(), values.end(), T{0});
  return values;
}

TEST_F(Npy, ReadsFortranOrder) {
  expect_file<float>("good_fortran.npy", {2, 3, 4}, counted<float>(24));
  expect_file<int64_t>("good_fortran_matrix.npy", {5, 7}, counted<int64_t>(35));
}

TEST_F(Npy, FortranOrderOfBytesVectorsAndEmptyFiles) {
  const std::string path = scratch("fortran.npy");
  write_bytes(path, file_with("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}", "adbecf"));
  EXPECT_EQ(load_npy(path).to_vector<uint8_t>(), (std::vector<uint8_t>{'a', 'b', 'c', 'd', 'e', 'f'}));
  write_bytes(path, file_with("{'descr': '|u1', 'fortran_order': True, 'shape': (2,)}", "ab"));
  EXPECT_EQ(load_npy(path).to_vector<uint8_t>(), (std::vector<uint8_t>{'a', 'b'}));
  write_bytes(path, file_with("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 0)}", ""));
  EXPECT_EQ(to_string(load_npy(path).shape()), "[2,0]");
}

TEST_F(Npy, ReadsAnyOrderOfKeysQuotesSpacesAndPython2) {
  const std::string path = scratch("header.npy");
  for (const char* header :
       {"{'shape': (2,), 'descr': '|u1', 'fortran_order': False, }\n",
        "{\"fortran_order\":False,\"shape\":(2,),\"descr\":\"|u1\"}",
        "  { 'descr' : '|u1' , 'fortran_order' : False , 'shape' : ( 2 , ) }   \n",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2L,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2,)}"}) {
    write_bytes(path, file_with(header, "ab"));
    EXPECT_EQ(load_npy(path).to_vector<uint8_t>(), (std::vector<uint8_t>{'a', 'b'})) << header;
  }
}

TEST_F(Npy, ReadsRankZeroEmptyAndVector) {
  expect_file<float>("good_rank0.npy", {}, {2.5f});
  expect_file<int32_t>("good_empty.npy", {3, 0, 2}, {});
  expect_file<int64_t>("good_vector.npy", {1}, {7});
  expect_file<double>("good_rank8.npy", {1, 1, 2, 1, 1, 3, 1, 1}, counted<double>(6));
}

TEST_F(Npy, WritesTheBytesThatNumPyWrites) {
  for (const char* name : {"good_float32.npy", "good_float64.npy", "good_int32.npy", "good_int64.npy", "good_uint8.npy",
                           "good_bool.npy", "good_rank0.npy", "good_empty.npy", "good_vector.npy", "good_rank8.npy"}) {
    const std::string path = scratch(name);
    save_npy(path, load_npy(kFolder + name));
    EXPECT_EQ(bytes_of_file(path), bytes_of_file(kFolder + name)) << name;
  }
}

TEST_F(Npy, WritingReplacesAFileAndLeavesNoOther) {
  const std::string path = scratch("replaced.npy");
  save_npy(path, Tensor(1.0f));
  save_npy(path, Tensor(2.0f));
  EXPECT_EQ(load_npy(path).item<float>(), 2.0f);
  EXPECT_EQ(files(), 1u);
}

TEST_F(Npy, ElementsStartAtAMultipleOf64Bytes) {
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{0, 1000000000, 1000}, Shape{1, 1, 1, 1, 1, 1, 1, 1},
                             Shape{0, 10, 20, 30, 40, 50, 60, 70}}) {
    const std::string path = scratch("aligned.npy");
    save_npy(path, Tensor::from(std::vector<uint8_t>(shape.product()), shape));
    EXPECT_EQ((fs::file_size(path) - shape.product()) % 64, 0u) << to_string(shape);
    EXPECT_EQ(load_npy(path).shape(), shape);
  }
}

TEST_F(Npy, AFailedWriteLeavesTheOldFileAndNoOther) {
  const std::string path = scratch("kept.npy");
  save_npy(path, Tensor(1.0f));
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{4096, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  try {
    save_npy(path, Tensor::from(std::vector<float>(100000), {100000}));
  } catch (const Error& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("cannot write " + path + ": File too large"), std::string::npos) << message;
  EXPECT_EQ(load_npy(path).item<float>(), 1.0f);
  EXPECT_EQ(files(), 1u);
}

TEST_F(Npy, ReadersNeverSeeHalfAFile) {
  const std::string path = scratch("shared.npy");
  const auto save = [&](float value) {
    save_npy(path, Tensor::from(std::vector<float>(5000, value), {5000}));
  };
  save(0);
  std::jthread first([&] { for (int i = 0; i < 10; ++i) save(1); });
  std::jthread second([&] { for (int i = 0; i < 10; ++i) save(2); });
  for (int i = 0; i < 50; ++i) {
    const std::vector<float> seen = load_npy(path).to_vector<float>();
    EXPECT_EQ(seen, std::vector<float>(5000, seen[0]));
  }
  first.join();
  second.join();
  EXPECT_EQ(files(), 1u);
}

TEST_F(Npy, WritingOverWhatIsNoFileIsAnError) {
  EXPECT_THROW(save_npy(folder_.string(), Tensor(1.0f)), Error);
  const std::string pipe = scratch("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THROW(save_npy(pipe, Tensor(1.0f)), Error);
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST_F(Npy, WritingAValueOfATraceIsAnError) {
  const auto f = function([&](Tensor x) {
    save_npy(scratch("traced.npy"), x);
    return x;
  });
  try {
    f(Tensor(1.0f));
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("the tensor belongs to a trace"), std::string::npos) << message;
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(Npy, WritingWhereNoFolderIsIsAnError) {
  EXPECT_THROW(save_npy("/no/such/folder/x.npy", Tensor(1.0f)), Error);
}

TEST_F(Npy, MissingFileIsAnError) {
  EXPECT_NE(error_of("/no/such/file.npy").find("cannot read /no/such/file.npy: No such file"), std::string::npos);
}

TEST_F(Npy, PipeIsAnErrorWithoutWaiting) {
  const std::string pipe = scratch("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_NE(error_of(pipe).find("not a regular file"), std::string::npos);
}

TEST_F(Npy, FolderIsAnError) { EXPECT_NE(error_of(kFolder).find("not a regular file"), std::string::npos); }

TEST_F(Npy, EveryCorruptFileIsAnErrorThatSaysWhy) {
  const std::pair<const char*, const char*> kReasons[] = {
      {"nothing", "it ends within its header"},
      {"magic", "it is no .npy file"},
      {"version", "its format version 4.0 is unknown"},
      {"short_header", "it ends within its header"},
      {"no_brace", "its header is malformed"},
      {"unclosed", "its header is malformed"},
      {"garbage", "its header is malformed"},
      {"missing_key", "its header lacks one of descr, fortran_order and shape"},
      {"unknown_key", "its header has the key 'x'"},
      {"twice", "its header has the key 'descr' twice"},
      {"order", "its header is malformed"},
      {"short_data", "it holds 7 bytes of elements, but f32[2] takes 8"},
      {"long_data", "it holds 9 bytes of elements, but f32[2] takes 8; save one array per file"},
      {"big_endian", "its dtype is '>f4', not float16, bfloat16, float32, float64, int8, int16, int32, int64, "
                     "uint8, uint16, uint32, uint64 or bool; it is big endian, save `x.astype('<f4')`"},
      {"objects", "uint64 or bool; save the objects as numbers"},
      {"records", "its elements are records; save one array per field"},
      {"complex", "save `x.real` and `x.imag`"},
      {"strings", "save numbers"},
      {"wide", "save `x.astype(np.float64)`"},
      {"int128", "save numbers"},
      {"void", "save numbers"},
      {"time", "save `x.astype(np.int64)`"},
      {"no_descr", "its dtype is ''"},
      {"empty_and_huge", "cannot be"},
      {"no_tuple", "its header is malformed"},
      {"float_extent", "its header is malformed"},
      {"unprintable", "its header has the key '?[31mxxxxxxxxxxxxxxxxxxxxxxxxxxx...'"},
      {"negative", "an extent is negative"},
      {"huge", "cannot be"},
      {"too_large", "cannot be"},
      {"overflow", "an extent is beyond 64 bits"},
      {"rank9", "it has more than 8 axes"},
      {"shape_text", "its header is malformed"},
      {"shape_list", "its header is malformed"},
      {"bool", "a bool is neither 0 nor 1"},
  };
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    files += entry.path().filename().string().starts_with("bad_");
  }
  EXPECT_EQ(files, std::size(kReasons));
  for (const auto& [name, reason] : kReasons) {
    const std::string path = kFolder + "bad_" + name + ".npy";
    const std::string error = error_of(path);
    EXPECT_NE(error.find("cannot read " + path + ": "), std::string::npos) << error;
    EXPECT_NE(error.find(reason), std::string::npos) << error;
  }
}

TEST_F(Npy, EveryPrefixOfAFileIsAnError) {
  const std::string path = scratch("prefix.npy");
  for (const char* name : {"good_float32.npy", "good_fortran.npy", "good_version3.npy", "good_rank0.npy"}) {
    const std::string bytes = bytes_of_file(kFolder + name);
    for (size_t n = 0; n < bytes.size(); ++n) {
      write_bytes(path, bytes.substr(0, n));
      EXPECT_NE(error_of(path), "no error") << name << ", " << n << " bytes";
    }
  }
}

TEST_F(Npy, ChangedBytesLoadOrAreErrors) {
  const std::string path = scratch("changed.npy");
  std::mt19937 random(11);
  std::vector<std::string> originals;
  for (const char* name :
       {"good_float32.npy", "good_fortran.npy", "good_version2.npy", "good_bool.npy", "good_rank8.npy"}) {
    originals.push_back(bytes_of_file(kFolder + name));
  }
  int errors = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = originals[i % originals.size()];
    for (uint32_t n = 1 + random() % 3; n > 0; --n) {
      // Most changes go to the header's text, where they do most.
      const size_t at = random() % (random() % 4 ? 80 : bytes.size());
      bytes[at] = static_cast<char>(random() % 2 ? random() : "0123456789(){}',: <>|L"[random() % 22]);
    }
    write_bytes(path, bytes);
    errors += error_of(path) != "no error";
  }
  EXPECT_GT(errors, 1000);
  EXPECT_LT(errors, 2000);
}

}  // namespace
}  // namespace etch
