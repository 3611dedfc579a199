// The vector mathematics: sampled accuracy against MPFR, special values, and equal bits from native and compiled lanes.
#include <gtest/gtest.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/TargetSelect.h>

#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "compiler/codegen/llvm_lanes.h"
#include "compiler/math/vector_math.h"
#include "tests/math/unary_functions.h"

namespace etch::math_test {
namespace {

using codegen::Vec;
using math::Scalar;

template <class T>
constexpr T kNan = std::numeric_limits<T>::quiet_NaN();
template <class T>
constexpr T kInf = std::numeric_limits<T>::infinity();

/// Values that break formulas: zeros, subnormals, the ends of the range, poles, branch points, halves and integers.
template <class T>
std::vector<T> special_values() {
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_floating_point_v<T>) {
    std::vector<T> values = {kNan<T>,       kInf<T>,          T(0), Limits::denorm_min(), Limits::min(),
                             Limits::max(), Limits::epsilon()};
    for (double v : {0.25,   0.41421356, 0.47, 0.5,     0.70710678, 1.0,  1.41421356, 1.5,    2.0,   2.41421356, 2.5,
                     3.0,    3.14159265, 4.0,  10.0,    27.5,       87.5, 88.72284,   103.97, 127.0, 128.0,      149.5,
                     709.78, 745.13,     1e4,  65536.0, 65537.5,    1e9,  1e15,       1e22,   3e38,  1e300}) {
      values.push_back(static_cast<T>(v));
      values.push_back(std::nextafter(static_cast<T>(v), T(0)));
      values.push_back(std::nextafter(static_cast<T>(v), kInf<T>));
    }
    for (size_t i = values.size(); i-- > 0;) values.push_back(-values[i]);
    return values;
  } else {
    std::vector<T> values;
    for (int v : {0, 1, 2, 3, 5, 7, 8, 31, 32, 33, 63, 64, 100, 127}) values.push_back(static_cast<T>(v));
    for (size_t i = values.size(); i-- > 0;) values.push_back(static_cast<T>(-static_cast<int>(values[i])));
    for (T d : {T(0), T(1), T(2)}) {
      values.push_back(static_cast<T>(Limits::max() - d));
      values.push_back(static_cast<T>(Limits::min() + d));
    }
    return values;
  }
}

/// Special values, random bit patterns, and floats of moderate size; a multiple of 16 of them.
template <class T>
std::vector<T> test_values(size_t count, uint64_t seed) {
  std::vector<T> values = special_values<T>();
  std::mt19937_64 random(seed);
  while (values.size() < count || values.size() % 16 != 0) {
    uint64_t bits = random();
    if constexpr (std::is_floating_point_v<T>) {
      using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
      T any = std::bit_cast<T>(static_cast<Bits>(bits));
      T moderate = static_cast<T>(
          std::ldexp(static_cast<double>(static_cast<int64_t>(bits)), -56 - static_cast<int>(bits % 11)));
      values.push_back(bits >> 20 & 1 ? any : moderate);
    } else {
      values.push_back(static_cast<T>(bits >> 20 & 1 ? bits : bits % 40));
    }
  }
  return values;
}

template <class T>
bool same(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    // The sign and payload of a NaN are left open by IEEE 754 and by LLVM.
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    return std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b);
  } else {
    return a == b;
  }
}

/// Compiles lane functions of one or two operands for this machine.
class Jit {
 public:
  Jit() {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    auto machine = llvm::cantFail(llvm::orc::JITTargetMachineBuilder::detectHost());
    machine.getOptions().AllowFPOpFusion = llvm::FPOpFusion::Strict;
    jit_ = llvm::cantFail(llvm::orc::LLJITBuilder().setJITTargetMachineBuilder(machine).create());
  }

