// The ops on tensors. All work on eager tensors and, while a function is traced, on the values of its graph.
//
// Common rules. Operands broadcast as in NumPy. Tensors of different dtypes are never promoted: cast one. A plain
// number beside a tensor takes the tensor's dtype. One that the dtype cannot hold is an Error: 0.5 or 3000000000 beside
// i32, 1e300 beside f32, and an integer that is not exact, such as 16777217 beside f32. Floating numbers are rounded.
// Axes below 0 count from the end. "float" below means f16, bf16, f32 and f64, "integer" the signed and unsigned
// integers of every size, "numeric" both. Integer arithmetic wraps around. On f16 and bf16 every op computes in f32 and
// rounds its result to nearest even; sums and products accumulate in f32 and round once, and so does what is documented
// as a formula with reductions, such as mean and softmax. Every illegal use is an etch::Error that names the op, the
// types and the call site. Results of float functions are within 2 ULP of the exact ones unless it says otherwise; an
// op that is documented as a formula of several steps rounds each of them. No op changes a tensor: one whose result is
// dropped does nothing, and compilers warn of it.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {

/// The axes that an op works along: all of them if none is given, one, a list, or a std::vector, std::array or
/// std::span. A name twice is an Error.
class Axes {
 public:
  Axes() = default;
  template <IntegerType T>
  Axes(T axis) : axes_(axis), all_(false) {}  // NOLINT: axes convert
  template <std::same_as<bool> T>
  ETCH_REFUSED("an axis is an integer, not a bool; keepdims comes after the axes, as in sum(x, {}, true)")
  Axes(T);
  Axes(std::initializer_list<Integer> axes) : axes_(axes), all_(false) {}
  template <IntegerRange R>
  Axes(const R& axes) : axes_(axes), all_(false) {}  // NOLINT: axes convert
  explicit Axes(const Dims& axes) : axes_(axes), all_(false) {}

  bool all() const { return all_; }
  const Dims& axes() const { return axes_; }

 private:
  Dims axes_;
  bool all_ = true;
};

namespace detail {
/// The tensor of an operand; Error if it is a number or holds nothing.
const Tensor& tensor_in(const Operand& x, const char* op);
}  // namespace detail

// --- Arithmetic, elementwise ---------------------------------------------------------------------------------------

