// Measures the greatest error, in ULP, of the unary functions of compiler/math against MPFR.
//
// accuracy [--stride=N] [--threads=N] [--double=N] [FUNCTION...]
//   --stride=N   every N-th float of all 2^32 (default 1: all)
//   --double=N   N random doubles, over all bit patterns and over [-64, 64] (default 1000000; 0: none)
// Prints a Markdown table. To be quick, a float is checked with MPFR only if the double version of the function, which
// the last columns check on its own, finds about as much error as the worst so far; the error reported is MPFR's.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/math/unary_functions.h"

namespace {

using etch::math_test::kUnaryFunctions;
using etch::math_test::ulp_error;
using etch::math_test::UnaryFunction;

struct Worst {
  double error = 0;
  double at = 0;
};

void take(Worst& worst, double error, double at) {
  if (error > worst.error) worst = {error, at};
}

/// Runs work(begin, end) over [0, count) in `threads` pieces and returns the worst result.
template <class Work>
Worst in_threads(uint64_t count, int threads, Work work) {
  std::vector<Worst> results(threads);
  std::vector<std::thread> pool;
  for (int i = 0; i < threads; ++i) {
    pool.emplace_back([&, i] { results[i] = work(count * i / threads, count * (i + 1) / threads); });
  }
  for (std::thread& thread : pool) thread.join();
  return *std::max_element(results.begin(), results.end(), [](auto& a, auto& b) { return a.error < b.error; });
}

/// The error of got against a double result, or -1 if they lie too close to a special case to say.
double screened_error(float got, double reference) {
  if (std::isnan(got) || std::isnan(reference)) return std::isnan(got) && std::isnan(reference) ? 0 : -1;
  if (std::signbit(got) != std::signbit(reference)) return -1;
  if (std::isinf(got)) return std::fabs(reference) >= 0x1p129 ? 0 : -1;
  if (got == 0) return std::fabs(reference) <= 0x1p-151 ? 0 : -1;
  if (!std::isfinite(reference) || reference == 0) return -1;
  int exponent = std::max(std::ilogb(reference), -126) - 23;
  return std::fabs(std::ldexp(static_cast<double>(got) - reference, -exponent));
}

class Reference {
 public:
  explicit Reference(const UnaryFunction& f) : f_(f) {
    mpfr_init2(x_, 64);
    mpfr_init2(y_, 160);
  }
  ~Reference() {
    mpfr_clear(x_);
    mpfr_clear(y_);
  }
  template <class T>
  double error(T x, T got) {
    mpfr_set_d(x_, static_cast<double>(x), MPFR_RNDN);
    f_.reference(y_, x_);
    return ulp_error(got, y_, f_.zeros(static_cast<double>(x)));
  }

 private:
  const UnaryFunction& f_;
  mpfr_t x_, y_;
};

Worst check_f32(const UnaryFunction& f, uint64_t stride, int threads) {
  return in_threads((1ull << 32) / stride, threads, [&](uint64_t begin, uint64_t end) {
    Reference reference(f);
    Worst worst;
    for (uint64_t i = begin; i < end; ++i) {
      float x = std::bit_cast<float>(static_cast<uint32_t>(i * stride));
      float got = f.f32(x);
      // The double version is far more accurate than float; what it accepts with a wide margin need not go to MPFR.
      double screened = screened_error(got, f.f64(x));
      if (screened >= 0 && screened < worst.error * 0.999) continue;
      take(worst, reference.error(x, got), x);
    }
    return worst;
  });
}

Worst check_f64(const UnaryFunction& f, uint64_t count, int threads) {
  return in_threads(count, threads, [&](uint64_t begin, uint64_t end) {
    Reference reference(f);
    Worst worst;
    std::mt19937_64 random(begin + 1);
    for (uint64_t i = begin; i < end; ++i) {
      double x = std::bit_cast<double>(random());
      if (i % 2)
        x = std::ldexp(static_cast<double>(static_cast<int64_t>(random())), -57 - static_cast<int>(random() % 12));
      take(worst, reference.error(x, f.f64(x)), x);
    }
    return worst;
  });
}

bool option(const char* argument, const char* name, uint64_t& value) {
  size_t length = std::strlen(name);
  if (std::strncmp(argument, name, length) != 0) return false;
  value = std::strtoull(argument + length, nullptr, 10);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t stride = 1, doubles = 1000000, threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    if (option(argv[i], "--stride=", stride) || option(argv[i], "--double=", doubles) ||
        option(argv[i], "--threads=", threads)) {
      continue;
    }
    if (argv[i][0] == '-') {
      std::fprintf(stderr, "accuracy: unknown option %s\n", argv[i]);
      return 2;
    }
    names.push_back(argv[i]);
  }
  if (stride == 0 || threads == 0) {
    std::fprintf(stderr, "accuracy: --stride and --threads must be at least 1\n");
    return 2;
  }
  std::printf("| function | f32 max ULP | at | f64 max ULP | at |\n|---|---|---|---|---|\n");
  for (const UnaryFunction& f : kUnaryFunctions) {
    if (!names.empty() && std::find(names.begin(), names.end(), f.name) == names.end()) continue;
    Worst single = check_f32(f, stride, static_cast<int>(threads));
    Worst full = check_f64(f, doubles, static_cast<int>(threads));
    std::printf("| %s | %.3f | %.9g | %.3f | %.17g |\n", std::string(f.name).c_str(), single.error, single.at,
                full.error, full.at);
    std::fflush(stdout);
  }
}