  /// void f(const T* a, const T* b, R* result), `width` elements each, result = op(a, b); a bool is stored as 0 or 1.
  template <class T, class R, class Op>
  auto compile(unsigned width, Op op) {
    auto context = std::make_unique<llvm::LLVMContext>();
    auto module = std::make_unique<llvm::Module>("m", *context);
    module->setDataLayout(jit_->getDataLayout());
    llvm::Type* pointer = llvm::PointerType::getUnqual(*context);
    std::string name = "f" + std::to_string(count_++);
    auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(*context), {pointer, pointer, pointer}, false);
    auto* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, *module);
    llvm::IRBuilder<> b(llvm::BasicBlock::Create(*context, "", function));
    llvm::Type* element = Vec<T>::template type_like<T>(b.getInt32Ty());
    llvm::Type* lanes = width == 1 ? element : llvm::FixedVectorType::get(element, width);
    auto load = [&](int i) { return Vec<T>(&b, b.CreateAlignedLoad(lanes, function->getArg(i), llvm::Align(1))); };
    Vec<T> left = load(0);
    Vec<T> right = load(1);
    auto result = op(left, right);
    llvm::Value* value = result.v;
    if (std::is_same_v<R, bool>) value = b.CreateZExt(value, Vec<uint8_t>::type_like<uint8_t>(value->getType()));
    b.CreateAlignedStore(value, function->getArg(2), llvm::Align(1));
    b.CreateRetVoid();
    EXPECT_FALSE(llvm::verifyModule(*module, &llvm::errs()));
    llvm::cantFail(jit_->addIRModule(llvm::orc::ThreadSafeModule(std::move(module), std::move(context))));
    return llvm::cantFail(jit_->lookup(name)).template toPtr<void (*)(const T*, const T*, R*)>();
  }

 private:
  std::unique_ptr<llvm::orc::LLJIT> jit_;
  int count_ = 0;
};

/// Expects op on native lanes and compiled at widths 1, 4, 8 and 16 to give the same bits.
template <class T, class Op>
void expect_same_bits(const char* name, Op op, const std::vector<T>& a, const std::vector<T>& b) {
  using R = typename decltype(op(Scalar<T>(T{}), Scalar<T>(T{})))::value_type;
  static Jit jit;
  for (unsigned width : {1u, 4u, 8u, 16u}) {
    auto* compiled = jit.compile<T, R>(width, op);
    int failures = 0;
    for (size_t i = 0; i + width <= a.size() && failures < 5; i += width) {
      R got[16];
      compiled(&a[i], &b[i], got);
      for (unsigned lane = 0; lane < width; ++lane) {
        R want = op(Scalar<T>(a[i + lane]), Scalar<T>(b[i + lane])).v;
        if (same(got[lane], want)) continue;
        ++failures;
        ADD_FAILURE() << name << '(' << +a[i + lane] << ", " << +b[i + lane] << ") at width " << width << ": compiled "
                      << +got[lane] << ", native " << +want;
      }
    }
  }
}

/// Operands of a binary operation: random pairs, and every special value with a few others.
template <class T>
std::pair<std::vector<T>, std::vector<T>> operand_pairs(size_t count) {
  std::vector<T> a = test_values<T>(count, 1);
  std::vector<T> b = test_values<T>(count, 2);
  std::vector<T> special = special_values<T>();
  for (size_t shift : {1, 3, 17, 40}) {
    for (size_t i = 0; i < special.size(); ++i) {
      a.push_back(special[i]);
      b.push_back(special[(i + shift) % special.size()]);
    }
  }
  while (a.size() % 16 != 0) {
    a.push_back(T(1));
    b.push_back(T(1));
  }
  return {a, b};
}

