// Threads that start together, for tests.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

namespace etch {

inline constexpr int kThreads = 8;

/// Runs `body(thread)` on all threads, which start together.
template <class Body>
void run_on_threads(Body body) {
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      ready.fetch_add(1);
      while (ready.load() < kThreads) std::this_thread::yield();
      body(t);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace etch