/// a + b. Numeric.
[[nodiscard]] Tensor add(const Operand& a, const Operand& b);
/// a - b. Numeric.
[[nodiscard]] Tensor sub(const Operand& a, const Operand& b);
/// a * b. Numeric.
[[nodiscard]] Tensor mul(const Operand& a, const Operand& b);
/// a * b + c, rounded once (C's fma). Float, exact.
[[nodiscard]] Tensor fma(const Operand& a, const Operand& b, const Operand& c);
/// a / b, IEEE division. Float; integers are an Error, because C++ truncates, Python gives a fraction and TensorFlow
/// gives f64: say floor_div, trunc_div or cast.
[[nodiscard]] Tensor div(const Operand& a, const Operand& b);
/// The quotient rounded towards minus infinity (TensorFlow's floordiv). Numeric. An integer by 0 gives all bits set
/// (-1; the largest unsigned number) as in XLA; the least integer by -1 is itself.
[[nodiscard]] Tensor floor_div(const Operand& a, const Operand& b);
/// The remainder with the sign of b (TensorFlow's floormod, Python's %). Numeric; an integer a modulo 0 is a, as in
/// XLA.
[[nodiscard]] Tensor floor_mod(const Operand& a, const Operand& b);
/// The quotient rounded towards 0 (TensorFlow's truncatediv, C's /). Numeric; an integer by 0 as in floor_div.
[[nodiscard]] Tensor trunc_div(const Operand& a, const Operand& b);
/// The remainder with the sign of a (TensorFlow's truncatemod, C's % and fmod). Numeric; an integer a modulo 0 is a.
[[nodiscard]] Tensor trunc_mod(const Operand& a, const Operand& b);
/// -x. Numeric; unsigned numbers and the least integer wrap around.
[[nodiscard]] Tensor neg(const Operand& x);
/// |x|. Numeric; the least integer stays itself, as does everything unsigned.
[[nodiscard]] Tensor abs(const Operand& x);
/// -1, 0 or 1 by the sign of x; +0 for both zeros, as TensorFlow, and NaN for NaN. Numeric.
[[nodiscard]] Tensor sign(const Operand& x);
/// |a| with the sign of b, zeros included. The sign of a NaN means nothing here: b = NaN counts as positive, other than in
/// C and NumPy. Float, exact.
[[nodiscard]] Tensor copysign(const Operand& a, const Operand& b);
/// The larger of a and b; NaN if either is; a if they are equal, so that of zeros with different signs the first one
/// counts. Numeric. `max` is the reduction.
[[nodiscard]] Tensor maximum(const Operand& a, const Operand& b);
/// The smaller of a and b; NaN if either is; a if they are equal, so that of zeros with different signs the first one
/// counts. Numeric. `min` is the reduction.
[[nodiscard]] Tensor minimum(const Operand& a, const Operand& b);
/// x limited to low..high: minimum(maximum(x, low), high), as TensorFlow's clip_by_value. NaN stays. Numeric.
[[nodiscard]] Tensor clip(const Operand& x, const Operand& low, const Operand& high);
/// The bounds of clip, either of which may be left out.
struct Bounds {
  std::optional<Number> low{};
  std::optional<Number> high{};
};
/// x limited on one side or on both, as in `clip(x, {.low = 0})`. Error if no bound is given. Numeric.
[[nodiscard]] Tensor clip(const Operand& x, Bounds bounds);
/// The square root, correctly rounded. Float.
[[nodiscard]] Tensor sqrt(const Operand& x);
/// 1 / sqrt(x). Float.
[[nodiscard]] Tensor rsqrt(const Operand& x);
/// The cube root. Float.
[[nodiscard]] Tensor cbrt(const Operand& x);
/// sqrt(a * a + b * b) without overflow on the way. Float.
[[nodiscard]] Tensor hypot(const Operand& a, const Operand& b);
/// a to the power b. Numeric. Floats as C's pow. Integers wrap around; to a negative power they
/// give 0, but for bases 1 and -1, as in XLA; 0 to the power 0 is 1.
[[nodiscard]] Tensor pow(const Operand& a, const Operand& b);
/// The float of the dtype next to a in the direction of b. Float, exact.
[[nodiscard]] Tensor nextafter(const Operand& a, const Operand& b);
/// x * x. Numeric.
[[nodiscard]] Tensor square(const Operand& x);
/// (a - b) * (a - b). Numeric.
[[nodiscard]] Tensor squared_difference(const Operand& a, const Operand& b);
/// 1 / x. Float.
[[nodiscard]] Tensor reciprocal(const Operand& x);
/// a / b, and 0 where b is 0 (TensorFlow's divide_no_nan), also for a = NaN. Float.
[[nodiscard]] Tensor divide_no_nan(const Operand& a, const Operand& b);
/// a * b, and 0 where b is 0 (TensorFlow's multiply_no_nan), also for a = NaN or infinite. Float.
[[nodiscard]] Tensor multiply_no_nan(const Operand& a, const Operand& b);
/// a * log(b), and 0 where a is 0 (TensorFlow's xlogy). Float.
[[nodiscard]] Tensor xlogy(const Operand& a, const Operand& b);
/// a * log1p(b), and 0 where a is 0 (TensorFlow's xlog1py). Float.
[[nodiscard]] Tensor xlog1py(const Operand& a, const Operand& b);
/// a / b, and 0 where a is 0 (TensorFlow's xdivy). Float.
[[nodiscard]] Tensor xdivy(const Operand& a, const Operand& b);

// --- Exponentials and logarithms, elementwise, float ---------------------------------------------------------------

/// e to the power x.
[[nodiscard]] Tensor exp(const Operand& x);
/// 2 to the power x.
[[nodiscard]] Tensor exp2(const Operand& x);
/// exp(x) - 1, exact near 0.
[[nodiscard]] Tensor expm1(const Operand& x);
/// The natural logarithm: -inf at 0, NaN below.
[[nodiscard]] Tensor log(const Operand& x);
/// The logarithm to base 2.
[[nodiscard]] Tensor log2(const Operand& x);
/// The logarithm to base 10.
[[nodiscard]] Tensor log10(const Operand& x);
/// log(1 + x), exact near 0.
[[nodiscard]] Tensor log1p(const Operand& x);
/// 1 / (1 + exp(-x)).
[[nodiscard]] Tensor sigmoid(const Operand& x);
/// log(1 + exp(x)) without overflow.
[[nodiscard]] Tensor softplus(const Operand& x);

// --- Trigonometric and hyperbolic, elementwise, float --------------------------------------------------------------

/// The sine of x in radians; NaN at the infinities.
[[nodiscard]] Tensor sin(const Operand& x);
/// The cosine of x in radians; NaN at the infinities.
[[nodiscard]] Tensor cos(const Operand& x);
/// The tangent of x in radians; NaN at the infinities.
[[nodiscard]] Tensor tan(const Operand& x);
/// The inverse sine in -pi/2..pi/2; NaN outside of -1..1.
[[nodiscard]] Tensor asin(const Operand& x);
/// The inverse cosine in 0..pi; NaN outside of -1..1.
[[nodiscard]] Tensor acos(const Operand& x);
/// The inverse tangent in -pi/2..pi/2.
[[nodiscard]] Tensor atan(const Operand& x);
/// The angle of the point (b, a) in -pi..pi, with C's rules for signed zeros and infinities.
[[nodiscard]] Tensor atan2(const Operand& a, const Operand& b);
/// The hyperbolic sine.
[[nodiscard]] Tensor sinh(const Operand& x);
/// The hyperbolic cosine.
[[nodiscard]] Tensor cosh(const Operand& x);
/// The hyperbolic tangent.
[[nodiscard]] Tensor tanh(const Operand& x);
/// The inverse hyperbolic sine.
[[nodiscard]] Tensor asinh(const Operand& x);
/// The inverse hyperbolic cosine; NaN below 1.
[[nodiscard]] Tensor acosh(const Operand& x);
/// The inverse hyperbolic tangent; NaN outside of -1..1.
[[nodiscard]] Tensor atanh(const Operand& x);

