// Forked children: they compile and run on their own, and neither they nor their parents see a difference.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "etch/etch.h"

namespace etch {
namespace {

/// A process that runs `body` and says how it went.
class Child {
 public:
  explicit Child(const std::function<std::string()>& body) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      alarm(120);  // a child that hangs ends by a signal
      std::string text;
      try {
        text = body();
      } catch (const std::exception& error) {
        text = std::string("threw ") + error.what();
      }
      if (write(ends[1], text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(2);
      _exit(0);
    }
    close(ends[1]);
    from_ = ends[0];
  }

  /// What the body returned.
  std::string result() {
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(from_, buffer, sizeof buffer)) > 0;) text.append(buffer, n);
    close(from_);
    int status = 0;
    waitpid(pid_, &status, 0);
    if (WIFSIGNALED(status)) return "died of signal " + std::to_string(WTERMSIG(status));
    return text;
  }

 private:
  pid_t pid_ = -1;
  int from_ = -1;
};

std::string text_of(const Tensor& tensor) {
  const auto bytes = std::as_bytes(tensor.data<float>());
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// x, changed by as many ops as the bits of `number`: each number is a structure, a kernel and a result of its own.
Tensor changed(Tensor x, int number) {
  for (int bit = 0; bit < 10; ++bit) x = number >> bit & 1 ? x * 1.25f : x + 0.5f;
  return x;
}

Tensor some_values(int64_t n) { return iota({n}, 0, DType::f32) * 0.001f - 0.3f; }

/// Threads that compile and run, and check what comes out, for as long as it stands.
class BusyThreads {
 public:
  BusyThreads() {
    for (int t = 0; t < 3; ++t) {
      threads_.emplace_back([this, t] {
        const Tensor x = some_values(100);
        for (int i = 0; !stop_; ++i) {
          const int number = 512 + (3 * i + t) % 512;
          auto f = function([number](Tensor x) { return changed(x, number); });
          if (text_of(f(x)) != text_of(changed(x, number))) ++wrong_;
        }
      });
    }
  }
  ~BusyThreads() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    EXPECT_EQ(wrong_, 0) << "the parent's other threads";
  }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int> wrong_{0};
  std::vector<std::thread> threads_;
};

TEST(Fork, ParentAndChildCompileAndRunWhileOtherThreadsCompile) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "that of g++ 12 leaves its allocator locked in a child if another thread is in it";
#endif
  const Tensor x = some_values(1000);
  auto old = function([](Tensor x) { return x * x + 1.0f; });
  const std::string old_result = text_of(old(x));
  BusyThreads busy;
  for (int round = 0; round < 6; ++round) {
    const auto compile_all = [&] {
      std::string results = text_of(old(x));
      for (int i = 0; i < 5; ++i) {
        auto f = function([=](Tensor x) { return changed(tanh(x), 5 * round + i); });
        results += text_of(f(x)) + text_of(f(some_values(77)));
      }
      return results + text_of(old(x));
    };
    Child child(compile_all);
    const std::string here = compile_all();
    EXPECT_EQ(child.result(), here);
    EXPECT_EQ(here.substr(0, old_result.size()), old_result);
  }
}

TEST(Fork, WhatTheParentFreesAndCompilesAnewDoesNotTouchTheChild) {
  const Tensor x = some_values(100);
  auto f = std::make_unique<Function<Tensor(Tensor)>>(function([](Tensor x) { return cos(x) * 3.0f; }));
  const std::string expected = text_of((*f)(x));
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  Child child([&] {
    char byte;
    if (read(go[0], &byte, 1) != 1) return std::string("no byte");
    return text_of((*f)(x));
  });
  f.reset();
  for (int i = 0; i < 40; ++i) function([i](Tensor x) { return changed(sin(x), i); })(x);
  ASSERT_EQ(write(go[1], "x", 1), 1);
  EXPECT_EQ(child.result(), expected);
  close(go[0]);
  close(go[1]);
}

TEST(Fork, AChildOfAProcessThatUsedThreadsHasTheSameBits) {
  auto f = function([](Tensor x) { return sum(exp(x) * x, {0}); }, {.threads = 2});
  const Tensor x = reshape(some_values(1 << 20), {1 << 10, 1 << 10});
  const std::string here = text_of(f(x));
  Child child([&] { return text_of(f(x)) + text_of(f(x + 0.0f)); });
  EXPECT_EQ(child.result(), here + here);
}

TEST(Fork, AChildDoesNotWaitForWhatOthersWereTracingAndBuilding) {
  std::atomic<bool> tracing{false}, leave{false};
  auto f = function([&](Tensor x) {
    tracing = true;
    while (!leave) std::this_thread::yield();
    return x * 2.0f;
  });
  const Tensor x = some_values(10);
  std::thread other([&] { f(x); });
  while (!tracing) std::this_thread::yield();
  Child child([&] {
    leave = true;
    return text_of(f(x)) + text_of(f(some_values(11)));
  });
  EXPECT_EQ(child.result(), text_of(x * 2.0f) + text_of(some_values(11) * 2.0f));
  leave = true;
  other.join();
}

TEST(Fork, InsideOfATrace) {
  const Tensor x = some_values(10);
  std::unique_ptr<Child> child;
  auto f = function([&](Tensor x) {
    if (!child) {
      auto g = function([](Tensor x) { return changed(x, 3); });
      child = std::make_unique<Child>([&] { return text_of(g(some_values(5))); });
    }
    return x - 1.0f;
  });
  EXPECT_EQ(text_of(f(x)), text_of(x - 1.0f));
  EXPECT_NE(child->result(), "");
}

TEST(Fork, ChildrenOfChildren) {
  const Tensor x = some_values(50);
  const std::string expected = text_of(changed(x, 77));
  Child child([&] {
    Child grandchild([&] { return text_of(function([](Tensor x) { return changed(x, 77); })(x)); });
    const std::string here = text_of(function([](Tensor x) { return changed(x, 77); })(x));
    return grandchild.result() == here ? here : "they differ";
  });
  EXPECT_EQ(child.result(), expected);
}

TEST(Fork, AChildFindsVariablesWholeAndFreeWhileAnotherThreadUpdatesThem) {
  const Variable a(zeros(1 << 16)), b(zeros(1 << 16));
  auto step = function([&] {
    a += 1;
    b += 1;
  }, {.threads = 1});
  step();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) step();
  });
  for (int round = 0; round < 10; ++round) {
    Child child([&] {
      const std::vector<float> before = a.value().to_vector<float>();
      if (before != b.value().to_vector<float>() || before != std::vector<float>(1 << 16, before[0])) return "torn";
      step();
      return a.value().to_vector<float>()[0] == before[0] + 1 ? "whole" : "wrong";
    });
    EXPECT_EQ(child.result(), "whole");
  }
  stop = true;
  other.join();
}

TEST(Fork, WaitsForACallWhoseUserCodeMakesAVariable) {
  Variable v(zeros(4));
  auto step = function([&](Tensor d) {
    v.assign(v + d);
    print("v", v);
  });
  step(ones(4));
  std::atomic<bool> prints{false}, made{false};
  const ScopedPrintSink sink([&](std::string_view) {
    prints = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the fork waits for v by now
    const Variable log(zeros(1));
    made = true;
  });
  std::thread other([&] { step(ones(4)); });
  while (!prints) std::this_thread::yield();
  Child child([&] { return made ? text_of(v.value()) : "forked with v taken"; });
  EXPECT_EQ(child.result(), text_of(full(4, 2.0f)));
  other.join();
}

}  // namespace
}  // namespace etch
