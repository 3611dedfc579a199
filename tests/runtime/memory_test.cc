// Memory of buffers and of runs: what is kept, what is counted, what is given back.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "etch/buffer.h"
#include "runtime/arena.h"

namespace etch {
namespace {

TEST(ScratchArena, IdleThreadsKeepNoMemoryOfTheirOwn) {
  trim_memory();
  const MemoryStats before = memory_stats();
  std::atomic<int> done{0};
  std::atomic<bool> leave{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 12; ++t) {
    threads.emplace_back([&] {
      { ScratchArena arena(int64_t{53} << 20); }
      { ScratchArena arena(int64_t{100} << 10); }
      ++done;
      while (!leave) std::this_thread::yield();
    });
  }
  while (done < 12) std::this_thread::yield();
  const MemoryStats idle = memory_stats();
  EXPECT_EQ(idle.live_bytes, before.live_bytes);
  EXPECT_EQ(idle.scratch_bytes, before.scratch_bytes);
  EXPECT_LE(idle.cached_bytes, int64_t{530} << 20) << "what is kept is bounded for all threads together";
  trim_memory();
  EXPECT_EQ(memory_stats().cached_bytes, 0);
  leave = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(ScratchArena, IsCountedWhileItStands) {
  const MemoryStats before = memory_stats();
  for (int64_t bytes : {int64_t{1000}, int64_t{3} << 20}) {
    ScratchArena arena(bytes);
    EXPECT_EQ(memory_stats().live_bytes - before.live_bytes, bytes);
    EXPECT_EQ(memory_stats().scratch_bytes - before.scratch_bytes, bytes);
    EXPECT_GE(memory_stats().peak_bytes, before.live_bytes + bytes);
  }
  EXPECT_EQ(memory_stats().live_bytes, before.live_bytes);
}

TEST(ScratchArena, NestedOnesDiffer) {
  ScratchArena outer(5000);
  ScratchArena inner(5000);
  EXPECT_NE(outer.data(), inner.data());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(outer.data()) % Buffer::kAlignment, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(inner.data()) % Buffer::kAlignment, 0u);
}

TEST(Memory, FreedLargeBlocksServeSimilarSizes) {
  for (int64_t bytes : {40'000, 200'000, 1'000'000}) {
    trim_memory();
    void* first = nullptr;
    {
      Buffer buffer = Buffer::allocate(bytes);
      first = buffer.data();
    }
    EXPECT_GE(memory_stats().cached_bytes, bytes);
    const Buffer again = Buffer::allocate(bytes + bytes / 100);
    EXPECT_EQ(again.data(), first);
    EXPECT_EQ(memory_stats().cached_bytes, 0);
  }
}

TEST(Memory, SizesAroundTheLimitsOfLargeBlocks) {
  trim_memory();
  const int64_t live = memory_stats().live_bytes;
  for (int64_t limit : {32 << 10, 256 << 10}) {
    for (int64_t bytes = limit - 130; bytes < limit + 130; ++bytes) {
      const Buffer buffer = Buffer::allocate(bytes);
      static_cast<char*>(buffer.data())[bytes - 1] = 1;
      const ScratchArena arena(bytes);
      arena.data()[bytes - 1] = std::byte{1};
    }
  }
  EXPECT_EQ(memory_stats().live_bytes, live);
}

TEST(Memory, TheOldestBlocksMakeRoom) {
  trim_memory();
  std::vector<Buffer> buffers;
  for (int i = 0; i < 20; ++i) buffers.push_back(Buffer::allocate((int64_t{32} << 20) + i));
  buffers.clear();
  EXPECT_LE(memory_stats().cached_bytes, int64_t{512} << 20);
  EXPECT_GE(memory_stats().cached_bytes, int64_t{400} << 20);
  trim_memory();
  EXPECT_EQ(memory_stats().cached_bytes, 0);
}

uintptr_t place_in_page(const void* data) { return reinterpret_cast<uintptr_t>(data) % 4096; }

std::set<uintptr_t> places_of(int count, int64_t bytes) {
  std::vector<Buffer> buffers;
  std::set<uintptr_t> places;
  for (int i = 0; i < count; ++i) places.insert(place_in_page(buffers.emplace_back(Buffer::allocate(bytes)).data()));
  return places;
}

TEST(Buffers, ThatCachesHoldBeginAtFourPlacesOfAPage) {
  trim_memory();
  EXPECT_EQ(places_of(4, 100'000), (std::set<uintptr_t>{0, 1024, 2048, 3072}));
}

TEST(Buffers, ThatCachesDoNotHoldBeginAtTwoPlacesOfAPage) {
  trim_memory();
  EXPECT_EQ(places_of(8, int64_t{3} << 20), (std::set<uintptr_t>{0, 2048}));
}

TEST(Buffers, OfAKilobyteBeginAtMultiplesOfIt) {
#ifdef __SANITIZE_ADDRESS__
  constexpr int64_t kStep = Buffer::kAlignment;  // a sanitizer watches what lies close behind a block
#else
  constexpr int64_t kStep = Buffer::kPlaceStep;
#endif
  for (int64_t bytes : {1024, 1100, 5000, (32 << 10) - 1}) {
    for (uintptr_t place : places_of(20, bytes)) EXPECT_EQ(place % kStep, 0u) << bytes << " bytes";
  }
}

TEST(Buffers, OfResultsDoNotBeginCloselyBehindAnOperandNorAtARowOfIt) {
  alignas(4096) static std::byte page[4096];
  for (int64_t bytes : {int64_t{50'000}, int64_t{5} << 20}) {
    for (int place = 0; place < 4096; place += 16) {
      const void* const operands[] = {page + place};
      const Buffer result = Buffer::allocate(bytes, operands, 1);
      const uintptr_t distance = (place_in_page(result.data()) - place_in_page(operands[0])) % 4096;
      EXPECT_GE(distance, 1024u) << "operand at " << place;
      EXPECT_LE(distance, 4096u - 128) << "operand at " << place;
      EXPECT_NE(distance % 512, 0u) << "operand at " << place << ", whose rows may begin there";
      std::memset(result.data(), 1, bytes);
    }
  }
}

TEST(Buffers, OfResultsOfManyOperandsBeginWhereLeastIsLost) {
  alignas(4096) static std::byte page[4096];
  const void* const operands[] = {page, page + 64, page + 1024, page + 1088};
  const Buffer result = Buffer::allocate(100'000, operands, 4);
  EXPECT_EQ(place_in_page(result.data()), 3840u);
}

// A static object may run functions in its destructor, after all thread_local objects of this thread are gone.
struct RunsAtExit {
  ~RunsAtExit() {
    ScratchArena arena(10'000);
    if (arena.data() == nullptr) std::abort();
    arena.data()[9'999] = std::byte{1};
  }
};

TEST(ScratchArenaDeathTest, WorksDuringStaticDestruction) {
  EXPECT_EXIT(
      {
        static RunsAtExit runs;
        { ScratchArena arena(20'000); }
        std::exit(7);
      },
      testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace etch