// --- Special functions, elementwise, float -------------------------------------------------------------------------

/// The error function 2/sqrt(pi) * integral of exp(-t^2) from 0 to x.
[[nodiscard]] Tensor erf(const Operand& x);
/// 1 - erf(x), exact where that is small. f64 within 2.25 ULP.
[[nodiscard]] Tensor erfc(const Operand& x);
/// The inverse of erf; infinite at -1 and 1, NaN beyond. f64 within 2.25 ULP.
[[nodiscard]] Tensor erf_inv(const Operand& x);
/// log(|gamma(x)|); +inf at 0 and the negative integers. Of negative f64 the error is below 4 units in the last place,
/// of 1 where the result is smaller.
[[nodiscard]] Tensor lgamma(const Operand& x);
/// The derivative of lgamma; NaN at 0 and the negative integers (TensorFlow's digamma). Of negative f64 the error is
/// below 16 units in the last place, of 1 where the result is smaller.
[[nodiscard]] Tensor digamma(const Operand& x);

// --- Rounding, elementwise, float, exact ---------------------------------------------------------------------------

/// The nearest integer not above x.
[[nodiscard]] Tensor floor(const Operand& x);
/// The nearest integer not below x.
[[nodiscard]] Tensor ceil(const Operand& x);
/// x without its fraction.
[[nodiscard]] Tensor trunc(const Operand& x);
/// The nearest integer, halves to even (TensorFlow, NumPy and IEEE; C's round goes away from 0).
[[nodiscard]] Tensor round(const Operand& x);

// --- Derivatives, elementwise --------------------------------------------------------------------------------------

/// x, through which no gradient passes: derivatives take the result for a constant. Numeric.
[[nodiscard]] Tensor stop_gradient(const Operand& x);

// --- Comparison and selection, elementwise -------------------------------------------------------------------------

/// a == b as bool; NaN equals nothing. Any dtype.
[[nodiscard]] Tensor equal(const Operand& a, const Operand& b);
/// a != b as bool. Any dtype.
[[nodiscard]] Tensor not_equal(const Operand& a, const Operand& b);
/// a < b as bool. Numeric.
[[nodiscard]] Tensor less(const Operand& a, const Operand& b);
/// a <= b as bool. Numeric.
[[nodiscard]] Tensor less_equal(const Operand& a, const Operand& b);
/// a > b as bool. Numeric.
[[nodiscard]] Tensor greater(const Operand& a, const Operand& b);
/// a >= b as bool. Numeric.
[[nodiscard]] Tensor greater_equal(const Operand& a, const Operand& b);
/// True for NaN. Float.
[[nodiscard]] Tensor is_nan(const Operand& x);
/// True for the infinities. Float.
[[nodiscard]] Tensor is_inf(const Operand& x);
/// True for all but NaN and the infinities. Float.
[[nodiscard]] Tensor is_finite(const Operand& x);
/// How far is_close lets numbers be apart. Error for negative or NaN tolerances.
struct Closeness {
  double rtol = 1e-5;
  double atol = 1e-8;
  bool equal_nan = false;
};
/// |a - b| <= atol + rtol * |b|, rounded after each step; infinities are close to themselves only, NaN to NaN only if
/// asked for (NumPy's isclose). Float.
[[nodiscard]] Tensor is_close(const Operand& a, const Operand& b, Closeness closeness = {});
/// True if all elements are close, as bool[]; a and b broadcast. Float.
[[nodiscard]] Tensor allclose(const Operand& a, const Operand& b, Closeness closeness = {});
/// True if a and b have the same shape and equal elements, as bool[]; NaN equals nothing. Any dtype, the same for both.
[[nodiscard]] Tensor array_equal(const Operand& a, const Operand& b);
/// Elements of a where the bool condition holds, else of b; all three broadcast. Any dtype, the same for a and b.
[[nodiscard]] Tensor where(const Operand& condition, const Operand& a, const Operand& b);

// --- Logical (bool) and bitwise (integer), elementwise -------------------------------------------------------------