#define EXPECT_SAME_BITS_1(T, name) \
  expect_same_bits<T>(              \
      #name, [](const auto& x, const auto&) { return math::name(x); }, a, a)
#define EXPECT_SAME_BITS_2(T, name) \
  expect_same_bits<T>(              \
      #name, [](const auto& x, const auto& y) { return math::name(x, y); }, a, b)

template <class T>
void expect_unary_float_bits() {
  std::vector<T> a = test_values<T>(2000, 3);
#define ROW(name, unused) EXPECT_SAME_BITS_1(T, name);
  ETCH_UNARY_MATH(ROW)
#undef ROW
  EXPECT_SAME_BITS_1(T, sign);
  EXPECT_SAME_BITS_1(T, is_nan);
  EXPECT_SAME_BITS_1(T, is_inf);
  EXPECT_SAME_BITS_1(T, is_finite);
}

template <class T>
void expect_binary_float_bits() {
  auto [a, b] = operand_pairs<T>(2000);
  EXPECT_SAME_BITS_2(T, min);
  EXPECT_SAME_BITS_2(T, max);
  EXPECT_SAME_BITS_2(T, trunc_div);
  EXPECT_SAME_BITS_2(T, trunc_mod);
  EXPECT_SAME_BITS_2(T, floor_div);
  EXPECT_SAME_BITS_2(T, floor_mod);
  EXPECT_SAME_BITS_2(T, nextafter);
  EXPECT_SAME_BITS_2(T, atan2);
  EXPECT_SAME_BITS_2(T, hypot);
  EXPECT_SAME_BITS_2(T, pow);
}

template <class T>
void expect_integer_bits() {
  auto [a, b] = operand_pairs<T>(1000);
  EXPECT_SAME_BITS_1(T, sign);
  EXPECT_SAME_BITS_2(T, min);
  EXPECT_SAME_BITS_2(T, max);
  EXPECT_SAME_BITS_2(T, trunc_div);
  EXPECT_SAME_BITS_2(T, trunc_mod);
  EXPECT_SAME_BITS_2(T, floor_div);
  EXPECT_SAME_BITS_2(T, floor_mod);
  EXPECT_SAME_BITS_2(T, int_pow);
  EXPECT_SAME_BITS_2(T, shift_left);
  EXPECT_SAME_BITS_2(T, shift_right_arithmetic);
  EXPECT_SAME_BITS_2(T, shift_right_logical);
  expect_same_bits<T>(
      "abs", [](const auto& x, const auto&) { return abs(x); }, a, b);
  expect_same_bits<T>(
      "popcount", [](const auto& x, const auto&) { return popcount(x); }, a, b);
  expect_same_bits<T>(
      "clz", [](const auto& x, const auto&) { return clz(x); }, a, b);
  expect_same_bits<T>(
      "wrapping arithmetic", [](const auto& x, const auto& y) { return x * y + (x - y) * -x; }, a, b);
}

template <class T, class U>
void expect_conversion_bits() {
  std::vector<T> a = test_values<T>(1000, 4);
  expect_same_bits<T>(
      "convert", [](const auto& x, const auto&) { return convert<U>(x); }, a, a);
}

TEST(CompiledLanes, UnaryFloatFunctionsEqualNative) { expect_unary_float_bits<float>(); }
TEST(CompiledLanes, UnaryDoubleFunctionsEqualNative) { expect_unary_float_bits<double>(); }
TEST(CompiledLanes, BinaryFloatFunctionsEqualNative) { expect_binary_float_bits<float>(); }
TEST(CompiledLanes, BinaryDoubleFunctionsEqualNative) { expect_binary_float_bits<double>(); }
TEST(CompiledLanes, Int32FunctionsEqualNative) { expect_integer_bits<int32_t>(); }
TEST(CompiledLanes, Int64FunctionsEqualNative) { expect_integer_bits<int64_t>(); }
TEST(CompiledLanes, Uint8FunctionsEqualNative) { expect_integer_bits<uint8_t>(); }

TEST(CompiledLanes, ConversionsEqualNative) {
  auto from = []<class T>(T) {
    expect_conversion_bits<T, float>();
    expect_conversion_bits<T, double>();
    expect_conversion_bits<T, int32_t>();
    expect_conversion_bits<T, int64_t>();
    expect_conversion_bits<T, uint8_t>();
    expect_conversion_bits<T, bool>();
  };
  from(float{});
  from(double{});
  from(int32_t{});
  from(int64_t{});
  from(uint8_t{});
}

/// The greatest error of f over `values`, with the value where it occurs.
template <class T>
std::pair<double, T> worst_error(const UnaryFunction& f, const std::vector<T>& values) {
  mpfr_t x, y;
  mpfr_init2(x, 64);
  mpfr_init2(y, 200);
  std::pair<double, T> worst{0, T(0)};
  for (T value : values) {
    T got;
    if constexpr (sizeof(T) == 4) {
      got = f.f32(value);
    } else {
      got = f.f64(value);
    }
    mpfr_set_d(x, value, MPFR_RNDN);
    f.reference(y, x);
    double error = ulp_error(got, y, f.zeros(value));
    if (error > worst.first) worst = {error, value};
  }
  mpfr_clear(x);
  mpfr_clear(y);
  return worst;
}

/// The greatest error of the binary function f over operand pairs, against MPFR's `reference`.
template <class T, class F>
double worst_binary_error(F f, int (*reference)(mpfr_ptr, mpfr_srcptr, mpfr_srcptr, mpfr_rnd_t), std::string& where) {
  auto [a, b] = operand_pairs<T>(20000);
  mpfr_t x, y, r;
  mpfr_init2(x, 64);
  mpfr_init2(y, 64);
  mpfr_init2(r, 200);
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    mpfr_set_d(x, a[i], MPFR_RNDN);
    mpfr_set_d(y, b[i], MPFR_RNDN);
    reference(r, x, y, MPFR_RNDN);
    double error = ulp_error(f(Scalar<T>(a[i]), Scalar<T>(b[i])).v, r, false);
    if (error <= worst) continue;
    worst = error;
    where = std::to_string(a[i]) + ", " + std::to_string(b[i]);
  }
  mpfr_clears(x, y, r, nullptr);
  return worst;
}

#define EXPECT_BINARY_ACCURACY(T, name, reference)                                                              \
  {                                                                                                             \
    std::string where;                                                                                          \
    double error =                                                                                              \
        worst_binary_error<T>([](const auto& x, const auto& y) { return math::name(x, y); }, reference, where); \
    EXPECT_LE(error, 2.0) << "at " << where;                                                                    \
  }

TEST(BinaryAccuracy, FloatPowIsWithinTwoUlp) { EXPECT_BINARY_ACCURACY(float, pow, mpfr_pow); }
TEST(BinaryAccuracy, DoublePowIsWithinTwoUlp) { EXPECT_BINARY_ACCURACY(double, pow, mpfr_pow); }
TEST(BinaryAccuracy, FloatAtan2IsWithinTwoUlp) { EXPECT_BINARY_ACCURACY(float, atan2, mpfr_atan2); }
TEST(BinaryAccuracy, DoubleAtan2IsWithinTwoUlp) { EXPECT_BINARY_ACCURACY(double, atan2, mpfr_atan2); }
TEST(BinaryAccuracy, FloatHypotIsWithinTwoUlp) { EXPECT_BINARY_ACCURACY(float, hypot, mpfr_hypot); }
TEST(BinaryAccuracy, DoubleHypotIsWithinTwoUlp) { EXPECT_BINARY_ACCURACY(double, hypot, mpfr_hypot); }

/// Expects op to equal `reference`, a function of the C library, exactly.
template <class T, class Op, class Reference>
void expect_exact(Op op, Reference reference) {
  auto [a, b] = operand_pairs<T>(50000);
  for (size_t i = 0; i < a.size(); ++i) {
    T got = op(Scalar<T>(a[i]), Scalar<T>(b[i])).v;
    ASSERT_TRUE(same(got, reference(a[i], b[i])))
        << a[i] << ", " << b[i] << ": " << got << ", want " << reference(a[i], b[i]);
  }
}

#define EXACT_TEST(Name, name, reference)                                         \
  TEST(ExactFunctions, Float##Name) {                                             \
    expect_exact<float>([](auto x, auto y) { return math::name(x, y); },          \
                        [](float x, float y) -> float { return reference; });     \
  }                                                                               \
  TEST(ExactFunctions, Double##Name) {                                            \
    expect_exact<double>([](auto x, auto y) { return math::name(x, y); },         \
                         [](double x, double y) -> double { return reference; }); \
  }

EXACT_TEST(TruncModIsFmod, trunc_mod, std::fmod(x, y))
EXACT_TEST(NextafterIsThatOfC, nextafter, std::nextafter(x, y))
EXACT_TEST(FloorDivIsFloorOfQuotient, floor_div, std::floor(x / y))
EXACT_TEST(MinPropagatesNan, min,
           std::isnan(x) || std::isnan(y) ? x + y
           : x == y                       ? (std::signbit(x) ? x : y)
                                          : std::fmin(x, y))
EXACT_TEST(MaxPropagatesNan, max,
           std::isnan(x) || std::isnan(y) ? x + y
           : x == y                       ? (std::signbit(x) ? y : x)
                                          : std::fmax(x, y))

/// Python's float %: CPython's float_rem.
double python_mod(double x, double y) {
  if (y == 0) return kNan<double>;
  double mod = std::fmod(x, y);
  if (mod == 0) return std::copysign(0.0, y);
  return (y < 0) != (mod < 0) ? mod + y : mod;
}
EXACT_TEST(FloorModIsThatOfPython, floor_mod, python_mod(x, y))

TEST(ExactFunctions, IntegerDivisionNeverTraps) {
  constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
  struct Case {
    int32_t x, y, trunc_div, trunc_mod, floor_div, floor_mod;
  };
  for (const Case& c :
       {Case{7, 2, 3, 1, 3, 1}, Case{-7, 2, -3, -1, -4, 1}, Case{7, -2, -3, 1, -4, -1}, Case{-7, -2, 3, -1, 3, -1},
        Case{6, -2, -3, 0, -3, 0}, Case{5, 0, -1, 5, -1, 5}, Case{-5, 0, -1, -5, -1, -5}, Case{0, 0, -1, 0, -1, 0},
        Case{kMin, -1, kMin, 0, kMin, 0}, Case{kMin, 1, kMin, 0, kMin, 0}, Case{kMin, kMin, 1, 0, 1, 0},
        Case{2147483647, kMin, 0, 2147483647, -1, -1}}) {
    Scalar<int32_t> x(c.x), y(c.y);
    EXPECT_EQ(math::trunc_div(x, y).v, c.trunc_div) << c.x << " / " << c.y;
    EXPECT_EQ(math::trunc_mod(x, y).v, c.trunc_mod) << c.x << " / " << c.y;
    EXPECT_EQ(math::floor_div(x, y).v, c.floor_div) << c.x << " / " << c.y;
    EXPECT_EQ(math::floor_mod(x, y).v, c.floor_mod) << c.x << " / " << c.y;
  }
}

TEST(ExactFunctions, IntegerPowFollowsXlaForNegativeExponents) {
  auto pow = [](int32_t x, int32_t n) { return math::int_pow(Scalar<int32_t>(x), Scalar<int32_t>(n)).v; };
  EXPECT_EQ(pow(3, 4), 81);
  EXPECT_EQ(pow(-2, 31), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(pow(0, 0), 1);
  EXPECT_EQ(pow(2, -1), 0);
  EXPECT_EQ(pow(0, -1), 0);
  EXPECT_EQ(pow(1, -5), 1);
  EXPECT_EQ(pow(-1, -5), -1);
  EXPECT_EQ(pow(-1, -6), 1);
}

TEST(ExactFunctions, TanhAndErfOfInfinitiesAreOne) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (float x : {kInfinity, -kInfinity}) {
    EXPECT_EQ(math::tanh(Scalar<float>(x)).v, std::copysign(1.0f, x));
    EXPECT_EQ(math::erf(Scalar<float>(x)).v, std::copysign(1.0f, x));
  }
}

TEST(ExactFunctions, PowersOfTwoAndThreeAreProducts) {
  auto pow = [](double x, double y) { return math::pow(Scalar<double>(x), Scalar<double>(y)).v; };
  for (double x : test_values<double>(1000, 11)) {
    if (std::isnan(x)) continue;
    EXPECT_EQ(pow(x, 2), x * x) << x;
    EXPECT_EQ(pow(x, 3), x * x * x) << x;
  }
}

TEST(ExactFunctions, ThePowerOfOneHalfIsTheRoot) {
  auto pow = [](double x) { return math::pow(Scalar<double>(x), Scalar<double>(0.5)).v; };
  EXPECT_EQ(pow(2), std::sqrt(2.0));
  EXPECT_FALSE(std::signbit(pow(-0.0)));
  EXPECT_EQ(pow(-std::numeric_limits<double>::infinity()), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(pow(-1)));
}

TEST(ExactFunctions, ShiftsBeyondTheWidthFollowXla) {
  for (int32_t n : {-1, 32, 33, 1000}) {
    Scalar<int32_t> x(-8), count(n);
    EXPECT_EQ(math::shift_left(x, count).v, 0) << n;
    EXPECT_EQ(math::shift_right_logical(x, count).v, 0) << n;
    EXPECT_EQ(math::shift_right_arithmetic(x, count).v, -1) << n;
  }
}

TEST(ExactFunctions, SignOfZeroIsPositiveZeroAndOfNanIsNan) {
  EXPECT_FALSE(std::signbit(math::sign(Scalar<float>(-0.0f)).v));
  EXPECT_TRUE(std::isnan(math::sign(Scalar<float>(kNan<float>)).v));
  EXPECT_EQ(math::sign(Scalar<double>(-3.0)).v, -1.0);
  EXPECT_EQ(math::sign(Scalar<int64_t>(std::numeric_limits<int64_t>::min())).v, -1);
}

TEST(ExactFunctions, FloatToIntegerSaturates) {
  EXPECT_EQ(math::convert<int32_t>(Scalar<float>(3e9f)).v, std::numeric_limits<int32_t>::max());
  EXPECT_EQ(math::convert<int32_t>(Scalar<float>(-kInf<float>)).v, std::numeric_limits<int32_t>::min());
  EXPECT_EQ(math::convert<int64_t>(Scalar<double>(kNan<double>)).v, 0);
  EXPECT_EQ(math::convert<uint8_t>(Scalar<float>(-1.5f)).v, 0);
  EXPECT_EQ(math::convert<uint8_t>(Scalar<float>(255.9f)).v, 255);
  EXPECT_EQ(math::convert<int32_t>(Scalar<double>(-2.9)).v, -2);
}

class UnaryAccuracy : public testing::TestWithParam<UnaryFunction> {};

TEST_P(UnaryAccuracy, FloatIsWithinTwoUlp) {
  auto [error, at] = worst_error(GetParam(), test_values<float>(20000, 5));
  EXPECT_LE(error, 2.0) << "at " << at;
}

TEST_P(UnaryAccuracy, DoubleIsWithinItsBound) {
  auto [error, at] = worst_error(GetParam(), test_values<double>(20000, 6));
  EXPECT_LE(error, GetParam().f64_bound()) << "at " << at;
}

INSTANTIATE_TEST_SUITE_P(All, UnaryAccuracy, testing::ValuesIn(kUnaryFunctions),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace etch::math_test
