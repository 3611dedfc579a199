// The texts of errors that users meet, against errors.txt. Lines of this file stand as LINE.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <regex>
#include <sstream>

#include "etch/etch.h"

namespace etch {
namespace {

struct Case {
  const char* name;
  std::function<void()> run;
};

const Tensor kTwo({1.f, 2.f});
const Tensor kThree({1.f, 2.f, 3.f});
const Tensor kInts({1, 2});
const Tensor kFlags({true, false});
const Tensor kMatrix({{1.f, 2.f}, {3.f, 4.f}});

template <class F>
void trace(F f) {
  function(f, {.name = "f"})(kTwo);
}

const Case kCases[] = {
    {"add shapes", [] { kTwo + kThree; }},
    {"add dtypes", [] { kTwo + kInts; }},
    {"add bool", [] { kFlags + kFlags; }},
    {"number of another kind", [] { kInts * 0.5; }},
    {"number out of range", [] { Tensor(uint8_t{1}) + 300; }},
    {"number beyond f32", [] { kTwo * 1e300; }},
    {"number beyond i64", [] { kInts + 18446744073709551615u; }},
    {"integer beside f32", [] { kTwo + 16777217; }},
    {"integer beside f64", [] { Tensor(1.0) + ((int64_t{1} << 53) + 1); }},
    {"full of an integer that is not exact", [] { full(2, 16777217, DType::f32); }},
    {"numbers only", [] { maximum(1.0, 2.0); }},
    {"one number", [] { etch::exp(1.0); }},
    {"where of numbers", [] { where(kFlags, 1.0, 0.0); }},
    {"where of a float condition", [] { where(kTwo, kTwo, kTwo); }},
    {"divide integers", [] { kInts / kInts; }},
    {"exp of integers", [] { exp(kInts); }},
    {"bitwise of floats", [] { kTwo & kTwo; }},
    {"sum axis", [] { sum(kTwo, 1); }},
    {"sum axis twice", [] { sum(kMatrix, {0, -2}); }},
    {"sum of bool", [] { sum(kFlags); }},
    {"any of floats", [] { any(kTwo); }},
    {"argmax of nothing", [] { argmax(zeros({0}), 0); }},
    {"mean of bool", [] { mean(kFlags); }},
    {"softmax of integers", [] { softmax(kInts); }},
    {"matmul inner", [] { matmul(kMatrix, kThree); }},
    {"matmul rank 0", [] { matmul(Tensor(1.f), kTwo); }},
    {"matmul batch", [] { matmul(zeros({2, 1, 1}), zeros({3, 1, 1})); }},
    {"matmul dtypes", [] { matmul(kMatrix, ones({2, 2}, DType::f64)); }},
    {"reshape", [] { reshape(kThree, {2, 2}); }},
    {"reshape open", [] { reshape(kThree, {2, -1}); }},
    {"reshape open twice", [] { reshape(kThree, {-1, -1}); }},
    {"transpose", [] { transpose(kMatrix, {0, 0}); }},
    {"broadcast_to", [] { broadcast_to(kThree, {2}); }},
    {"squeeze", [] { squeeze(kTwo, 0); }},
    {"index", [] { kTwo[2]; }},
    {"index of rank 0", [] { Tensor(1.f)[0]; }},
    {"slice step", [] { kTwo.slice({{0, 1, 0}}); }},
    {"slice rank", [] { kTwo.slice({{}, {}}); }},
    {"concat of nothing", [] { etch::concat({}, 0); }},
    {"concat", [] { etch::concat({kTwo, kMatrix}, 0); }},
    {"stack", [] { etch::stack({kTwo, kThree}); }},
    {"split", [] { split(kThree, 2); }},
    {"split sizes", [] { split(kThree, {1, 1}); }},
    {"pad", [] { pad(kTwo, {}); }},
    {"pad negative", [] { pad(kTwo, {{-1, 0}}); }},
    {"range step", [] { etch::range(0, 3, 0); }},
    {"linspace", [] { linspace(0, 1, -1); }},
    {"linspace beyond f32", [] { linspace(0, 1e300, 3); }},
    {"eye", [] { eye(3, -5); }},
    {"layer_norm epsilon", [] { layer_norm(kTwo, -1, -0.1); }},
    {"gelu form", [] { gelu(kTwo, static_cast<Gelu>(7)); }},
    {"cast to no dtype", [] { cast(kTwo, static_cast<DType>(200)); }},
    {"variance ddof", [] { variance(kTwo, 0, false, -1); }},
    {"clip without bounds", [] { clip(kTwo, {}); }},
    {"is_close tolerance", [] { is_close(kTwo, kTwo, {.rtol = -1}); }},
    {"is_close of integers", [] { is_close(kInts, kInts); }},
    {"allclose shapes", [] { allclose(kTwo, kThree); }},
    {"array_equal dtypes", [] { array_equal(kTwo, kInts); }},
    {"norm order", [] { norm(kTwo, {}, false, 0); }},
    {"norm of integers", [] { norm(kInts); }},
    {"swapaxes", [] { swapaxes(kTwo, 0, 1); }},
    {"tile", [] { tile(kTwo, -1); }},
    {"tile too large", [] { tile(kTwo, int64_t{1} << 62); }},
    {"repeat", [] { repeat(kTwo, -1, 0); }},
    {"repeat axis", [] { repeat(kTwo, 1, 1); }},
    {"tril of a vector", [] { tril(kTwo); }},
    {"diag of rank 3", [] { diag(zeros({1, 2, 3})); }},
    {"diag too large", [] { diag(kTwo, int64_t{1} << 62); }},
    {"pad of nothing", [] { pad(zeros({0, 2}), {{1, 0}, {0, 0}}, PadMode::edge); }},
    {"pad negative by mode", [] { pad(kTwo, {{0, -1}}, PadMode::wrap); }},
    {"pad mode", [] { pad(kTwo, {{0, 1}}, static_cast<PadMode>(9)); }},
    {"plus of bool", [] { +kFlags; }},
    {"concat of undefined tensors", [] { concat(0, kTwo, Tensor()); }},
    {"stack of two shapes", [] { stack(kTwo, kThree); }},
    {"two ellipses", [] { kTwo[{ellipsis, ellipsis}]; }},
    {"new axes", [] { (void)zeros({1, 1, 1, 1, 1, 1, 1, 1})[newaxis]; }},
    {"unsigned below 0", [] { kTwo[std::vector<int>().size() - 1]; }},
    {"loop over rank 0", [] { for (Tensor row : Tensor(1.f)) (void)row; }},
    {"extents", [] { (void)kTwo.extents<2>(); }},
    {"borrow", [] { static std::vector<float> v(3); Tensor::borrow(v, {2, 2}); }},
    {"zeros", [] { zeros({-1}); }},
    {"traced zeros", [] { trace([](Tensor x) { return x + zeros({-1}); }); }},
    {"dtype of nothing", [] { (void)Tensor().dtype(); }},
    {"shape of nothing", [] { (void)Tensor().shape(); }},
    {"truth of nothing", [] { (void)static_cast<bool>(Tensor()); }},
    {"not of nothing", [] { (void)!Tensor(); }},
    {"and of elements", [] { (void)(kFlags && kFlags); }},
    {"too large", [] { zeros({int64_t{1} << 40, 1 << 20}); }},
    {"rank 9", [] { zeros({1, 1, 1, 1, 1, 1, 1, 1, 1}); }},
    {"ragged", [] { Tensor({{1, 2}, {3}}); }},
    {"ragged depth", [] { Tensor({{1, 2}, 3}); }},
    {"list not exact", [] { Tensor({16777217, 0.5f}); }},
    {"from", [] { Tensor::from(std::vector<float>(3), {2, 2}); }},
    {"item", [] { kTwo.item<float>(); }},
    {"item dtype", [] { Tensor(1.f).item<int32_t>(); }},
    {"truth", [] { (void)static_cast<bool>(kTwo); }},
    {"nothing", [] { Tensor() + 1; }},
    {"traced item", [] { trace([](Tensor x) { return x * (x + 1).item<float>(); }); }},
    {"traced truth", [] { trace([](Tensor x) { return x > 0 ? x : -x; }); }},
    {"traced shapes", [] { trace([](Tensor x) { return x * kThree; }); }},
    {"traced composite", [] { trace([](Tensor x) { return layer_norm(x, kThree, kThree); }); }},
    {"spec", [] { function([](Tensor x) { return x; }, {.name = "f"})(TensorSpec{DType::f32, {2}}); }},
    {"spec too large", [] { (void)Tensor(TensorSpec{DType::f32, {-2}}); }},
    {"result of nothing", [] { trace([](Tensor) { return Tensor(); }); }},
};

TEST(Errors, TextsAreThoseOfErrorsTxt) {
  std::string all;
  for (const Case& c : kCases) {
    std::string text = "no error";
    try {
      c.run();
    } catch (const Error& error) {
      text = error.what();
    }
    text = std::regex_replace(text, std::regex("errors_test.cc:\\d+"), "errors_test.cc:LINE");
    all += std::string("[") + c.name + "]\n" + text + "\n\n";
  }
  const std::string path = ETCH_SOURCE_DIR "/tests/frontend/errors.txt";
  if (std::getenv("ETCH_UPDATE_GOLDENS")) std::ofstream(path) << all;
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(all, golden.str()) << "ETCH_UPDATE_GOLDENS=1 writes the file anew";
}

}  // namespace
}  // namespace etch