/// True where both are.
[[nodiscard]] Tensor logical_and(const Operand& a, const Operand& b);
/// True where either is or both are.
[[nodiscard]] Tensor logical_or(const Operand& a, const Operand& b);
/// True where one of the two is.
[[nodiscard]] Tensor logical_xor(const Operand& a, const Operand& b);
/// True where x is not.
[[nodiscard]] Tensor logical_not(const Operand& x);
/// The bits set in both.
[[nodiscard]] Tensor bitwise_and(const Operand& a, const Operand& b);
/// The bits set in either.
[[nodiscard]] Tensor bitwise_or(const Operand& a, const Operand& b);
/// The bits set in one of the two.
[[nodiscard]] Tensor bitwise_xor(const Operand& a, const Operand& b);
/// All bits turned over.
[[nodiscard]] Tensor bitwise_not(const Operand& x);
/// a times 2 to the power b, wrapping around; 0 if b is not in 0..bits-1 (XLA's shift-left).
[[nodiscard]] Tensor shift_left(const Operand& a, const Operand& b);
/// a shifted right by b: signed integers keep their sign, unsigned ones fill with 0; b outside of 0..bits-1 shifts all
/// bits out (XLA).
[[nodiscard]] Tensor shift_right(const Operand& a, const Operand& b);
/// The same, always filled with 0: the bits of a as of an unsigned number (Java's >>>); b outside of 0..bits-1 gives 0.
[[nodiscard]] Tensor shift_right_logical(const Operand& a, const Operand& b);
/// How many bits are set.
[[nodiscard]] Tensor popcount(const Operand& x);
/// How many bits above the highest set bit are 0; all of them for 0.
[[nodiscard]] Tensor clz(const Operand& x);
/// Words 0 and 1 of a block of Philox 4x32 with ten rounds, word 0 in the lower half (Salmon et al., "Parallel Random Numbers:
/// As Easy as 1, 2, 3", 2011): random bits by a formula, from which etch/random.h makes numbers. The counter's words are those
/// of `low` and then of `high`, the key's those of `key`, the lower half first. u64.
[[nodiscard]] Tensor philox_low(const Operand& low, const Operand& high, const Operand& key);
/// Words 2 and 3 of the same block. u64.
[[nodiscard]] Tensor philox_high(const Operand& low, const Operand& high, const Operand& key);

// --- Conversion ----------------------------------------------------------------------------------------------------

/// The elements in another dtype. Float to integer truncates; out of range it saturates and NaN gives 0 (XLA). To bool:
/// not 0. Integer to smaller integer wraps around. To float: one rounding, to nearest even.
[[nodiscard]] Tensor cast(const Operand& x, DType dtype);
/// The bits of each element read as another dtype of the same size. Not bool.
[[nodiscard]] Tensor bitcast(const Operand& x, DType dtype);
/// The smallest dtype that holds the values of both, as NumPy's: two dtypes that differ never meet in an op, so this
/// says what to cast to. Of i32 or i64 with f32 it is f64, which loses no digit of an i32.
[[nodiscard]] DType result_type(DType a, DType b);
/// The same of any number of tensors and dtypes: `result_type(x, y, DType::f32)`.
template <class A, class B, class... More>
  requires(sizeof...(More) > 0 || !std::same_as<A, DType> || !std::same_as<B, DType>)
[[nodiscard]] DType result_type(const A& a, const B& b, const More&... more) {
  const auto of = [](const auto& x) {
    if constexpr (std::same_as<std::remove_cvref_t<decltype(x)>, DType>) return x;
    else return x.dtype();
  };
  const DType both = result_type(of(a), of(b));
  if constexpr (sizeof...(More) > 0) return result_type(both, more...);
  else return both;
}

// --- Reductions ----------------------------------------------------------------------------------------------------
// Over the given axes, or all. With keepdims the reduced axes stay with extent 1. No axes at all (`Axes(Dims())`)
// reduces nothing.

