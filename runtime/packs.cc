// Packs of buffers: their list, and how they are made.
#include "runtime/packs.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "runtime/flat_map.h"
#include "runtime/fork.h"

namespace etch {

namespace {

// Products with other tiles, or of another part of the same buffer.
constexpr size_t kMostOfBuffer = 8;

struct Entry {
  const void* data = nullptr;
  PackLayout layout;
  int64_t making = 0;  // the number of what makes its panels, or tried to; 0 if nobody asked for them again
  Buffer panels = {};
};
/// What the elements of a buffer were packed to, and what was asked for.
using Entries = std::vector<Entry>;

/// By the memory of the buffer, as long as that holds the same elements.
struct Packs {
  std::mutex mutex;
  FlatMap<const void*, Entries> of;
  int64_t makings = 0;  // so far

  /// In a child of fork(): whoever was making or freeing panels is not there. Returns the bytes that are.
  int64_t forget_makings() {
    int64_t bytes = 0;
    for (auto& [memory, entries] : of) {
      for (Entry& entry : entries) {
        entry.making = 0;
        bytes += entry.panels.bytes();
      }
    }
    return bytes;
  }
};

/// Never destroyed: buffers may be freed during static destruction.
Packs& packs() {
  static Packs* const all = new Packs;
  return *all;
}

constinit std::atomic<int64_t> packed{0};   // bytes
constinit std::atomic<int64_t> buffers{0};  // that have entries

const ForkHandler fork_handler(
    ForkOrder::memory, nullptr,
    [](void*) {
      packs().mutex.lock();
      return true;
    },
    [](void*) { packs().mutex.unlock(); },
    [](void*) {
      packed.store(packs().forget_makings());
      packs().mutex.unlock();
    });

Entry* find(Entries& entries, const void* data, const PackLayout& layout) {
  const auto found = std::ranges::find_if(entries, [&](const Entry& entry) {
    return entry.data == data && entry.layout == layout;
  });
  return found == entries.end() ? nullptr : &*found;
}

/// Memory within the bound, or nothing.
Buffer allocate(int64_t bytes) {
  if (packed.fetch_add(bytes) + bytes <= kMostPackedBytes) {
    try {
      return Buffer::allocate(bytes);
    } catch (const std::bad_alloc&) {
    }
  }
  packed.fetch_sub(bytes);
  return {};
}

/// Takes the entries of some memory away.
void forget(const void* data) {
  Entries entries;  // freed without the lock
  {
    std::lock_guard lock(packs().mutex);
    const auto found = packs().of.find(data);
    if (found == packs().of.end()) return;
    entries = std::move(found->second);
    packs().of.erase(found);
    buffers.fetch_sub(1, std::memory_order_relaxed);
  }
  for (const Entry& entry : entries) packed.fetch_sub(entry.panels.bytes());
}

template <class T>
void write_panels(const T* from, const PackLayout& l, T* to) {
  for (int64_t start = 0; start < l.steps; start += l.depth) {
    const int64_t depth = std::min(l.depth, l.steps - start), next_panel = (depth + PackLayout::kGap) * l.panel;
    for (int64_t step = 0; step < depth; ++step) {
      const T* row = from + (start + step) * l.step_stride;
      T* panel = to + step * l.panel;
      for (int64_t column = 0; column < l.columns; column += l.panel, panel += next_panel) {
        const int64_t some = std::min(l.panel, l.columns - column);
        if (l.column_stride == 1) {
          std::memcpy(panel, row + column, static_cast<size_t>(some) * sizeof(T));
        } else {
          for (int64_t i = 0; i < some; ++i) panel[i] = row[(column + i) * l.column_stride];
        }
        std::fill(panel + some, panel + l.panel, T{});
      }
    }
    to += l.panels() * next_panel;
  }
}

}  // namespace

void write_pack(const void* data, const PackLayout& layout, void* panels) {
  if (layout.element_bytes == 4) {
    write_panels(static_cast<const uint32_t*>(data) + layout.offset, layout, static_cast<uint32_t*>(panels));
  } else {
    write_panels(static_cast<const uint64_t*>(data) + layout.offset, layout, static_cast<uint64_t*>(panels));
  }
}

Buffer find_pack(const Buffer& of, const void* data, const PackLayout& layout) {
  if (of.bytes() < kFewestPackedBytes) return {};
  int64_t making = 0;
  {
    std::lock_guard lock(packs().mutex);
    const auto [entries, is_new] = packs().of.try_emplace(of.data());
    if (is_new) buffers.fetch_add(1, std::memory_order_relaxed);
    Entry* known = find(entries->second, data, layout);
    if (known == nullptr) {
      if (entries->second.size() < kMostOfBuffer) entries->second.push_back({data, layout});
      return {};
    }
    if (known->panels || known->making > 0) return known->panels;
    making = known->making = ++packs().makings;
  }
  // Others go on meanwhile, without it.
  Buffer panels = allocate(layout.bytes());
  if (panels) write_pack(data, layout, panels.data());
  std::lock_guard lock(packs().mutex);
  const auto entries = packs().of.find(of.data());
  Entry* known = entries == packs().of.end() ? nullptr : find(entries->second, data, layout);
  if (known == nullptr || known->making != making) {
    packed.fetch_sub(panels.bytes());  // dropped meanwhile: they serve this call
  } else {
    known->panels = panels;  // where there was no memory, nobody tries again
  }
  return panels;
}

void drop_packs(const Buffer& of) noexcept {
  if (of) free_packs(of.data(), of.bytes());
}

void free_packs(const void* data, int64_t bytes) noexcept {
  const bool may_have = bytes >= kFewestPackedBytes && buffers.load(std::memory_order_relaxed) > 0;
  if (may_have) [[unlikely]] forget(data);
}

void drop_all_packs() noexcept {
  if (buffers.load(std::memory_order_relaxed) == 0) return;
  FlatMap<const void*, Entries> dropped;  // freed without the lock
  {
    std::lock_guard lock(packs().mutex);
    std::swap(dropped, packs().of);
    buffers.store(0, std::memory_order_relaxed);
  }
  for (const auto& [memory, entries] : dropped) {
    for (const Entry& entry : entries) packed.fetch_sub(entry.panels.bytes());
  }
}

int64_t packed_bytes() { return packed.load(); }

}  // namespace etch
