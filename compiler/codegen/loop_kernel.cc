// Loop kernels: every element of the domain on its own, vectorised along the last axis.
#include <algorithm>
#include <numeric>

#include "compiler/codegen/emit.h"

namespace etch::codegen {

namespace {

/// Bodies with at most so much work per element wait for memory: there half-width vectors measured faster by a quarter
/// while the data is in the caches, and as fast beyond.
constexpr int kStreamingWork = 3;

/// Lanes of a kernel that loads or stores them one by one.
constexpr int kLanesOneByOne = 8;

/// Vectors that a turn takes apart or puts together, at most: more are no faster and take long to compile.
constexpr int kMaxShuffled = 2;

int choose_lanes(const KernelProgram& program, const Target& target, bool by_lane) {
  // One vector a turn: LLVM would store the halves of a wider one in descending order, which is slow across cache lines.
  int lanes = std::min(lanes_of(program, target), by_lane ? kLanesOneByOne : 64);
  while (lanes > 16 && shuffled_vectors(program, target, lanes) > kMaxShuffled) lanes /= 2;
  return lanes;
}

/// True if the kernel reads along one axis and writes along another, so that whole rows would touch every line of
/// memory again and again.
bool transposes(const KernelProgram& program) {
  bool strided = false, dense = false;
  for (const Access& access : program.accesses) {
    strided = strided || access.stride == Stride::other;
    dense = dense || access.stride == Stride::one;
  }
  return program.rank() >= 2 && strided && dense;
}

/// As KernelEmitter::walk_segments over all outer axes, but in tiles of the last axis: so many elements of one row, then
/// as many of the next row.
void walk_tiles(KernelEmitter& k,
                llvm::function_ref<void(const Origin&, llvm::Value* from, llvm::Value* to)> body) {
  Builder& b = k.b;
  const int rank = k.program.rank();
  auto max = [&](llvm::Value* x, llvm::Value* y) { return b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, x, y); };
  auto min = [&](llvm::Value* x, llvm::Value* y) { return b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, x, y); };
  auto divide_up = [&](llvm::Value* x, llvm::Value* y) {
    return b.CreateUDiv(b.CreateAdd(x, b.CreateSub(y, k.i64(1))), y);
  };
  llvm::Value* n = k.extent(rank - 1);
  llvm::Value* slab = b.CreateMul(n, k.extent(rank - 2));
  k.walk(b.CreateUDiv(k.begin(), slab), divide_up(k.end(), slab), rank - 2, [&](const Origin& origin) {
    llvm::Value* start = b.CreateMul(origin.row, slab);
    llvm::Value* begin = max(b.CreateSub(k.begin(), start), k.i64(0));
    llvm::Value* end = min(b.CreateSub(k.end(), start), slab);
    llvm::Value* first = b.CreateUDiv(begin, n);
    llvm::Value* last = divide_up(end, n);
    k.loop(k.i64(0), n, k.i64(k.program.blocks.tile), {}, false, [&](llvm::Value* tile, llvm::ArrayRef<llvm::Value*>) {
      llvm::Value* tile_end = min(b.CreateAdd(tile, k.i64(k.program.blocks.tile)), n);
      k.loop(first, last, k.i64(1), {}, false, [&](llvm::Value* row, llvm::ArrayRef<llvm::Value*>) {
        llvm::Value* at = b.CreateMul(row, n);
        llvm::Value* from = max(tile, b.CreateSub(begin, at));
        llvm::Value* to = min(tile_end, b.CreateSub(end, at));
        k.if_then(b.CreateICmpSLT(from, to), [&] { body(k.move(origin, rank - 2, row), from, to); });
        return Values{};
      });
      return Values{};
    });
  });
}

}  // namespace

llvm::Function* emit_loop_kernel(const KernelProgram& program, const CodegenOptions& given, llvm::Module& module,
                                 const std::string& name) {
  const std::vector<Level> levels = levels_of(program);
  const int count = static_cast<int>(program.body.size());
  std::vector<int> all(count);
  std::iota(all.begin(), all.end(), 0);
  const int work = work_of(program, given.target, [&](int i) { return levels[i] == Level::element; });
  const bool by_lane = goes_by_lane(program, given.target);
  CodegenOptions options = given;
  Target& target = options.target;
  if (work <= kStreamingWork || by_lane) target.vector_bytes = std::min(target.vector_bytes, 32);
  KernelEmitter k(program, options, module, name);
  const int width = choose_lanes(program, target, by_lane);
  // Gathers of a few lanes, and lanes that pass through the frame, cost more than single elements.
  const bool single_rest = by_lane || (work < kCheapWork && !masks_all_accesses(program, target));

  auto emit_level = [&](Level level, const std::vector<llvm::Value*>& pointers, std::vector<llvm::Value*>& values) {
    Cursor scalars;
    for (llvm::Value* pointer : pointers) scalars.accesses.push_back({pointer, Stride::zero, nullptr});
    for (int i = 0; i < count; ++i) {
      if (levels[i] == level) k.emit(i, scalars, values);
    }
  };
  std::vector<llvm::Value*> origins, of_kernel(count);
  for (size_t a = 0; a < program.accesses.size(); ++a) origins.push_back(k.origin(a));
  emit_level(Level::kernel, origins, of_kernel);

  auto segment = [&](const Origin& origin, llvm::Value* from, llvm::Value* to) {
    std::vector<llvm::Value*> scalars = of_kernel;
    emit_level(Level::row, origin.accesses, scalars);
    std::vector<llvm::Value*> of_row = scalars;
    splat_for_elements(k, levels, width, of_row);
    auto emit_lanes = [&](llvm::Value* i, int lanes, const Mask& mask) {
      std::vector<llvm::Value*> values = lanes == width ? of_row : scalars;
      k.emit_all(all, k.cursor(origin, i, lanes, mask), values, [](int) {});
      return Values{};
    };
    if (!single_rest) {
      k.vector_loop(from, to, width, {}, false, work >= kCheapWork && target.masked_ops,
                    [&](llvm::Value* i, const Mask& mask, llvm::ArrayRef<llvm::Value*>) {
                      return emit_lanes(i, width, mask);
                    });
      return;
    }
    k.narrowing_loops(from, to, width, true, [&](llvm::Value* i, int lanes) { emit_lanes(i, lanes, {}); });
  };
  if (transposes(program)) {
    walk_tiles(k, segment);
  } else {
    k.walk_segments(program.rank() - 1, segment);
  }
  return k.finish();
}

}  // namespace etch::codegen