/// The sum; 0 of nothing. Numeric, in the tensor's own dtype, as TensorFlow (NumPy widens short integers first): integers
/// wrap around, f16 and bf16 are rounded once in the end.
[[nodiscard]] Tensor sum(const Operand& x, const Axes& axes = {}, Flag keepdims = false);
/// The product; 1 of nothing. Numeric.
[[nodiscard]] Tensor prod(const Operand& x, const Axes& axes = {}, Flag keepdims = false);
/// The largest element; NaN if there is one; the least value of the dtype (-inf) of nothing, as TensorFlow. A zero is
/// +0. Numeric.
[[nodiscard]] Tensor max(const Operand& x, const Axes& axes = {}, Flag keepdims = false);
/// The smallest element; NaN if there is one; the largest value of the dtype (inf) of nothing. A zero is +0. Numeric.
[[nodiscard]] Tensor min(const Operand& x, const Axes& axes = {}, Flag keepdims = false);
/// True if any element is. bool; false of nothing.
[[nodiscard]] Tensor any(const Operand& x, const Axes& axes = {}, Flag keepdims = false);
/// True if all elements are. bool; true of nothing.
[[nodiscard]] Tensor all(const Operand& x, const Axes& axes = {}, Flag keepdims = false);
/// sum / count. Numeric; of integers the quotient truncated towards 0, as TensorFlow; NaN (integers: as 0 / 0) of
/// nothing.
[[nodiscard]] Tensor mean(const Operand& x, const Axes& axes = {}, Flag keepdims = false);
/// The mean of the squared distances from the mean: sum((x - mean)^2) / (count - ddof). Float.
[[nodiscard]] Tensor variance(const Operand& x, const Axes& axes = {}, Flag keepdims = false, Integer ddof = 0);
/// The square root of the variance (TensorFlow's reduce_std, NumPy's std). Float.
[[nodiscard]] Tensor stddev(const Operand& x, const Axes& axes = {}, Flag keepdims = false, Integer ddof = 0);
/// log(sum(exp(x))) without overflow: the largest element is taken out first. -inf of nothing. Float.
[[nodiscard]] Tensor logsumexp(const Operand& x, const Axes& axes = {}, Flag keepdims = false);
/// The length of the vectors along the axes: (sum |x|^order)^(1 / order). Order 2 is sqrt(sum(x * x)) and order 1 a sum
/// of magnitudes, rounded after each step, so squares may overflow as in NumPy; order infinity is the largest magnitude.
/// Of two axes and order 2 that is the Frobenius norm. 0 of nothing. Error unless order is above 0. Float.
[[nodiscard]] Tensor norm(const Operand& x, const Axes& axes = {}, Flag keepdims = false, double order = 2);
/// The index of the first largest element along an axis, i64. NaN counts as largest (NumPy). Numeric; nothing is an
/// Error.
[[nodiscard]] Tensor argmax(const Operand& x, Integer axis, Flag keepdims = false);
/// The index of the first smallest element along an axis, i64. NaN counts as smallest (NumPy). Numeric.
[[nodiscard]] Tensor argmin(const Operand& x, Integer axis, Flag keepdims = false);

/// How cumsum adds.
struct CumsumOptions {
  bool exclusive = false;  // each sum without the element itself: the first one is 0
  bool reverse = false;    // from the end
};
/// The sums of the elements so far along an axis, added in their order (TensorFlow's cumsum). Numeric; integers wrap around,
/// f16 and bf16 are summed in f32.
[[nodiscard]] Tensor cumsum(const Operand& x, Integer axis = 0, CumsumOptions options = {});

// --- Selection and order -------------------------------------------------------------------------------------------

/// What top_k gives: `auto [values, indices] = top_k(x, 5);`
struct TopK {
  Tensor values;   // in the dtype of x
  Tensor indices;  // along the axis, i64 as those of argmax
};
/// The k largest elements along an axis, in descending order, and where they stand (TensorFlow's math.top_k). Of equal
/// elements the one with the lower index comes first; so it is for the two zeros, which are equal. NaN counts as largest,
/// as for argmax. Error if k is negative or larger than the extent. Numeric.
[[nodiscard]] TopK top_k(const Operand& x, Integer k, Integer axis = -1);
enum class Direction : uint8_t { ascending, descending };
/// The elements along an axis in order (TensorFlow's sort). NaN counts as largest. Equal elements, as which the two zeros
/// count, keep their order. Numeric.
[[nodiscard]] Tensor sort(const Operand& x, Integer axis = -1, Direction direction = Direction::ascending);
/// Where the elements of sort(x) stand along the axis, i64 (TensorFlow's argsort, stable). Numeric.
[[nodiscard]] Tensor argsort(const Operand& x, Integer axis = -1, Direction direction = Direction::ascending);

// --- Indices -------------------------------------------------------------------------------------------------------
// Integers of any dtype that say where elements stand along an axis, from 0 on; negative ones do not count from the end. An
// index that is not below the axis' extent is an Error at the time when it is used; it names the index, its place and the op.
// A function that throws it has changed no variable. What no result needs is not looked at.

/// x at indices along an axis, whose place the axes of the indices take (TensorFlow's gather). Any dtype.
[[nodiscard]] Tensor gather(const Operand& x, const Operand& indices, Integer axis = 0);
/// x with updates added at indices along an axis, what goes to one element in the order of the indices: the transpose of
/// gather, whose result the updates have the shape of (NumPy's add.at; TensorFlow's tensor_scatter_nd_add along axis 0).
/// Numeric; f16 and bf16 are summed in f32.
[[nodiscard]] Tensor scatter_add(const Operand& x, const Operand& indices, const Operand& updates, Integer axis = 0);
/// `count` elements of x along an axis from an index on, a scalar of integers; it is clamped to 0 .. extent - count, so that
/// all of them are there (JAX's dynamic_slice_in_dim). Error if count is negative or above the extent. Any dtype.
[[nodiscard]] Tensor dynamic_slice(const Operand& x, const Operand& index, Integer count, Integer axis = 0);
/// x with the update, of the same rank, in its place along an axis from an index on, which is clamped as that of
/// dynamic_slice (JAX's dynamic_update_slice_in_dim). In a traced function nothing is copied where x is not used any more.
/// Error if the update is longer along the axis or differs in another one. Any dtype.
[[nodiscard]] Tensor update_slice(const Operand& x, const Operand& update, const Operand& index, Integer axis = 0);
/// 1 where a new axis of extent `depth` is at the index, else 0; all 0 for an index that it does not have (TensorFlow's
/// one_hot). The new axis stands at `axis` of the result. Error for a negative depth. Any dtype.
[[nodiscard]] Tensor one_hot(const Operand& indices, Integer depth, DType dtype = DType::f32, Integer axis = -1);

