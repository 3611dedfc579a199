// Random numbers as formulas over the index, and the generators that count them.
#include "etch/random.h"

#include <atomic>
#include <cmath>
#include <random>

#include "compiler/ir/cat.h"
#include "compiler/math/vector_math_basic.h"
#include "etch/function.h"
#include "frontend/composites/parts.h"
#include "frontend/default_seed.h"
#include "frontend/trace.h"
#include "frontend/variable_cell.h"

namespace etch {
namespace {

using detail::fail;
using detail::Scope;
using Extents = std::vector<int64_t>;

/// The counter and the key of a seed.
struct Seed {
  Tensor low, high, key;
};

Seed parts_of(const Tensor& seed) {
  if (seed.rank() == 0) return {full({}, 0, DType::u64), full({}, 0, DType::u64), seed};
  return {seed[0], seed[1], seed[2]};
}

/// The number of each element, row-major.
Tensor numbers(const Extents& extents) {
  const Shape shape(extents);
  return reshape(iota({shape.product()}, 0, DType::u64), shape);
}

/// Half a block: that with words 2 i and 2 i + 1 of the stream.
Tensor half_block(const Seed& seed, const Tensor& i) {
  const Tensor low = seed.low + (i >> 1);
  const Tensor high = seed.high + cast(low < seed.low, DType::u64);
  return where((i & 1) == 0, philox_low(low, high, seed.key), philox_high(low, high, seed.key));
}

/// Word i of the stream.
Tensor words(const Seed& seed, const Tensor& i) {
  return cast(half_block(seed, i >> 1) >> ((i & 1) << 5), DType::u32);
}

Tensor low_word(const Tensor& x) { return cast(x, DType::u32); }
Tensor high_word(const Tensor& x) { return cast(x >> 32, DType::u32); }

/// How many random bits a uniform number of a dtype has.
int digits_of(DType dtype) {
  switch (dtype) {
    case DType::f16: return 10;
    case DType::bf16: return 7;
    case DType::f64: return 52;
    default: return 23;
  }
}

/// Uniform in 0 <= u < 1, f32: the last bits of words.
Tensor unit(const Tensor& words, int digits) {
  return cast(words & ((uint32_t{1} << digits) - 1), DType::f32) * std::ldexp(1.0f, -digits);
}
/// The same in f64: of the words of `half`, of which the first one is the upper one.
Tensor wide_unit(const Tensor& half) {
  constexpr uint64_t kUpper = (uint64_t{1} << 20) - 1;
  return cast(((half & kUpper) << 32) | (half >> 32), DType::f64) * std::ldexp(1.0, -52);
}
/// Uniform in 0 < u < 1, symmetric about 1/2.
Tensor open_unit(const Seed& seed, const Extents& extents) {
  return unit(words(seed, numbers(extents)), 23) + std::ldexp(1.0f, -24);
}

Tensor bits_formula(const Tensor& seed, const Extents& extents, DType dtype) {
  const Tensor i = numbers(extents);
  return dtype == DType::u64 ? half_block(parts_of(seed), i) : words(parts_of(seed), i);
}

Tensor unit_formula(const Tensor& seed, const Extents& extents, DType dtype) {
  const Tensor i = numbers(extents);
  if (dtype == DType::f64) return wide_unit(half_block(parts_of(seed), i));
  return cast(unit(words(parts_of(seed), i), digits_of(dtype)), dtype);
}

/// Box and Muller's: the numbers 2 i and 2 i + 1 are the sine and the cosine of one angle, times one length.
template <class Real>
Tensor box_muller(const Tensor& u, const Tensor& v, const Tensor& i) {
  constexpr Real kTwoPi = static_cast<Real>(6.28318530717958647692528676655900577);
  const Tensor angle = v * kTwoPi;
  return sqrt(log(maximum(u, Real{1e-7f})) * Real{-2}) * where((i & 1) == 0, sin(angle), cos(angle));
}

/// Of mean 0 and standard deviation 1.
Tensor normal_formula(const Tensor& state, const Extents& extents, DType dtype) {
  const Seed seed = parts_of(state);
  const Tensor i = numbers(extents);
  if (dtype == DType::f64) {
    const Tensor pair = (i >> 1) << 1;
    return box_muller<double>(wide_unit(half_block(seed, pair)), wide_unit(half_block(seed, pair + 1)), i);
  }
  const Tensor half = half_block(seed, i >> 1);
  return cast(box_muller<float>(unit(low_word(half), 23), unit(high_word(half), 23), i), dtype);
}

/// The same within two standard deviations: erf(sqrt(2)) of the distribution lies there.
Tensor truncated_normal_formula(const Tensor& seed, const Extents& extents, DType dtype) {
  const Tensor u = open_unit(parts_of(seed), extents);
  constexpr float kInside = 0.954499736103641585599434725666933125f;
  return cast(erf_inv((u * 2.0f - 1.0f) * kInside) * 1.41421356237309504880f, dtype);
}

Tensor categorical_formula(const Tensor& seed, const Tensor& logits, int64_t count) {
  const Shape& shape = logits.shape();
  Extents extents(shape.begin(), shape.end());
  extents.insert(extents.end() - 1, count);
  const Tensor noise = -log(-log(open_unit(parts_of(seed), extents)));
  return argmax(expand_dims(logits, -2) + cast(noise, logits.dtype()), -1);
}

Tensor permutation_formula(const Tensor& seed, int64_t n) {
  return top_k(half_block(parts_of(seed), numbers({n})), n).indices;
}

/// The state behind `by` more blocks, as one formula over its words.
Tensor advanced_formula(const Tensor& state, uint64_t by) {
  const Tensor carry = cast(state[0] + by < state[0], DType::u64);
  const Tensor word = range(3);
  return state + where(word == 0, by, where(word == 1, carry, uint64_t{0}));
}

/// A formula as one compiled call, eager too. It lives to the end of the process: generators may be used by then.
template <class Sig, class F>
const Function<Sig>& compiled(F f, const char* name) {
  return *new Function<Sig>(function<Sig>(f, {.name = name, .on_retrace = Retrace::allow}));
}

/// The seed as u64. Error for what is none.
Tensor checked_seed(const Tensor& seed, std::string_view op, Location where) {
  const detail::TensorImpl& impl = detail::impl_of(seed, where);
  const bool is_integer = etch::is_integer(impl.dtype);
  const bool is_state = impl.dtype == DType::u64 && impl.shape == Shape(3);
  if (!is_state && !(is_integer && impl.shape.rank() == 0)) {
    fail(where, cat(op, ": the seed is ", to_string(impl.type()), ", but it may be an integer, the key, or u64[3], the two"
                    " halves of the counter and the key"));
  }
  return impl.dtype == DType::u64 ? seed : cast(Operand(seed, where), DType::u64);
}

void check_floating_dtype(DType dtype, std::string_view op, Location where) {
  detail::check_dtype(dtype, op, where);
  if (!is_floating(dtype)) fail(where, cat(op, " gives ", list_dtypes(is_floating), ", not ", name(dtype)));
}

Extents extents_of(const Shape& shape, DType dtype, std::string_view op, Location where) {
  detail::check_type({dtype, shape}, op, where);
  return Extents(shape.begin(), shape.end());
}

/// a * x + b, where that is another number.
Tensor scaled(const Tensor& x, double a, double b, Location where) {
  Tensor y = a == 1 ? x : mul(Operand(x, where), Operand(a, where));
  return b == 0 ? y : add(Operand(y, where), Operand(b, where));
}

}  // namespace

namespace random {
namespace {

// The default seed and how many were taken of it.
std::atomic<uint64_t> default_seed{0};
std::atomic<uint64_t> num_seeds{0};
std::atomic<bool> has_seed{false};

}  // namespace

void set_seed(uint64_t seed) {
  default_seed = seed;
  num_seeds = 0;
  has_seed = true;
}

uint64_t next_seed() {
  if (!has_seed) {
    std::random_device device;
    set_seed(device() | uint64_t{device()} << 32);
  }
  const auto word = [](uint64_t x) { return math::Scalar<uint64_t>(x); };
  return math::philox(word(num_seeds++), word(0), word(default_seed))[0].v;
}

}  // namespace random

SavedState detail::DefaultSeed::save_state() const {
  SavedState state;
  state.set("is_set", random::has_seed.load());
  state.set("seed", random::default_seed.load());
  state.set("taken", random::num_seeds.load());
  return state;
}

void detail::DefaultSeed::restore_state(const SavedState& state) {
  const auto seed = state.get<uint64_t>("seed"), taken = state.get<uint64_t>("taken");
  random::has_seed = state.get<bool>("is_set");
  random::default_seed = seed;
  random::num_seeds = taken;
}

namespace random {

Tensor bits(const Tensor& seed, const Shape& shape, DType dtype, Location where) {
  if (dtype != DType::u32 && dtype != DType::u64) fail(where, cat("random::bits gives u32 or u64, not ", name(dtype)));
  static const auto& formula = compiled<Tensor(Tensor, Extents, DType)>(bits_formula, "random_bits");
  return formula(checked_seed(seed, "random::bits", where), extents_of(shape, dtype, "random::bits", where), dtype, where);
}

Tensor uniform(const Tensor& seed, const Shape& shape, UniformOptions options, Location where) {
  check_floating_dtype(options.dtype, "random::uniform", where);
  static const auto& formula = compiled<Tensor(Tensor, Extents, DType)>(unit_formula, "random_uniform");
  const Tensor u = formula(checked_seed(seed, "random::uniform", where),
                           extents_of(shape, options.dtype, "random::uniform", where), options.dtype, where);
  return scaled(u, options.high - options.low, options.low, where);
}

Tensor uniform_int(const Tensor& seed, const Shape& shape, Integer low, Integer high, DType dtype, Location where) {
  const bool is_wide = dtype == DType::i64 || dtype == DType::u64;
  if (!is_wide && dtype != DType::i32 && dtype != DType::u32) {
    fail(where, cat("random::uniform_int gives i32, i64, u32 or u64, not ", name(dtype)));
  }
  if (high <= low) fail(where, cat("random::uniform_int: nothing lies between ", int64_t{low}, " and ", int64_t{high}));
  for (int64_t bound : {int64_t{low}, int64_t{high} - 1}) detail::number_bits(bound, dtype, where, "random::uniform_int");
  const Tensor x = bits(seed, shape, is_wide ? DType::u64 : DType::u32, where);
  const auto range = static_cast<uint64_t>(int64_t{high}) - static_cast<uint64_t>(int64_t{low});
  const bool is_whole = !is_wide && range >> 32 != 0;
  const Tensor rest = is_whole ? x : is_wide ? x % range : x % static_cast<uint32_t>(range);
  return bitcast(rest, dtype) + full({}, int64_t{low}, dtype, where);
}

Tensor normal(const Tensor& seed, const Shape& shape, NormalOptions options, Location where) {
  check_floating_dtype(options.dtype, "random::normal", where);
  static const auto& formula = compiled<Tensor(Tensor, Extents, DType)>(normal_formula, "random_normal");
  const Tensor z = formula(checked_seed(seed, "random::normal", where),
                           extents_of(shape, options.dtype, "random::normal", where), options.dtype, where);
  return scaled(z, options.stddev, options.mean, where);
}

Tensor truncated_normal(const Tensor& seed, const Shape& shape, NormalOptions options, Location where) {
  check_floating_dtype(options.dtype, "random::truncated_normal", where);
  static const auto& formula = compiled<Tensor(Tensor, Extents, DType)>(truncated_normal_formula, "random_truncated_normal");
  const Tensor z = formula(checked_seed(seed, "random::truncated_normal", where),
                           extents_of(shape, options.dtype, "random::truncated_normal", where), options.dtype, where);
  return scaled(z, options.stddev, options.mean, where);
}

Tensor bernoulli(const Tensor& seed, const Shape& shape, double probability, Location where) {
  if (!(probability >= 0 && probability <= 1)) {
    fail(where, cat("random::bernoulli: the probability is ", detail::number_text(probability), "; it may be 0 to 1"));
  }
  return less(Operand(uniform(seed, shape, {}, where), where), Operand(probability, where));
}

Tensor categorical(const Tensor& seed, const Operand& logits, Integer count) {
  const Location where = logits.where();
  const Scope scope("random_categorical", where);
  detail::check_floating(logits, "random_categorical");
  const Shape& shape = logits.tensor()->shape();
  if (shape.rank() == 0 || shape.back() == 0) {
    fail(where, cat("random::categorical: logits ", to_string(shape), " have no classes along their last axis"));
  }
  if (count < 0) fail(where, cat("random::categorical: ", int64_t{count}, " indices cannot be drawn"));
  static const auto& formula = compiled<Tensor(Tensor, Tensor, int64_t)>(categorical_formula, "random_categorical");
  return formula(checked_seed(seed, "random::categorical", where), *logits.tensor(), int64_t{count}, where);
}

Tensor permutation(const Tensor& seed, Integer n, Location where) {
  if (n < 0) fail(where, cat("random::permutation: ", int64_t{n}, " numbers cannot be counted"));
  static const auto& formula = compiled<Tensor(Tensor, int64_t)>(permutation_formula, "random_permutation");
  return formula(checked_seed(seed, "random::permutation", where), int64_t{n}, where);
}

}  // namespace random

namespace {

Tensor initial_state(uint64_t seed) { return Tensor(std::array<uint64_t, 3>{0, 0, seed}); }

/// How many blocks of the stream a number takes, as TensorFlow counts.
constexpr uint64_t kBlocksOfANumber = 256;

/// The state behind `blocks` more, at once.
Tensor advanced(const Tensor& state, uint64_t blocks) {
  const auto words = state.data<uint64_t>();
  const uint64_t low = words[0] + blocks;
  return Tensor(std::array<uint64_t, 3>{low, words[1] + (low < blocks ? 1 : 0), words[2]});
}

}  // namespace

Generator::Generator(uint64_t seed, Location where) {
  state_.build([seed] { return initial_state(seed); }, where);
}

Tensor Generator::next(Integer count, Location where) const {
  if (count < 0) fail(where, cat("Generator::next: ", int64_t{count}, " numbers cannot be drawn"));
  if (!state_.built()) state_.build([] { return initial_state(random::next_seed()); }, where);
  const uint64_t blocks = kBlocksOfANumber * static_cast<uint64_t>(int64_t{count});
  if (detail::Trace::current()) {
    const Tensor state = state_.value(where);
    const Scope scope("generator", where);
    state_.assign(Operand(advanced_formula(state, blocks), where));
    return state;
  }
  detail::VariableCell& cell = *detail::VariableAccess::get(state_);
  while (true) {
    Tensor state = cell.read();
    Tensor after = advanced(state, blocks);
    if (cell.replace(detail::TensorAccess::get(state), after)) return state;
  }
}

Tensor Generator::bits(const Shape& shape, DType dtype, Location where) const {
  return random::bits(next(shape.product(), where), shape, dtype, where);
}

Tensor Generator::uniform(const Shape& shape, UniformOptions options, Location where) const {
  return random::uniform(next(shape.product(), where), shape, options, where);
}

Tensor Generator::uniform_int(const Shape& shape, Integer low, Integer high, DType dtype, Location where) const {
  return random::uniform_int(next(shape.product(), where), shape, low, high, dtype, where);
}

Tensor Generator::normal(const Shape& shape, NormalOptions options, Location where) const {
  return random::normal(next(shape.product(), where), shape, options, where);
}

Tensor Generator::truncated_normal(const Shape& shape, NormalOptions options, Location where) const {
  return random::truncated_normal(next(shape.product(), where), shape, options, where);
}

Tensor Generator::bernoulli(const Shape& shape, double probability, Location where) const {
  return random::bernoulli(next(shape.product(), where), shape, probability, where);
}

Tensor Generator::categorical(const Operand& logits, Integer count) const {
  const int64_t numbers = detail::tensor_in(logits, "random::categorical").size() * int64_t{count};
  return random::categorical(next(numbers, logits.where()), logits, count);
}

Tensor Generator::permutation(Integer n, Location where) const {
  return random::permutation(next(n, where), n, where);
}

}  // namespace etch
