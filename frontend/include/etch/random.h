// Random numbers: Generator, the forms without state, and the default seed.
#pragma once

#include <cstdint>

#include "etch/module.h"
#include "etch/ops.h"
#include "etch/tensor.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {

struct UniformOptions {
  double low = 0;
  double high = 1;
  DType dtype = DType::f32;  // a float
};

struct NormalOptions {
  double mean = 0;
  double stddev = 1;
  DType dtype = DType::f32;  // a float
};

// Random numbers are a formula over the index of an element: ten rounds of Philox 4x32 (Salmon et al., "Parallel Random
// Numbers: As Easy as 1, 2, 3", 2011) on a counter and a key, so they fuse with what uses them, and no thread, no order of
// execution and no way of running changes a bit. A seed is a u64[3], the lower and the upper half of the counter and the key,
// as the state of TensorFlow's Generator of algorithm 'philox'; or a number, the key of counter 0. The same seed gives the same
// numbers. bits, uniform, uniform_int and normal are those that TensorFlow makes of it, normal up to rounding. All are computed
// from their seed alone; no gradient passes.
namespace random {

/// Seeds what asks for a default seed from here on: generators, layers and initialisers that were given none, in the order in
/// which they first need one. Without it these differ from run to run.
void set_seed(uint64_t seed);
/// A default seed, another one at each call.
[[nodiscard]] uint64_t next_seed();

/// Random bits, u32 or u64: word i of the stream, or words 2 i and 2 i + 1.
[[nodiscard]] Tensor bits(const Tensor& seed, const Shape& shape, DType dtype = DType::u32,
                          Location where = Location::current());
/// Uniform in low <= x < high: low + (high - low) * u, where u has as many random bits as the dtype has digits. Error for an
/// integer dtype.
[[nodiscard]] Tensor uniform(const Tensor& seed, const Shape& shape, UniformOptions options = {},
                             Location where = Location::current());
/// Integers in low <= x < high, of 32 or 64 bits: low + bits % (high - low), so that those below are a little more frequent
/// where high - low is no power of 2. Error for an empty range.
[[nodiscard]] Tensor uniform_int(const Tensor& seed, const Shape& shape, Integer low, Integer high,
                                 DType dtype = DType::i32, Location where = Location::current());
/// Normal, by Box and Muller's transform of two uniform numbers.
[[nodiscard]] Tensor normal(const Tensor& seed, const Shape& shape, NormalOptions options = {},
                            Location where = Location::current());
/// Normal, and at most two standard deviations from the mean: the inverse of the distribution of one uniform number, where
/// TensorFlow draws again what lies beyond.
[[nodiscard]] Tensor truncated_normal(const Tensor& seed, const Shape& shape, NormalOptions options = {},
                                      Location where = Location::current());
/// True with a probability, as bool. Error for one outside of 0..1.
[[nodiscard]] Tensor bernoulli(const Tensor& seed, const Shape& shape, double probability,
                               Location where = Location::current());
/// `count` indices along the last axis of unnormalised log-probabilities, which it takes the place of, as i64 (TensorFlow's
/// random.categorical): the largest of the logits plus Gumbel noise.
[[nodiscard]] Tensor categorical(const Tensor& seed, const Operand& logits, Integer count);
/// 0 .. n-1 in random order, i64.
[[nodiscard]] Tensor permutation(const Tensor& seed, Integer n, Location where = Location::current());

}  // namespace random

/// A stream of random numbers. Its state is a variable: copies share it, a traced function moves it on at each call, and as a
/// member of a module it is among the variables, which training does not change. Each call takes what comes next, so the same
/// seed and the same calls give the same numbers. They are those of tf.random.Generator.from_state([0, 0, seed], 'philox'), which
/// goes on by 256 for each element. (TensorFlow's from_seed makes a counter of the seed, so that streams of neighbours overlap;
/// it is the state {seed, 0, 0}.)
class Generator {
 public:
  using RandomState = void;
  ETCH_MEMBERS(state_)

  /// Asks for a default seed when it first gives numbers (random::set_seed).
  Generator() = default;
  explicit Generator(uint64_t seed, Location where = Location::current());

  // See etch::random.
  [[nodiscard]] Tensor bits(const Shape& shape, DType dtype = DType::u32, Location where = Location::current()) const;
  [[nodiscard]] Tensor uniform(const Shape& shape, UniformOptions options = {}, Location where = Location::current()) const;
  [[nodiscard]] Tensor uniform_int(const Shape& shape, Integer low, Integer high, DType dtype = DType::i32,
                                   Location where = Location::current()) const;
  [[nodiscard]] Tensor normal(const Shape& shape, NormalOptions options = {}, Location where = Location::current()) const;
  [[nodiscard]] Tensor truncated_normal(const Shape& shape, NormalOptions options = {},
                                        Location where = Location::current()) const;
  [[nodiscard]] Tensor bernoulli(const Shape& shape, double probability, Location where = Location::current()) const;
  [[nodiscard]] Tensor categorical(const Operand& logits, Integer count) const;
  [[nodiscard]] Tensor permutation(Integer n, Location where = Location::current()) const;

  /// A seed of the forms without state, for `count` numbers; the generator goes on behind them.
  [[nodiscard]] Tensor next(Integer count, Location where = Location::current()) const;
  /// The counter and the key, u64[3]; to be read, or assigned to begin elsewhere.
  const Variable& state() const { return state_; }

 private:
  Variable state_ = Variable::deferred({.name = "generator", .trainable = false});
};

}  // namespace etch