// --- Products ------------------------------------------------------------------------------------------------------

struct MatmulOptions {
  bool transpose_a = false;  // swap the last two axes of a first
  bool transpose_b = false;  // and of b
};
/// The matrix product over the last two axes; the axes before broadcast. A rank-1 operand is a row (a) or a column (b)
/// whose axis is dropped from the result, as in NumPy. Numeric, the same dtype. f32 products accumulate in f32.
[[nodiscard]] Tensor matmul(const Operand& a, const Operand& b, MatmulOptions options = {});

/// Products of elements that carry the same letters, summed over the letters that the result lacks (NumPy's and
/// TensorFlow's einsum): `einsum("bij,bjk->bik", a, b)`. Each operand has a letter for each axis, or `...` for any axes, which
/// broadcast; a letter twice in one operand takes its diagonal. Without `->` the result has `...` and the letters that
/// occur once, in the order of the alphabet. Operands are multiplied from the first to the last, by matrix products. Error
/// for a text that does not fit, which it quotes. Numeric, the same dtype. A plain list wants the namespace.
[[nodiscard]] Tensor einsum(std::string_view equation, const std::vector<Tensor>& operands,
                            Location where = Location::current());
/// The same without a list.
template <std::same_as<Tensor>... More>
[[nodiscard]] Tensor einsum(std::string_view equation, const Operand& first, const More&... more) {
  return einsum(equation, std::vector<Tensor>{detail::tensor_in(first, "einsum"), more...}, first.where());
}
/// Products summed over the last `axes` axes of a and the first of b (NumPy's and TensorFlow's tensordot); 0 is the outer
/// product. Numeric, the same dtype.
[[nodiscard]] Tensor tensordot(const Operand& a, const Operand& b, Integer axes = 2);
/// The same over axes of a and, one for each, of b. The result has the other axes of a, then those of b.
[[nodiscard]] Tensor tensordot(const Operand& a, const Operand& b, const Axes& a_axes, const Axes& b_axes);

/// What scaled_dot_product_attention may see.
struct AttentionOptions {
  Tensor mask{};                  // bool[..., queries, keys], which broadcasts: true where a query may look at a key
  bool causal = false;            // a query looks at the keys up to its own number
  std::optional<double> scale{};  // 1 / sqrt(width of a query) by default
};
/// softmax(query . key^T * scale) . value over the last two axes: f[..., queries, n], f[..., keys, n], f[..., keys, m] ->
/// f[..., queries, m]; the other axes broadcast (Vaswani et al., "Attention Is All You Need", 2017). A score that may not be
/// seen counts as -1e9 (f16: -3e4), as in Keras: where none may, all keys weigh the same. Float.
[[nodiscard]] Tensor scaled_dot_product_attention(const Operand& query, const Operand& key, const Operand& value,
                                                  const AttentionOptions& options = {});

// --- Shape ---------------------------------------------------------------------------------------------------------

/// The same elements in row-major order under another shape; one extent may be -1: what remains. Shares the memory.
[[nodiscard]] Tensor reshape(const Operand& x, const Shape& shape);
/// Result axis i is axis perm[i] of x.
[[nodiscard]] Tensor transpose(const Operand& x, const Dims& perm);
/// All axes in reverse order.
[[nodiscard]] Tensor transpose(const Operand& x);
/// Two axes exchanged.
[[nodiscard]] Tensor swapaxes(const Operand& x, Integer a, Integer b);
/// x repeated along axes of extent 1 and along new axes before, as NumPy's broadcast_to.
[[nodiscard]] Tensor broadcast_to(const Operand& x, const Shape& shape);
/// A new axis of extent 1 before axis `axis`; -1 puts it last.
[[nodiscard]] Tensor expand_dims(const Operand& x, Integer axis);
/// Without the named axes of extent 1, or without all such axes. A named axis of another extent is an Error.
[[nodiscard]] Tensor squeeze(const Operand& x, const Axes& axes = {});
/// NumPy's x[slices]; see etch::Slice. Axes that are not named stay whole.
[[nodiscard]] Tensor slice(const Operand& x, const Slices& slices);
/// The tensors one after the other along an axis. A plain list wants the namespace: `etch::concat({a, b}, 0)`.
[[nodiscard]] Tensor concat(const std::vector<Tensor>& tensors, Integer axis, Location where = Location::current());
/// The same without a list: `concat(0, a, b)`.
template <std::same_as<Tensor>... More>
[[nodiscard]] Tensor concat(Integer axis, const Operand& first, const More&... more) {
  return concat(std::vector<Tensor>{detail::tensor_in(first, "concat"), more...}, axis, first.where());
}
/// Tensors of one shape along a new axis.
[[nodiscard]] Tensor stack(const std::vector<Tensor>& tensors, Integer axis = 0, Location where = Location::current());
/// The same along a new first axis, without a list: `stack(a, b)`.
template <std::same_as<Tensor>... More>
  requires(sizeof...(More) > 0)
