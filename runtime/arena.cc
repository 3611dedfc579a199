// The scratch memory of runs.
#include "runtime/arena.h"

#include <atomic>

#include "runtime/memory.h"

namespace etch {
namespace {

// Large pieces are kept by memory::free. A small one is kept here, in one of these places.
constexpr int64_t kLargePiece = int64_t{256} << 10;
constexpr int kPlaces = 64;

/// A piece that is kept begins with its size.
struct Kept {
  int64_t capacity;
};

constinit std::atomic<Kept*> places[kPlaces] = {};
constinit std::atomic<int64_t> in_use{0};
constinit std::atomic<int64_t> kept{0};

// Where this thread looks first. Without a destructor, so that it serves as long as the thread runs anything.
[[gnu::tls_model("initial-exec")]] constinit thread_local int first_place = -1;
constinit std::atomic<int> next_first_place{0};

int find_first_place() {
  if (first_place < 0) first_place = next_first_place.fetch_add(1, std::memory_order_relaxed) % kPlaces;
  return first_place;
}

Kept* take_from(std::atomic<Kept*>& place) {
  if (place.load(std::memory_order_relaxed) == nullptr) return nullptr;
  Kept* piece = place.exchange(nullptr, std::memory_order_acquire);
  if (piece != nullptr) kept.fetch_sub(piece->capacity, std::memory_order_relaxed);
  return piece;
}

void keep(void* data, int64_t capacity) noexcept {
  Kept* piece = static_cast<Kept*>(data);
  piece->capacity = capacity;
  const int first = find_first_place();
  for (int i = 0; i < kPlaces; ++i) {
    Kept* nothing = nullptr;
    kept.fetch_add(capacity, std::memory_order_relaxed);
    if (places[(first + i) % kPlaces].compare_exchange_strong(nothing, piece, std::memory_order_release)) return;
    kept.fetch_sub(capacity, std::memory_order_relaxed);
  }
  memory::free(data, capacity);
}

}  // namespace

ScratchArena::ScratchArena(int64_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  if (bytes < kLargePiece) {
    const int first = find_first_place();
    for (int i = 0; i < kPlaces && data_ == nullptr; ++i) {
      Kept* piece = take_from(places[(first + i) % kPlaces]);
      if (piece == nullptr) continue;
      const int64_t capacity = piece->capacity;
      if (capacity >= bytes) {
        data_ = reinterpret_cast<std::byte*>(piece);
        capacity_ = capacity;
      } else {
        memory::free(piece, capacity);  // the larger one takes its place afterwards
      }
      break;
    }
  }
  if (data_ == nullptr) {
    bool fresh = false;
    data_ = static_cast<std::byte*>(memory::allocate(bytes, &fresh));
    capacity_ = bytes;
    if (fresh) memory::count_allocation();
  }
  memory::count_use(bytes);
  in_use.fetch_add(bytes, std::memory_order_relaxed);
}

ScratchArena::~ScratchArena() {
  if (data_ == nullptr) return;
  memory::count_end_of_use(bytes_);
  in_use.fetch_sub(bytes_, std::memory_order_relaxed);
  if (capacity_ >= kLargePiece) {
    memory::free(data_, capacity_);
  } else {
    keep(data_, capacity_);
  }
}

int64_t ScratchArena::bytes_in_use() { return in_use.load(std::memory_order_relaxed); }

int64_t ScratchArena::bytes_kept() { return kept.load(std::memory_order_relaxed); }

void ScratchArena::free_kept() noexcept {
  for (std::atomic<Kept*>& place : places) {
    if (Kept* piece = take_from(place)) memory::free(piece, piece->capacity);
  }
}

}  // namespace etch
