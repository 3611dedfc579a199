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
    {"add shapes", [] { return kTwo + kThree; }},
    {"add dtypes", [] { return kTwo + kInts; }},
    {"add bool", [] { return kFlags + kFlags; }},
    {"number of another kind", [] { return kInts * 0.5; }},
    {"number out of range", [] { return Tensor(uint8_t{1}) + 300; }},
    {"number beyond f32", [] { return kTwo * 1e300; }},
    {"number beyond i64", [] { return kInts + 18446744073709551615u; }},
    {"integer beside f32", [] { return kTwo + 16777217; }},
    {"integer beside f64", [] { return Tensor(1.0) + ((int64_t{1} << 53) + 1); }},
    {"full of an integer that is not exact", [] { return full(2, 16777217, DType::f32); }},
    {"numbers only", [] { return maximum(1.0, 2.0); }},
    {"one number", [] { return etch::exp(1.0); }},
    {"where of numbers", [] { return where(kFlags, 1.0, 0.0); }},
    {"where of a float condition", [] { return where(kTwo, kTwo, kTwo); }},
    {"divide integers", [] { return kInts / kInts; }},
    {"exp of integers", [] { return exp(kInts); }},
    {"bitwise of floats", [] { return kTwo & kTwo; }},
    {"sum axis", [] { return sum(kTwo, 1); }},
    {"sum axis twice", [] { return sum(kMatrix, {0, -2}); }},
    {"sum of bool", [] { return sum(kFlags); }},
    {"any of floats", [] { return any(kTwo); }},
    {"argmax of nothing", [] { return argmax(zeros({0}), 0); }},
    {"top_k of too many", [] { return top_k(kMatrix, 3).values; }},
    {"top_k of a negative number", [] { trace([](Tensor x) { return top_k(x, -1).values; }); }},
    {"top_k of bool", [] { return top_k(kFlags, 1).values; }},
    {"top_k of a scalar", [] { return top_k(Tensor(1.f), 1).values; }},
    {"top_k along no axis", [] { return top_k(kMatrix, 1, 2).values; }},
    {"mean of bool", [] { return mean(kFlags); }},
    {"softmax of integers", [] { return softmax(kInts); }},
    {"matmul inner", [] { return matmul(kMatrix, kThree); }},
    {"matmul rank 0", [] { return matmul(Tensor(1.f), kTwo); }},
    {"matmul batch", [] { return matmul(zeros({2, 1, 1}), zeros({3, 1, 1})); }},
    {"matmul dtypes", [] { return matmul(kMatrix, ones({2, 2}, DType::f64)); }},
    {"reshape", [] { return reshape(kThree, {2, 2}); }},
    {"reshape open", [] { return reshape(kThree, {2, -1}); }},
    {"reshape open twice", [] { return reshape(kThree, {-1, -1}); }},
    {"transpose", [] { return transpose(kMatrix, {0, 0}); }},
    {"broadcast_to", [] { return broadcast_to(kThree, {2}); }},
    {"squeeze", [] { return squeeze(kTwo, 0); }},
    {"index", [] { return kTwo[2]; }},
    {"index of rank 0", [] { return Tensor(1.f)[0]; }},
    {"slice step", [] { return kTwo.slice({{0, 1, 0}}); }},
    {"slice rank", [] { return kTwo.slice({{}, {}}); }},
    {"concat of nothing", [] { return etch::concat({}, 0); }},
    {"concat", [] { return etch::concat({kTwo, kMatrix}, 0); }},
    {"stack", [] { return etch::stack({kTwo, kThree}); }},
    {"split", [] { return split(kThree, 2); }},
    {"split sizes", [] { return split(kThree, {1, 1}); }},
    {"pad", [] { return pad(kTwo, {}); }},
    {"pad negative", [] { return pad(kTwo, {{-1, 0}}); }},
    {"range step", [] { return etch::range(0, 3, 0); }},
    {"linspace", [] { return linspace(0, 1, -1); }},
    {"linspace beyond f32", [] { return linspace(0, 1e300, 3); }},
    {"eye", [] { return eye(3, -5); }},
    {"layer_norm epsilon", [] { return layer_norm(kTwo, -1, -0.1); }},
    {"gelu form", [] { return gelu(kTwo, static_cast<Gelu>(7)); }},
    {"cast to no dtype", [] { return cast(kTwo, static_cast<DType>(200)); }},
    {"variance ddof", [] { return variance(kTwo, 0, false, -1); }},
    {"clip without bounds", [] { return clip(kTwo, {}); }},
    {"is_close tolerance", [] { return is_close(kTwo, kTwo, {.rtol = -1}); }},
    {"is_close of integers", [] { return is_close(kInts, kInts); }},
    {"allclose shapes", [] { return allclose(kTwo, kThree); }},
    {"array_equal dtypes", [] { return array_equal(kTwo, kInts); }},
    {"norm order", [] { return norm(kTwo, {}, false, 0); }},
    {"norm of integers", [] { return norm(kInts); }},
    {"swapaxes", [] { return swapaxes(kTwo, 0, 1); }},
    {"tile", [] { return tile(kTwo, -1); }},
    {"tile too large", [] { return tile(kTwo, int64_t{1} << 62); }},
    {"repeat", [] { return repeat(kTwo, -1, 0); }},
    {"repeat axis", [] { return repeat(kTwo, 1, 1); }},
    {"tril of a vector", [] { return tril(kTwo); }},
    {"diag of rank 3", [] { return diag(zeros({1, 2, 3})); }},
    {"diag too large", [] { return diag(kTwo, int64_t{1} << 62); }},
    {"pad of nothing", [] { return pad(zeros({0, 2}), {{1, 0}, {0, 0}}, PadMode::edge); }},
    {"pad negative by mode", [] { return pad(kTwo, {{0, -1}}, PadMode::wrap); }},
    {"pad mode", [] { return pad(kTwo, {{0, 1}}, static_cast<PadMode>(9)); }},
    {"plus of bool", [] { return +kFlags; }},
    {"concat of undefined tensors", [] { return concat(0, kTwo, Tensor()); }},
    {"stack of two shapes", [] { return stack(kTwo, kThree); }},
    {"two ellipses", [] { return kTwo[{ellipsis, ellipsis}]; }},
    {"new axes", [] { (void)zeros({1, 1, 1, 1, 1, 1, 1, 1})[newaxis]; }},
    {"unsigned below 0", [] { return kTwo[std::vector<int>().size() - 1]; }},
    {"loop over rank 0", [] { for (Tensor row : Tensor(1.f)) (void)row; }},
    {"extents", [] { (void)kTwo.extents<2>(); }},
    {"borrow", [] { static std::vector<float> v(3); Tensor::borrow(v, {2, 2}); }},
    {"zeros", [] { return zeros({-1}); }},
    {"traced zeros", [] { trace([](Tensor x) { return x + zeros({-1}); }); }},
    {"dtype of nothing", [] { (void)Tensor().dtype(); }},
    {"shape of nothing", [] { (void)Tensor().shape(); }},
    {"truth of nothing", [] { (void)static_cast<bool>(Tensor()); }},
    {"not of nothing", [] { (void)!Tensor(); }},
    {"and of elements", [] { (void)(kFlags && kFlags); }},
    {"too large", [] { return zeros({int64_t{1} << 40, 1 << 20}); }},
    {"rank 9", [] { return zeros({1, 1, 1, 1, 1, 1, 1, 1, 1}); }},
    {"ragged", [] { Tensor({{1, 2}, {3}}); }},
    {"ragged depth", [] { Tensor({{1, 2}, 3}); }},
    {"list not exact", [] { Tensor({16777217, 0.5f}); }},
    {"from", [] { Tensor::from(std::vector<float>(3), {2, 2}); }},
    {"item", [] { return kTwo.item<float>(); }},
    {"item dtype", [] { Tensor(1.f).item<int32_t>(); }},
    {"truth", [] { (void)static_cast<bool>(kTwo); }},
    {"nothing", [] { return Tensor() + 1; }},
    {"nothing on the right", [] { return kTwo + Tensor(); }},
    {"nothing beside a number", [] { return 1 + Tensor(); }},
    {"nothing among three", [] { return where(kFlags, kTwo, Tensor()); }},
    {"nothing in a unary op", [] { return -Tensor(); }},
    {"nothing in a reduction", [] { return sum(Tensor()); }},
    {"nothing in a product", [] { return matmul(kTwo, Tensor()); }},
    {"nothing in a composite", [] { return layer_norm(kTwo, Tensor(), kTwo); }},
    {"nothing to activate", [] { return relu(Tensor()); }},
    {"nothing to add in place", [] { Tensor x = kTwo; x += Tensor(); }},
    {"nothing and flags", [] { return kFlags & Tensor(); }},
    {"element of nothing", [] { return Tensor()[0]; }},
    {"traced nothing", [] { trace([](Tensor x) { return x + Tensor(); }); }},
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