[[nodiscard]] Tensor stack(const Operand& first, const More&... more) {
  return stack(std::vector<Tensor>{detail::tensor_in(first, "stack"), more...}, 0, first.where());
}
/// `count` equal parts along an axis. Error if they are not equal.
[[nodiscard]] std::vector<Tensor> split(const Operand& x, Integer count, Integer axis = 0);
/// Parts of the given sizes along an axis; they must add up to its extent.
[[nodiscard]] std::vector<Tensor> split(const Operand& x, const std::vector<int64_t>& sizes, Integer axis = 0);
/// `paddings[i]` = how many elements of `value` to put before and after axis i (TensorFlow's pad, mode CONSTANT).
[[nodiscard]] Tensor pad(const Operand& x, const std::vector<std::array<int64_t, 2>>& paddings,
                         const Operand& value = 0);
/// What pad puts around the elements a b c of an axis (NumPy's names).
enum class PadMode : uint8_t {
  edge,       // a a | a b c | c c
  reflect,    // c b | a b c | b a
  symmetric,  // b a | a b c | c b
  wrap,       // b c | a b c | a b
};
/// `paddings[i]` = how many elements to put before and after axis i, taken from x by the mode, over and over where the
/// padding is longer than the axis. Error for padding an axis without elements.
[[nodiscard]] Tensor pad(const Operand& x, const std::vector<std::array<int64_t, 2>>& paddings, PadMode mode);
/// x side by side with itself, `repeats[i]` times along axis i (NumPy's tile). A shorter list is that of the last axes,
/// a longer one gives x new axes before. Error for a negative number.
[[nodiscard]] Tensor tile(const Operand& x, const Dims& repeats);
/// Each element `count` times in a row along an axis (NumPy's repeat). Error for a negative number.
[[nodiscard]] Tensor repeat(const Operand& x, Integer count, Integer axis);
/// How window moves and spreads: one number for each axis, or none for 1 everywhere.
struct WindowOptions {
  Dims steps{};      // elements from one window to the next
  Dims dilations{};  // elements from one of a window to the next
};
/// The parts that a window of these sizes sees as it slides along the axes, all of them if none is named: the axes of x,
/// now as long as there are whole windows, and behind them one axis of each size (NumPy's sliding_window_view). Reduced
/// along those it is pooling, multiplied a convolution; nothing is stored for it when fused. Error for a window that does
/// not fit. Any dtype.
[[nodiscard]] Tensor window(const Operand& x, const Dims& sizes, const Axes& axes = {}, WindowOptions options = {});
/// The order of the elements along the axes reversed.
[[nodiscard]] Tensor flip(const Operand& x, const Axes& axes = {});
/// The elements moved by `shift` along an axis; what leaves at one end enters at the other.
[[nodiscard]] Tensor roll(const Operand& x, Integer shift, Integer axis);

// --- Matrices ------------------------------------------------------------------------------------------------------

/// The matrices in the last two axes with 0 above diagonal k; k = 1 is the diagonal above the main one. Any dtype.
[[nodiscard]] Tensor tril(const Operand& x, Integer k = 0);
/// The matrices in the last two axes with 0 below diagonal k. Any dtype.
[[nodiscard]] Tensor triu(const Operand& x, Integer k = 0);
/// Of a matrix its diagonal k, as a vector, without elements where the matrix has no such diagonal; of a vector the
/// square matrix that has it as diagonal k and is 0 elsewhere (NumPy's diag). Any dtype; Error for another rank.
[[nodiscard]] Tensor diag(const Operand& x, Integer k = 0);

// --- Creation ------------------------------------------------------------------------------------------------------

