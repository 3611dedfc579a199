// KernelProgram: the structure of one kernel, all that decides its machine code; the sizes it runs on are data beside it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "compiler/ir/op.h"

namespace etch {

/// What a kernel does along one axis of its domain. Layout, costs, texts and the verifier ask for roles only.
enum class Role : uint8_t {
  batch,    // each index by itself
  row,      // of a product: the rows of its result
  sweep,    // each index by itself: a column of lanes goes along it
  vector,   // lanes lie along it
  reduce,   // folded
  block,    // each index by itself: the blocks of the axis behind it, which is folded; the last block is short
  results,  // folded: what blocks came to; one block of any length
};

constexpr bool is_folded(Role role) { return role == Role::reduce || role == Role::results; }

/// Which emitter a kernel has; see kernels.def.
enum class KernelKind : uint8_t {
#define ETCH_KERNEL(kind, takes) kind,
#include "compiler/schedule/kernels.def"
#undef ETCH_KERNEL
};

std::string_view name(KernelKind kind);

/// The stride of an access along the axis of the lanes; in a product along its vector axis, for the folded one's stride is
/// always data. Small ones and -1 (back) are compiled in, for whole vectors and shuffles serve them, but not in a product,
/// which packs its operands.
enum class Stride : uint8_t { zero, one, two, three, four, back, other };

constexpr Stride stride_class(int64_t stride, bool is_packed = false) {
  if (stride == 0) return Stride::zero;
  if (stride == 1) return Stride::one;
  if (is_packed) return Stride::other;
  if (stride == -1) return Stride::back;
  return stride >= 2 && stride <= 4 ? static_cast<Stride>(stride) : Stride::other;
}

/// 2, 3 or 4; 0 for the other classes.
constexpr int small_step(Stride stride) {
  return stride >= Stride::two && stride <= Stride::four ? static_cast<int>(stride) : 0;
}

/// How a value of the kernel, an index, takes part in an element's address.
enum class Indexed : uint8_t {
  no,
  shared,  // the lanes have one index, and their elements lie at the stride
  lanes,   // each lane has its own
};

/// One buffer that the kernel reads or writes. The element's address is affine in the domain's indices: offset and one
/// stride per axis are sizes. A store of a value per row has stride 0 along the reduced axis.
struct Access {
  DType dtype = DType::f32;
  Stride stride = Stride::one;
  bool uniform = false;  // every stride is 0: one element for the whole kernel
  // A load of elements that are the same everywhere but along the lanes, where they begin again after a period, which
  // divides the axis: such as a number for each channel of a picture. The kernel writes them out beside each other before it
  // begins. The period stands in the sizes at the place of the stride, which is one.
  bool repeats = false;
  // Loads, or stores, of one buffer at the same strides that lie beside each other, such as the channels of a picture or
  // the elements of a short row: the access of the first one, and how many elements this one lies behind it. Stores fill
  // every element from the first to the last. -1 for all others.
  int16_t group = -1;
  int8_t element = 0;
  // Where lanes are far apart in a loop, but each has its element of the next row near its own: so many elements behind.
  // With short rows: 1 where values per row lie beside each other. Else 0.
  int8_t next_row = 0;
  // One of several loads of a loop that walk rows of one buffer side by side: what they read next is fetched ahead, for
  // rows that share a page of memory look like disorder to the processor.
  bool ahead = false;
  // Of a load that the ops of a product's operand read: the stride along the last axis of the steps, zero, one or other.
  Stride steps = Stride::other;
  Indexed indexed = Indexed::no;  // a load that has an argument
  // Of a kernel that sweeps an axis: the same element, or lanes, everywhere along that axis.
  bool still = false;
  // There, and in masked kernels with lanes far apart: the first access of this dtype that has the same strides, and where it sweeps
  // the same memory; -1: this one.
  int16_t like = -1;
  // Where it sweeps: the number of the param that a load gives where its element lies beyond the borders of its memory; -1: it
  // has none. Within its ranges (SizesLayout::range) an index leads into memory.
  int16_t fill = -1;
  bool operator==(const Access&) const = default;
};

/// What an instruction does.
enum class InstrKind : uint8_t {
  load,       // access [, index] -> value: with an index, that of a check, it lies so many of the check's steps further on
  index,      // index -> i64 value: offset + sum of stride * domain index, like an access, without memory
  param,      // param -> value: a constant of the graph; its bits are data
  check,      // check, args index and its position (i64) -> the index; 0, and an IndexError, if it is not below the extent
  compute,    // op, args -> value: an elementwise op (table op, cast or bitcast)
  reduce,     // reduce kind, arg per element -> value per row, ready in the stages after its own
  dot,        // args a, b -> accumulator, ready in stage 1
  store,      // access, arg
  constant,   // constant -> value: its bits are part of the code
  // Control flow, in kernels without axes or with one for the lanes; see KernelProgram. What a block hands on are its args.
  branch,     // arg p: begins the block that runs where p is true
  otherwise,  // ends it, and begins the one that runs where p is false
  join,       // ends that one
  loop,       // begins a block that runs again and again; args: what it carries, at first
  leave,      // args g, values...: leaves the loop with the values unless g is true
  next,       // ends the loop's block; args: what it carries into the next turn
  handed,     // arg a join, loop or next, and slot -> the value with this number that the block hands on: what join
              // was given, what loop carries, what leave took out of the loop that next ends
};

/// True for what begins, parts or ends a block.
constexpr bool is_control(InstrKind kind) { return kind >= InstrKind::branch && kind <= InstrKind::next; }

/// How many blocks it ends, and begins.
constexpr int blocks_ended(InstrKind kind) {
  return kind == InstrKind::otherwise || kind == InstrKind::join || kind == InstrKind::next;
}
constexpr int blocks_begun(InstrKind kind) {
  return kind == InstrKind::branch || kind == InstrKind::otherwise || kind == InstrKind::loop;
}

/// One instruction in static single assignment: its result is its position in KernelProgram::body.
struct Instr {
  InstrKind kind = InstrKind::compute;
  Op op = Op::add;                       // compute
  ReduceKind reduce = ReduceKind::sum;   // reduce
  DType dtype = DType::f32;              // of the result; of the stored value for a store
  int8_t stage = 0;                      // ascending through the body; 0 only where no axis is folded
  bool per_row = false;                  // computed once per row, before the elements of its stage
  bool guarded = false;                  // loop: it takes no more turns than the run allows; see TurnGuard
  int16_t slot = -1;                     // load, store: index into accesses; index, param, check, constant: index into theirs
  absl::InlinedVector<int32_t, 3> args;  // positions of earlier instructions
  bool operator==(const Instr&) const = default;
};

/// Rough cost of an instruction in additions, each time it runs; of loads and stores: 1, for they are counted apart.
int cost_of(const Instr& instr);

/// An axis along which accesses repeat has so many elements at the most.
inline constexpr int64_t kMostRepeated = 1024;

inline constexpr int64_t kRowBlock = 16384;
inline constexpr int64_t kColumnBlock = 512;

/// Rows of more elements are not short.
inline constexpr int64_t kMostShortRow = 16;

/// Rows of up to so many elements run in groups, stage after stage, where some wait for what their row comes to.
inline constexpr int64_t kMostGroupedRow = 256;

/// Lanes that sweep an axis are so many at the most, and their own axis is no shorter.
inline constexpr int64_t kSweptLanes = 16;

/// How large the blocks are that kernels work in. Those of reductions define their trees, so two ways of running agree to
/// the bit only where these do; the others change nothing but the order of work.
struct BlockSizes {
  int32_t row = kRowBlock;        // of a reduction along the lanes: elements; at least 16, as many as unroll_reductions unrolls
  int32_t column = kColumnBlock;  // of a reduction beside the lanes: elements; at least 16
  int32_t panel = 4096;           // of a column kernel: columns at a time, at the most; a multiple of 64
  int32_t tile = 64;              // of a loop kernel that transposes: bytes of a row that it writes, or reads, at a time
  int32_t depth = 256;            // of a product: steps of k; at most 256
  int32_t dot_rows = 240;         // of a product: rows; a multiple of 24, at most 240
  int32_t dot_row_bytes = 2048;   // of a product: bytes of a row of the result; a multiple of 256, at most 2048
  bool operator==(const BlockSizes&) const = default;
};

/// The structure of one kernel.
///
/// A row is what lies along the folded axis. A kernel that has one, and is no product, runs stage after stage over the
/// elements of a row; a reduce of stage s is complete when stage s + 1 starts. Values per element do not outlive their
/// stage; what a later stage needs is computed again or stored and loaded. Stores of an access come before its loads.
///
/// A kernel without axes runs once, on single elements. Its body may hold blocks, which nest: `branch` to `join`, `loop` to
/// `next`. A value can be used behind it in its own block and in those inside. All loads come first, all stores last,
/// outside of every block. The same may hold for a kernel whose one axis is that of the lanes: each element goes its own way.
///
/// A kernel that sweeps an axis, the one before the lanes, takes some lanes along all of it before the next ones. What does
/// not move along it is loaded once for that. The last lanes of a row may be computed again, together with those before them.
///
/// Short rows are those of at most kMostShortRow elements that lie beside each other; the code knows how many.
///
/// The tree of a reduction depends on the extent only. Along the lanes: blocks of blocks.row elements; element i of a block
/// goes to lane i % lanes(dtype); lanes fold in halves (lane i with lane i + half); the results of the blocks are combined
/// in ascending order. Beside the lanes: blocks of blocks.column elements in ascending order, then the blocks in ascending
/// order. A state that saw nothing changes no bit, so a row of n <= lanes elements is those folded in halves of the next
/// power of two: passes/unroll_reductions writes short reductions as such ops.
///
/// The sum of a product begins with 0, and each step is one fma. If both sides have several rows and columns, the steps
/// are added in ascending order. Else step i is added to lane i % product_lanes(dtype), and the lanes fold in halves.
struct KernelProgram {
  absl::InlinedVector<Role, 8> axes;  // of the domain, outermost first
  BlockSizes blocks = {};
  int8_t short_row = 0;      // elements of a row, the last axis, if these are few; else 0
  // A product of which one side is a single row or column. Its other side lies along the axis of the lanes, the axis of the
  // rows has one index, and the first operand of the dot is the matrix, the second one the vector.
  bool sums_in_lanes = false;
  bool groups_rows = false;  // a row along the last axis has at most kMostGroupedRow elements, and is one block
  std::vector<Access> accesses;
  std::vector<Stride> indices;  // along the axis of the lanes: zero, one or other
  int16_t num_params = 0;
  int16_t num_checks = 0;  // then the buffer behind those of the accesses holds so many IndexErrors
  std::vector<uint64_t> constants;
  std::vector<Instr> body;

