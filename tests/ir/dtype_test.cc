// The table of dtypes and the 16-bit floats.
#include "etch/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "compiler/ir/op.h"
#include "compiler/ir/oracle.h"

namespace etch {
namespace {

template <class F>
void for_each_dtype(F f) {
  for (int i = 0; i < kNumDTypes; ++i) f(static_cast<DType>(i));
}

TEST(DTypes, NamesAndTypeStringsDiffer) {
  std::set<std::string_view> names, descriptors;
  for_each_dtype([&](DType dtype) {
    EXPECT_TRUE(names.insert(name(dtype)).second) << name(dtype);
    EXPECT_TRUE(descriptors.insert(info(dtype).npy).second) << name(dtype);
    EXPECT_EQ(info(dtype).npy.back() - '0', size_of(dtype)) << name(dtype);
    EXPECT_TRUE(computes_itself(info(dtype).compute)) << name(dtype);
    EXPECT_TRUE(holds(info(dtype).compute, dtype)) << name(dtype);
  });
}

TEST(DTypes, OtherValuesOfTheEnumAreNone) {
  EXPECT_TRUE(is_dtype(DType::boolean));
  EXPECT_FALSE(is_dtype(static_cast<DType>(kNumDTypes)));
  EXPECT_FALSE(is_dtype(static_cast<DType>(255)));
  EXPECT_EQ(name(static_cast<DType>(255)), "no dtype");
}

TEST(DTypes, ListsReadAsEnglish) {
  EXPECT_EQ(list_dtypes(TypeRule::logical), "bool");
  EXPECT_EQ(list_dtypes(is_floating), "f16, bf16, f32 or f64");
  EXPECT_EQ(list_dtypes(TypeRule::integer), "i8, i16, i32, i64, u8, u16, u32 or u64");
}

/// The values of a dtype that need most of it.
template <class T>
std::vector<T> extremes() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values{Limits::max(), Limits::lowest(), T(1)};
  if constexpr (is_integer(dtype_of<T>)) values.push_back(Limits::max() - 1);  // Limits::max() comes back by saturation
  if constexpr (is_floating(dtype_of<T>)) {
    values.insert(values.end(), {Limits::denorm_min(), T(1 + static_cast<double>(Limits::epsilon())), Limits::infinity()});
  }
  return values;
}

TEST(DTypes, HoldsWhatComesBackFromACast) {
  for_each_dtype([&](DType wide) {
    for_each_dtype([&](DType narrow) {
      const bool comes_back = dispatch(narrow, [&]<class T>() {
        return dispatch(wide, [&]<class U>() {
          for (T value : extremes<T>()) {
            if (oracle::cast<T>(oracle::cast<U>(value)) != value) return false;
            // Equal widths of integers wrap there and back.
            if constexpr (is_integer(dtype_of<T>) && is_integer(dtype_of<U>)) {
              if (!std::in_range<U>(value)) return false;
            }
          }
          return true;
        });
      });
      EXPECT_EQ(holds(wide, narrow), comes_back) << name(wide) << " holds " << name(narrow);
    });
  });
}

template <class T>
class ShortFloats : public testing::Test {};
using ShortTypes = testing::Types<float16, bfloat16>;
TYPED_TEST_SUITE(ShortFloats, ShortTypes);

TYPED_TEST(ShortFloats, EveryNumberSurvivesAsAFloat) {
  using T = TypeParam;
  using Limits = std::numeric_limits<T>;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const T x = T::from_bits(static_cast<uint16_t>(bits));
    if (x != x) {
      EXPECT_TRUE(std::isnan(static_cast<float>(x)));
      continue;
    }
    ASSERT_EQ(T(static_cast<float>(x)).bits, bits);
    ASSERT_EQ(T(static_cast<double>(x)).bits, bits);
    // IEEE 754: the value from the fields.
    const int fraction_bits = Limits::digits - 1;
    const int exponent = static_cast<int>(bits & 0x7fff) >> fraction_bits;
    const double fraction = bits & ((1u << fraction_bits) - 1);
    if (exponent == 2 * Limits::max_exponent - 1) continue;
    const double magnitude = std::ldexp(fraction + (exponent > 0 ? 1 << fraction_bits : 0),
                                        std::max(exponent, 1) - 1 + Limits::min_exponent - Limits::digits);
    ASSERT_EQ(static_cast<double>(x), bits & 0x8000 ? -magnitude : magnitude) << bits;
  }
}

TYPED_TEST(ShortFloats, BecomeRoundedOnceToNearestEven) {
  using T = TypeParam;
  std::mt19937_64 random(3);
  const auto expect_once = [](auto value) {
    ASSERT_EQ(T(value).bits, oracle::round_to<T>(static_cast<long double>(value)).bits) << std::hexfloat << +value;
  };
  for (int i = 0; i < 200'000; ++i) {
    // Halves between neighbours, moved by little.
    T x = T::from_bits(static_cast<uint16_t>(random()));
    T y = T::from_bits(static_cast<uint16_t>(x.bits + 1));
    const double half = (static_cast<double>(x) + static_cast<double>(y)) / 2;
    if (!std::isfinite(half)) continue;
    expect_once(half);
    expect_once(std::nextafter(half, 0));
    expect_once(std::nextafter(half, 1e300));
    expect_once(static_cast<float>(half));
    expect_once(std::nextafter(static_cast<float>(half), 0.0f));
    const auto integer = static_cast<int64_t>(random() >> random() % 64);
    expect_once(integer);
    expect_once(static_cast<uint64_t>(integer));
    expect_once(static_cast<int32_t>(integer));
    expect_once(((integer >> 50) << 50) + static_cast<int64_t>(random() % 3) - 1);
  }
}

TYPED_TEST(ShortFloats, CompareAsNumbers) {
  using T = TypeParam;
  const T nan = std::numeric_limits<T>::quiet_NaN();
  EXPECT_TRUE(T(0.0) == -T(0.0));
  EXPECT_TRUE(T(-1.0) < T(0.5));
  EXPECT_FALSE(nan == nan);
  EXPECT_FALSE(nan < T(1.0) || nan >= T(1.0));
}

}  // namespace
}  // namespace etch