/// Every element is `value`, in the number's own dtype.
[[nodiscard]] Tensor full(const Shape& shape, Number value, Location where = Location::current());
/// Every element is `value`, in this dtype; Error if the dtype cannot hold it.
[[nodiscard]] Tensor full(const Shape& shape, Number value, DType dtype, Location where = Location::current());
/// Every element is 0, or false.
[[nodiscard]] Tensor zeros(const Shape& shape, DType dtype = DType::f32, Location where = Location::current());
/// Every element is 1, or true.
[[nodiscard]] Tensor ones(const Shape& shape, DType dtype = DType::f32, Location where = Location::current());
/// Every element is `value`, in the shape and dtype of x.
[[nodiscard]] Tensor full_like(const Operand& x, Number value);
/// Every element is 0, in the shape and dtype of x.
[[nodiscard]] Tensor zeros_like(const Operand& x);
/// Every element is 1, in the shape and dtype of x.
[[nodiscard]] Tensor ones_like(const Operand& x);
/// The index along an axis. Numeric.
[[nodiscard]] Tensor iota(const Shape& shape, Integer axis, DType dtype = DType::i32,
                          Location where = Location::current());
/// 0, 1, ..., n - 1. Numeric.
[[nodiscard]] Tensor range(Integer n, DType dtype = DType::i32, Location where = Location::current());
/// start, start + step, ... before stop, as NumPy's arange and TensorFlow's range: ceil((stop - start) / step) elements
/// in the dtype of the three numbers (f32 or f64 if one is, else i32 or i64). Element i is start + i * step. Error if
/// step is 0.
[[nodiscard]] Tensor range(Number start, Number stop, Number step = 1, Location where = Location::current());
/// `count` evenly spaced numbers from start to stop, both included: start + i * (stop - start) / (count - 1); the
/// last is exactly stop. Float.
[[nodiscard]] Tensor linspace(double start, double stop, Integer count, DType dtype = DType::f32,
                              Location where = Location::current());
/// 1 on the diagonal, else 0: n rows and columns. Error for a negative number.
[[nodiscard]] Tensor eye(Integer n, DType dtype = DType::f32, Location where = Location::current());
/// The same of a matrix that need not be square.
[[nodiscard]] Tensor eye(Integer rows, Integer columns, DType dtype = DType::f32, Location where = Location::current());

// --- Activations, elementwise --------------------------------------------------------------------------------------

/// maximum(0, x). Numeric; NaN stays. The gradient at 0 is 0.
[[nodiscard]] Tensor relu(const Operand& x);
/// minimum(6, maximum(0, x)). Numeric. The gradient at 0 and at 6 is 0.
[[nodiscard]] Tensor relu6(const Operand& x);
/// x where it is positive, else alpha * x. Float. TensorFlow's default alpha.
[[nodiscard]] Tensor leaky_relu(const Operand& x, double alpha = 0.2);
/// x where it is positive, else alpha * expm1(x). Float.
[[nodiscard]] Tensor elu(const Operand& x, double alpha = 1.0);
/// scale * (x where it is positive, else alpha * expm1(x)) with scale 1.05070098, alpha 1.67326324 (Klambauer et al.,
/// "Self-Normalizing Neural Networks", 2017). Float.
[[nodiscard]] Tensor selu(const Operand& x);
enum class Gelu : uint8_t {
  exact,  // x * (1 + erf(x / sqrt(2))) / 2
  tanh,   // x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2
};
/// The Gaussian error linear unit (Hendrycks and Gimpel, 2016). Exact by default, as TensorFlow. Float.
[[nodiscard]] Tensor gelu(const Operand& x, Gelu form = Gelu::exact);
/// x * sigmoid(x), also called swish. Float.
[[nodiscard]] Tensor silu(const Operand& x);
/// x * sigmoid(beta * x). Float.
[[nodiscard]] Tensor swish(const Operand& x, double beta = 1.0);
/// relu6(x + 3) / 6, TensorFlow's (Keras 3) definition. Float.
[[nodiscard]] Tensor hard_sigmoid(const Operand& x);
/// x / (|x| + 1). Float.
[[nodiscard]] Tensor softsign(const Operand& x);

// --- Normalisation -------------------------------------------------------------------------------------------------

/// exp(x) * (1 / sum(exp(x))) along the axes, with the largest element taken out first. The reciprocal is rounded, as in
/// TensorFlow. Float.
[[nodiscard]] Tensor softmax(const Operand& x, const Axes& axes = -1);
/// log(softmax(x)) = x - logsumexp(x), along the axes. Float.
[[nodiscard]] Tensor log_softmax(const Operand& x, const Axes& axes = -1);
/// (x - mean) / sqrt(variance + epsilon) along the axes (Ba et al., "Layer Normalization", 2016). Float; Error for a
/// negative epsilon.
[[nodiscard]] Tensor layer_norm(const Operand& x, const Axes& axes = -1, double epsilon = 1e-5);
/// The same, times gamma, plus beta; both broadcast against x.
[[nodiscard]] Tensor layer_norm(const Operand& x, const Tensor& gamma, const Tensor& beta, const Axes& axes = -1,
                                double epsilon = 1e-5);

}  // namespace etch