  int rank() const { return static_cast<int>(axes.size()); }
  /// The axis of this role, or -1.
  int axis(Role role) const;
  bool has(Role role) const { return axis(role) >= 0; }
  /// The axis that is folded, or -1.
  int folded_axis() const;
  /// True if it has loops that ask the TurnGuard of the run, whose address is the last of its buffers.
  bool has_guarded_loops() const { return std::ranges::any_of(body, &Instr::guarded); }
  /// The axis along which lanes lie: the folded one where no other is for them.
  int lanes_axis() const;
  /// True if it works through rows in stages.
  bool has_rows() const { return folded_axis() >= 0 && !has(Role::row); }
  /// True if it is a product that is made in tiles of rows and columns.
  bool has_tiles() const { return has(Role::row) && !sums_in_lanes; }
  /// True if columns of lanes go along an axis.
  bool sweeps() const { return has(Role::sweep); }
  /// True for an axis that the iterations of the kernel count.
  bool is_counted(int axis) const;
  /// How many accesses before this one have borders.
  int bordered_before(int access) const;
  /// True if there is control flow in the body.
  bool has_blocks() const;
  KernelKind kind() const;

  bool operator==(const KernelProgram&) const = default;
};

/// Virtual lanes of a row reduction of this dtype: 256 bytes of them, and 64 for one-byte types.
constexpr int64_t reduction_lanes(DType dtype) { return size_of(dtype) == 8 ? 32 : 64; }

/// Lanes of a product's sum if it has a single row or column: 64 bytes of them.
constexpr int64_t product_lanes(DType dtype) { return 64 / std::max<int64_t>(4, size_of(dtype)); }

/// Where a kernel finds its sizes: `rank` extents; the length of a row if that is cut into blocks, or how many columns of a
/// product in tiles are one iteration of each of its rows; then for each access,
/// then each index: offset and `rank` strides, in elements (see Access::repeats); then for each param its bits; then for each
/// check its extent, and the step in elements from one index to the next; then for each access with borders and each axis but
/// the last the first index that leads into its memory, and the one behind the last; then 1 if stores go past the caches, else 0.
struct SizesLayout {
  explicit SizesLayout(const KernelProgram& program);

  int64_t extent(int axis) const { return axis; }
  int64_t total() const { return rank; }
  int64_t columns() const { return rank; }
  int64_t access(int i) const { return accesses + i * (1 + rank); }
  int64_t index(int i) const { return indices + i * (1 + rank); }
  int64_t param(int i) const { return params + i; }
  int64_t check(int i) const { return checks + 2 * i; }
  /// Of the access before which there are so many with borders.
  int64_t range(int bordered_before, int axis) const { return ranges + 2 * (bordered_before * (rank - 1) + axis); }

  int64_t rank, accesses, indices, params, checks, ranges, streams, count;
};

/// A program as text, for people; keys compare the program itself.
std::string to_string(const KernelProgram& program);

}  // namespace etch
