// Threads with small stacks: everything works on 64 KiB, and nothing is written beyond the guard page.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>

#include "etch/etch.h"

namespace etch {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kWatched = size_t{2} << 20;  // memory of others below the guard page: a frame may step over that

void* call(void* f) {
  (*static_cast<std::function<void()>*>(f))();
  return nullptr;
}

/// Runs `body` on a thread with a stack of so many bytes. Nothing below its guard page may change.
void run_on_stack(size_t bytes, std::function<void()> body) {
  const size_t total = kWatched + kPage + bytes;
  void* memory = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* watched = static_cast<unsigned char*>(memory);
  std::memset(watched, 0x5c, kWatched);
  ASSERT_EQ(mprotect(watched + kWatched, kPage, PROT_NONE), 0);

  std::string error;
  std::function<void()> safely = [&] {
    try {
      body();
    } catch (const std::exception& e) {
      error = e.what();
    }
  };
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstack(&attributes, watched + kWatched + kPage, bytes), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, call, &safely), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  EXPECT_EQ(error, "");
  EXPECT_TRUE(std::all_of(watched, watched + kWatched, [](unsigned char c) { return c == 0x5c; }))
      << "memory below the guard page was written";
  munmap(memory, total);
}

constexpr size_t kSmall = 64 << 10;

// Sanitizers make frames several times larger.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStack = 16 * kSmall;
#else
constexpr size_t kStack = kSmall;
#endif

TEST(SmallStack, EagerOpsCompileAndRun) {
  run_on_stack(kStack, [] {
    const Tensor x({{1.0f, 2.0f}, {3.0f, 4.0f}});
    EXPECT_EQ((x * 2 + 1).to_vector<float>(), (std::vector<float>{3, 5, 7, 9}));
    EXPECT_EQ(softmax(zeros({2, 2})).to_vector<float>(), (std::vector<float>(4, 0.5f)));
    EXPECT_EQ(sum(x, {0}).to_vector<float>(), (std::vector<float>{4, 6}));
  });
}

TEST(SmallStack, ProductsOfEverySizeAndDtype) {
  for (DType dtype : {DType::f32, DType::f64, DType::i64}) {
    run_on_stack(kStack, [dtype] {
      for (int64_t m : {1, 2, 70, 300}) {
        for (int64_t n : {1, 2, 70, 600}) {
          const Tensor product = matmul(ones({m, 300}, dtype), ones({300, n}, dtype));
          EXPECT_TRUE(all(product == cast(full({1}, 300.0f), dtype)).item<bool>()) << m << " " << n;
        }
      }
    });
  }
}

TEST(SmallStack, TraceCompileRunAndReport) {
  run_on_stack(kStack, [] {
    auto f = function([](Tensor x, Tensor w) {
      Tensor y = matmul(x, w);
      y = y - max(y, {1}, true);
      return std::pair(softmax(tanh(y)), stddev(y, {0}));
    });
    f(ones({30, 40}), ones({40, 50}));
    EXPECT_NE(f.explain(ones({30, 40}), ones({40, 50})).find("Schedule"), std::string::npos);
    EXPECT_NE(f.concrete(ones({30, 40}), ones({40, 50})).text("assembly"), "");
  });
}

TEST(SmallStack, ALongFunction) {
  run_on_stack(kStack, [] {
    auto f = function([](Tensor x) {
      for (int i = 0; i < 3000; ++i) x = i % 3 == 0 ? x * 0.5f : i % 3 == 1 ? x + 1.0f : x - x * 0.25f;
      return sum(x);
    });
    EXPECT_GT(f(ones({100})).item<float>(), 0);
  });
}

TEST(SmallStack, Errors) {
  run_on_stack(kStack, [] {
    EXPECT_THROW(ones({2}) + ones({3}), Error);
    EXPECT_THROW(function([](Tensor x) { return matmul(x, x); })(ones({2, 3})), Error);
  });
}

}  // namespace
}  // namespace etch
