// Packs: copies of operands of products in the order in which tiles read them. A pack belongs to the buffer that it was made
// from, and is dropped with it, or when the buffer is written.
#pragma once

#include <cstdint>

#include "etch/buffer.h"
#include "runtime/rounding.h"

namespace etch {

/// The second operand of a product in memory, and the panels that tiles read: so many columns side by side, step after step,
/// with zeros behind the last column. Lengths and strides are counted in elements.
struct PackLayout {
  int64_t offset = 0;  // of the first element
  int64_t steps = 0, columns = 0;
  int64_t step_stride = 0, column_stride = 0;
  int64_t panel = 0;  // columns
  int64_t depth = 0;  // steps of a block: all panels have them one after the other, before those of the next block
  int64_t element_bytes = 0;
  bool operator==(const PackLayout&) const = default;

  /// Steps that are left out behind those of a block in each panel, so that panels fall into different sets of a cache.
  static constexpr int64_t kGap = 2;

  int64_t panels() const { return ceil_div(columns, panel); }
  int64_t blocks() const { return ceil_div(steps, depth); }
  int64_t bytes() const { return panels() * panel * (steps + kGap * blocks()) * element_bytes; }
};

/// Smaller buffers have no packs: their operands stay in the first caches as they are.
inline constexpr int64_t kFewestPackedBytes = int64_t{128} << 10;

/// All packs of the process together take no more.
inline constexpr int64_t kMostPackedBytes = int64_t{512} << 20;

/// The pack of what lies at `data` in a buffer. The first time that one asks there is none, so that what is asked for once is
/// not packed; nothing, too, while another thread makes it, and where memory is short.
Buffer find_pack(const Buffer& of, const void* data, const PackLayout& layout);

/// Forgets the packs of a buffer that is about to be written.
void drop_packs(const Buffer& of) noexcept;

/// Forgets all packs. What is asked for again is packed again.
void drop_all_packs() noexcept;

/// What all packs take now.
int64_t packed_bytes();

/// Writes the panels.
void write_pack(const void* data, const PackLayout& layout, void* panels);

/// Forgets the packs of memory that nobody holds any more: another buffer may get it.
void free_packs(const void* data, int64_t bytes) noexcept;

}  // namespace etch
