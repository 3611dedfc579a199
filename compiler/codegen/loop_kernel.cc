// Loop kernels: every element of the domain on its own, vectorised along the last axis.
#include <algorithm>

#include "compiler/codegen/segments.h"
#include "compiler/codegen/tile.h"

namespace etch::codegen {

namespace {

/// Bodies that wait for memory: there half-width vectors measured faster by a quarter while the data is in the caches, and
/// as fast beyond.
constexpr int kStreamingWork = cost::kStreaming;

/// Lanes of a kernel that loads or stores them one by one, and of one that takes tiles apart.
constexpr int kLanesOneByOne = 8;
constexpr int kLanesOfTiles = 16;

bool has_tiles(const KernelProgram& program) {
  return std::any_of(program.accesses.begin(), program.accesses.end(), [](const Access& access) {
    return access.next_row > 0 || (access.stride == Stride::other && access.group >= 0);
  });
}

constexpr int64_t kLineBytes = 64;

/// Bytes of the widest element of which lanes have those of several rows near each other.
int64_t bytes_across(const KernelProgram& program) {
  int64_t widest = 1;
  for (const Access& access : program.accesses) {
    if (access.next_row > 0) widest = std::max(widest, size_of(access.dtype));
  }
  return widest;
}

/// Bytes of the narrowest element that lanes find beside each other.
int64_t narrowest_dense(const KernelProgram& program) {
  int64_t narrowest = 8;
  for (const Access& access : program.accesses) {
    if (access.stride == Stride::one) narrowest = std::min(narrowest, size_of(access.dtype));
  }
  return narrowest;
}

/// How a transposing kernel walks the last two axes.
struct Sheets {
  int64_t rows = 1;     // that are walked before the next tile
  int64_t columns = 1;  // elements of a row in a tile, at the least
};

/// True if squares of so many rows and lanes write few lines of memory at a time, or whole ones, so that these can go past
/// the caches.
bool writes_whole_lines(int64_t lane_bytes, int lanes) {
  constexpr int kFewRows = 8;
  return lanes <= kFewRows || lanes * lane_bytes >= kLineBytes;
}

/// What lies across the rows is read in long runs, one for each column of a tile, and a tile is as wide as a few lines of
/// memory that are written. Where rows are read as well, more of them are near each other.
Sheets sheets_of(const KernelProgram& program, int lanes) {
  constexpr int64_t kManyRows = 1024, kFewRows = 256, kFewLines = 2, kManyLines = 4;
  const bool loads = std::ranges::any_of(program.body, [&](const Instr& instr) {
    return instr.kind == InstrKind::load && program.accesses[instr.slot].stride == Stride::one;
  });
  const int64_t bytes = narrowest_dense(program);
  const int64_t lines = loads || !writes_whole_lines(bytes, lanes) ? kManyLines : kFewLines;
  const int64_t columns = std::max<int64_t>({1, lanes, lines * program.blocks.tile / bytes});
  return {loads ? kFewRows : kManyRows, columns};
}

/// As many rows as a line of memory has elements across them, so that it is read at once; whole squares.
int64_t rows_of_band(const KernelProgram& program, int lanes) {
  return std::max<int64_t>(lanes, kLineBytes / bytes_across(program));
}

bool goes_across(const KernelProgram& program) {
  return std::any_of(program.accesses.begin(), program.accesses.end(),
                     [](const Access& access) { return access.next_row > 0; });
}

int choose_lanes(const KernelProgram& program, const Target& target, bool by_lane) {
  // One vector a turn: LLVM would store the halves of a wider one in descending order, which is slow across cache lines.
  const int most = by_lane ? kLanesOneByOne : has_tiles(program) ? kLanesOfTiles : 64;
  return lanes_to_shuffle(program, target, std::min(lanes_of(program, target), most));
}

/// True if the kernel reads along one axis and writes along another, so that whole rows would touch every line of
/// memory again and again.
bool transposes(const KernelProgram& program) {
  bool far = false, dense = false;
  for (const Access& access : program.accesses) {
    far = far || (access.stride == Stride::other && access.indexed == Indexed::no);
    dense = dense || access.stride == Stride::one;
  }
  return program.rank() >= 2 && far && (dense || goes_across(program));
}

/// Rows top .. bottom and columns left .. right of the last two axes of a slab, in whole squares of lanes. The last square
/// of a row may begin before the end of the one before it: none begins behind `last`.
struct Band {
  llvm::Value *top, *bottom, *left, *right, *last;
};

/// Walks begin .. end of the last two axes in sheets of rows, and those in tiles of the last one: so many elements of one row,
/// then as many of the next row. The last tile of a row takes in what is left. What lies in whole squares of `lanes` rows and
/// columns goes to `squares`, the rest to `segment`. Without lanes there are no squares.
void walk_tiles(KernelEmitter& k, int lanes, llvm::function_ref<void(const Origin& slab, const Band& band)> squares,
                llvm::function_ref<void(const Origin& row, llvm::Value* from, llvm::Value* to)> segment) {
  Builder& b = k.b;
  const int rank = k.program.rank();
  auto max = [&](llvm::Value* x, llvm::Value* y) { return b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, x, y); };
  auto min = [&](llvm::Value* x, llvm::Value* y) { return b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, x, y); };
  auto divide_up = [&](llvm::Value* x, llvm::Value* y) {
    return b.CreateUDiv(b.CreateAdd(x, b.CreateSub(y, k.i64(1))), y);
  };
  auto whole = [&](llvm::Value* n) { return b.CreateAnd(n, k.i64(-lanes)); };
  llvm::Value* n = k.extent(rank - 1);
  llvm::Value* slab = b.CreateMul(n, k.extent(rank - 2));
  const Sheets sheets = sheets_of(k.program, lanes);
  llvm::Value* columns = k.i64(sheets.columns);
  // Elements begin .. end of a slab, in rows first .. last of it.
  const auto sheet = [&](const Origin& origin, llvm::Value* first, llvm::Value* last, llvm::Value* begin, llvm::Value* end) {
    llvm::Value* tiles = max(b.CreateSub(n, b.CreateURem(n, columns)), k.i64(1));
    k.loop(k.i64(0), tiles, columns, {}, false, [&](llvm::Value* tile, llvm::ArrayRef<llvm::Value*>) {
      llvm::Value* next = b.CreateAdd(tile, columns);
      llvm::Value* tile_end = b.CreateSelect(b.CreateICmpSLT(next, tiles), next, n);
      // Rows of squares, and the columns that these leave over.
      llvm::Value *above = first, *below = first, *beside = tile;
      if (lanes > 0) {
        llvm::Value* has_all = b.CreateICmpSLE(begin, b.CreateAdd(b.CreateMul(first, n), tile));
        above = b.CreateSelect(has_all, first, b.CreateAdd(first, k.i64(1)));
        llvm::Value* full = b.CreateSDiv(b.CreateAdd(b.CreateSub(end, tile_end), n), n);  // rows that end is not within
        below = b.CreateAdd(above, whole(max(b.CreateSub(full, above), k.i64(0))));
        llvm::Value* width = b.CreateSub(tile_end, tile);
        llvm::Value* again = b.CreateAnd(b.CreateICmpSGE(width, k.i64(lanes)), k.stores_apart());
        beside = b.CreateSelect(again, tile_end, b.CreateAdd(tile, whole(width)));
        const int64_t band = rows_of_band(k.program, lanes);
        k.loop(above, below, k.i64(band), {}, true, [&](llvm::Value* top, llvm::ArrayRef<llvm::Value*>) {
          llvm::Value* bottom = min(b.CreateAdd(top, k.i64(band)), below);
          squares(origin, {top, bottom, tile, beside, b.CreateSub(tile_end, k.i64(lanes))});
          return Values{};
        });
      }
      llvm::Value* skipped = b.CreateSelect(b.CreateICmpSLT(beside, tile_end), k.i64(0), b.CreateSub(below, above));
      k.loop(first, b.CreateSub(last, skipped), k.i64(1), {}, true, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*>) {
        llvm::Value* row = b.CreateSelect(b.CreateICmpSLT(i, above), i, b.CreateAdd(i, skipped));
        llvm::Value* in_squares = b.CreateAnd(b.CreateICmpSGE(row, above), b.CreateICmpSLT(row, below));
        llvm::Value* at = b.CreateMul(row, n);
        llvm::Value* from = max(b.CreateSelect(in_squares, beside, tile), b.CreateSub(begin, at));
        llvm::Value* to = min(tile_end, b.CreateSub(end, at));
        k.if_then(b.CreateICmpSLT(from, to), [&] { segment(k.move(origin, rank - 2, row), from, to); });
        return Values{};
      });
      return Values{};
    });
  };
  k.walk(b.CreateUDiv(k.begin(), slab), divide_up(k.end(), slab), rank - 2, [&](const Origin& origin) {
    llvm::Value* start = b.CreateMul(origin.row, slab);
    llvm::Value* begin = max(b.CreateSub(k.begin(), start), k.i64(0));
    llvm::Value* end = min(b.CreateSub(k.end(), start), slab);
    llvm::Value* rows_end = divide_up(end, n);
    llvm::Value* rows = k.i64(sheets.rows);
    k.loop(b.CreateUDiv(begin, n), rows_end, rows, {}, false, [&](llvm::Value* first, llvm::ArrayRef<llvm::Value*>) {
      llvm::Value* last = min(b.CreateAdd(first, rows), rows_end);
      sheet(origin, first, last, max(begin, b.CreateMul(first, n)), min(end, b.CreateMul(last, n)));
      return Values{};
    });
  });
}

/// Squares of as many rows as lanes. Accesses across the rows go as tiles: what they hold stands in values, or, where the
/// body is long, in scratch memory, so that it is emitted once and runs over all of a band without a stop.
class Squares {
 public:
  Squares(KernelEmitter& k, const std::vector<Level>& levels, int lanes, bool through_memory)
      : k_(k), b_(k.b), program_(k.program), levels_(levels), lanes_(lanes), through_memory_(through_memory) {
    for (size_t i = 0; i < program_.body.size(); ++i) {
      const Instr& instr = program_.body[i];
      const int number = static_cast<int>(i);
      if (instr.kind == InstrKind::load && is_across(instr)) loads_.push_back({number, {}});
      if (instr.kind != InstrKind::store) continue;
      if (is_across(instr)) {
        stores_.push_back({number, {}});
      } else {
        plain_stores_.push_back(number);
      }
    }
    const int64_t elements = rows_of_band(program_, lanes) * columns();
    for (std::vector<Tile>* tiles : {&loads_, &stores_}) {
      for (Tile& tile : *tiles) {
        if (through_memory) tile.memory = k.scratch(elements * size_of(program_.body[tile.instr].dtype));
      }
    }
    if (!through_memory) rows_part_lines_ = rows_part_lines();
  }

  /// `of_kernel` holds the values of that level.
  void emit(const Origin& slab, const Band& band, const std::vector<llvm::Value*>& of_kernel) {
    if (!through_memory_) {
      for_squares(slab, band, [&](const Cursor& corner, llvm::Value* row, llvm::Value* column) {
        for (Tile& tile : loads_) load(tile, corner);
        for (int r = 0; r < lanes_; ++r) emit_row(slab, b_.CreateAdd(row, k_.i64(r)), column, r, nullptr, of_kernel);
        for (Tile& tile : stores_) store(tile, corner);
        fetch_next_lines(corner);
      });
      return;
    }
    for_squares(slab, band, [&](const Cursor& corner, llvm::Value* row, llvm::Value* column) {
      for (Tile& tile : loads_) {
        load(tile, corner);
        for (int r = 0; r < lanes_; ++r) {
          b_.CreateAlignedStore(tile.rows[r], address(tile, band, b_.CreateAdd(row, k_.i64(r)), column), alignment(tile));
        }
      }
    });
    each(band.top, band.bottom, 1, [&](llvm::Value* row) {
      each(band.left, band.right, lanes_, [&](llvm::Value* i) {
        emit_row(slab, row, smin(i, band.last), -1, &band, of_kernel);
      });
    });
    for_squares(slab, band, [&](const Cursor& corner, llvm::Value* row, llvm::Value* column) {
      for (Tile& tile : stores_) {
        for (int r = 0; r < lanes_; ++r) {
          tile.rows.push_back(load_lanes(tile, band, b_.CreateAdd(row, k_.i64(r)), column));
        }
        store(tile, corner);
      }
    });
  }

 private:
  struct Tile {
    int instr;
    Values rows;                    // of the square that is emitted
    llvm::Value* memory = nullptr;  // of a band
  };

  bool is_across(const Instr& instr) const { return program_.accesses[instr.slot].next_row > 0; }
  int64_t columns() const { return 2 * sheets_of(program_, lanes_).columns; }
  llvm::Value* smin(llvm::Value* x, llvm::Value* y) { return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, x, y); }

  void each(llvm::Value* from, llvm::Value* to, int64_t step, llvm::function_ref<void(llvm::Value*)> body) {
    k_.loop(from, to, k_.i64(step), {}, true, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*>) {
      body(i);
      return Values{};
    });
  }

  void for_squares(const Origin& slab, const Band& band,
                   llvm::function_ref<void(const Cursor& corner, llvm::Value* row, llvm::Value* column)> body) {
    each(band.top, band.bottom, lanes_, [&](llvm::Value* row) {
      each(band.left, band.right, lanes_, [&](llvm::Value* i) {
        llvm::Value* column = smin(i, band.last);
        body(k_.cursor(k_.move(slab, program_.rank() - 2, row), column, lanes_, {}), row, column);
      });
    });
  }

  llvm::Type* element_type(const Tile& tile) { return memory_type(k_.context, program_.body[tile.instr].dtype); }
  llvm::Align alignment(const Tile& tile) const { return llvm::Align(size_of(program_.body[tile.instr].dtype)); }

  llvm::Value* address(const Tile& tile, const Band& band, llvm::Value* row, llvm::Value* column) {
    llvm::Value* at = b_.CreateMul(b_.CreateSub(row, band.top), k_.i64(columns()));
    return b_.CreateInBoundsGEP(element_type(tile), tile.memory, b_.CreateAdd(at, b_.CreateSub(column, band.left)));
  }

  llvm::Value* load_lanes(const Tile& tile, const Band& band, llvm::Value* row, llvm::Value* column) {
    llvm::Type* type = llvm::FixedVectorType::get(element_type(tile), lanes_);
    return b_.CreateAlignedLoad(type, address(tile, band, row, column), alignment(tile));
  }

  void load(Tile& tile, const Cursor& corner) {
    const int slot = program_.body[tile.instr].slot, next_row = program_.accesses[slot].next_row;
    llvm::SmallVector<int, 16> wanted;
    for (int r = 0; r < lanes_; ++r) wanted.push_back(r * next_row);
    const Place& place = corner.accesses[slot];
    const Values elements = load_tile(b_, element_type(tile), place.lane0, place.step, lanes_, wanted);
    tile.rows.clear();
    for (int element : wanted) tile.rows.push_back(elements[element]);
  }

  /// Asks for the lines that the next square but one writes. A square writes a few bytes of each of its rows. Where these begin at different
  /// places of a line, stores that finish a line take turns with stores that wait for one, and few of the lines are fetched at once.
  /// Such rows never go past the caches.
  void fetch_next_lines(const Cursor& corner) {
    k_.if_then(rows_part_lines_, [&] {
      for (const int store : plain_stores_) {
        const int slot = program_.body[store].slot;
        llvm::Value* stride = k_.access_stride(slot, program_.rank() - 2);
        const int64_t ahead = std::max(kLineBytes, 2 * lanes_ * size_of(program_.accesses[slot].dtype));
        llvm::Value* next = b_.CreateConstGEP1_64(b_.getInt8Ty(), corner.accesses[slot].lane0, ahead);
        for (int row = 0; row < lanes_; ++row, next = k_.advance(slot, next, stride)) k_.fetch_to_write(next);
      }
    });
  }

  /// i1, computed in the entry: rows that a plain store writes begin at different places of a line.
  llvm::Value* rows_part_lines() {
    llvm::Value* bytes = k_.i64(0);
    for (const int store : plain_stores_) {
      const int slot = program_.body[store].slot;
      llvm::Value* stride = k_.access_stride(slot, program_.rank() - 2);
      bytes = b_.CreateOr(bytes, b_.CreateMul(stride, k_.i64(size_of(program_.accesses[slot].dtype))));
    }
    return b_.CreateIsNotNull(b_.CreateAnd(bytes, k_.i64(kLineBytes - 1)));
  }

  void store(Tile& tile, const Cursor& corner) {
    const Place& place = corner.accesses[program_.body[tile.instr].slot];
    store_tile(b_, tile.rows, place.lane0, place.step);
    tile.rows.clear();
  }

  /// Lanes of one row: of number `r` in the square, or, through memory, of the band.
  void emit_row(const Origin& slab, llvm::Value* row, llvm::Value* column, int r, const Band* band,
                std::vector<llvm::Value*> values) {
    const Origin origin = k_.move(slab, program_.rank() - 2, row);
    const Cursor scalars = k_.element(origin);
    const Cursor at = k_.cursor(origin, column, lanes_, {});
    for (Tile& tile : loads_) {
      llvm::Value* lanes = band ? load_lanes(tile, *band, row, column) : tile.rows[r];
      values[tile.instr] = program_.body[tile.instr].dtype == DType::boolean ? b_.CreateIsNotNull(lanes) : lanes;
    }
    for (size_t i = 0; i < program_.body.size(); ++i) {
      if (program_.body[i].kind == InstrKind::store) continue;
      k_.emit(static_cast<int>(i), levels_[i] == Level::element ? at : scalars, values);
    }
    k_.store_all(plain_stores_, at, values);
    for (Tile& tile : stores_) {
      llvm::Value* lanes = k_.stored_lanes(tile.instr, lanes_, values);
      if (band) {
        b_.CreateAlignedStore(lanes, address(tile, *band, row, column), alignment(tile));
      } else {
        tile.rows.push_back(lanes);
      }
    }
  }

  KernelEmitter& k_;
  Builder& b_;
  const KernelProgram& program_;
  const std::vector<Level>& levels_;
  const int lanes_;
  const bool through_memory_;
  std::vector<Tile> loads_, stores_;  // across the rows
  std::vector<int> plain_stores_;
  llvm::Value* rows_part_lines_ = nullptr;
};

/// Fetches what marked loads read soon: the same lanes of the next row, or lanes a page behind. Only where rows are short, so
/// that several share a page of memory, and where all of them are more than the caches near by hold.
class Ahead {
 public:
  explicit Ahead(KernelEmitter& k) : k_(k) {
    for (const Instr& instr : k.program.body) {
      const bool marked = instr.kind == InstrKind::load && k.program.accesses[instr.slot].ahead;
      if (marked) loads_.push_back(instr.slot);
    }
    if (loads_.empty()) return;
    Builder& b = k.b;
    const int axis = k.program.rank() - 2;
    const int64_t bytes = bytes_of(loads_[0]);
    llvm::Value* next_row = k.access_stride(loads_[0], axis);
    llvm::Value* all = b.CreateMul(next_row, k.extent(axis));
    distance_ = b.CreateBinaryIntrinsic(llvm::Intrinsic::umin, next_row, k.i64(kPageBytes / bytes));
    helps_ = b.CreateAnd(b.CreateICmpULE(next_row, k.i64(kShortRows / bytes)), b.CreateICmpSGT(all, k.i64(kNearBytes / bytes)));
  }

  /// For `width` lanes from index `i` of the row on. Addresses are computed anew: nothing is left of this where it does not help.
  void fetch(const Origin& row, llvm::Value* i, int width) {
    if (loads_.empty()) return;
    k_.if_then(helps_, [&] {
      llvm::Value* ahead = k_.b.CreateAdd(i, distance_);
      for (int access : loads_) {
        llvm::Value* soon = k_.advance(access, row.accesses[access], ahead);
        k_.fetch_lines(soon, width * bytes_of(access));
      }
    });
  }

 private:
  static constexpr int64_t kPageBytes = 4096, kShortRows = 4 * kPageBytes, kNearBytes = 1 << 20;

  int64_t bytes_of(int access) const { return size_of(k_.program.accesses[access].dtype); }

  KernelEmitter& k_;
  std::vector<int> loads_;  // of one buffer
  llvm::Value* distance_ = nullptr;  // elements
  llvm::Value* helps_ = nullptr;
};

/// More params than so many are loaded where they are used: as vectors they would take the registers from the body, and LLVM a
/// tenth to a half of its time to share these out. AVX-512 loads a number into all lanes as part of an operation.
int most_params_in_registers(const Target& target) { return target.masked_ops ? 8 : 24; }

/// Where operations of AVX-512 load numbers, LLVM makes all at once that need nothing else, and spills 64 bytes for each from about the
/// 45th on. With more than so many the frame would be too large; code for AVX2 spills none, but takes up to 1.5 times as long.
constexpr int kMostParamsOfAvx512 = 280;

}  // namespace

llvm::Function* emit_loop_kernel(const KernelProgram& program, const CodegenOptions& given, llvm::Module& module,
                                 const std::string& name) {
  const std::vector<Level> levels = levels_of(program);
  const int count = static_cast<int>(program.body.size());
  const int work = work_of(program, given.target, [&](int i) { return levels[i] == Level::element; });
  // Beside a dear op, what lanes load at indices of their own is a small part, and masks leave out lanes of it at no cost.
  const bool is_dear = std::ranges::any_of(program.body, [](const Instr& instr) {
    return instr.kind == InstrKind::compute && cost_of(instr) >= cost::kDear;
  });
  const bool by_lane = std::any_of(program.body.begin(), program.body.end(), [&](const Instr& instr) {
    if (!goes_by_lane(program, instr, given.target) || program.accesses[instr.slot].next_row > 0) return false;
    return !is_dear || program.accesses[instr.slot].indexed == Indexed::no;
  });
  CodegenOptions options = given;
  Target& target = options.target;
  const bool needs_avx2 = target.masked_ops && program.num_params > kMostParamsOfAvx512;
  if (needs_avx2) target = *find_target("avx2");
  if (work <= kStreamingWork || by_lane) target.vector_bytes = std::min(target.vector_bytes, 32);
  KernelEmitter k(program, options, module, name);
  if (needs_avx2) {
    k.function->addFnAttr("target-cpu", target.cpu);
    k.function->addFnAttr("target-features", target.features);
  }
  const int width = choose_lanes(program, target, by_lane);
  if (!goes_across(program) || writes_whole_lines(narrowest_dense(program), width)) k.let_stores_stream();
  // Gathers of a few lanes, and lanes that pass through the frame, cost more than single elements; masks of what is
  // shuffled take long to compile; and a masked store of AVX2 takes a Zen longer than a vector that overlaps the last one.
  const bool single_rest =
      by_lane || has_tiles(program) || (work < kCheapWork && (shuffles(program) || !target.masked_ops));

  auto emit_level = [&](Level level, const Origin& origin, std::vector<llvm::Value*>& values) {
    const Cursor scalars = k.element(origin);
    for (int i = 0; i < count; ++i) {
      if (levels[i] == level) k.emit(i, scalars, values);
    }
  };
  if (program.num_params > most_params_in_registers(target)) k.load_params_where_used();
  std::vector<llvm::Value*> of_kernel(count);
  emit_level(Level::kernel, k.origin(), of_kernel);

  Builder& b = k.b;
  Segments segments(k, levels, width);
  Ahead ahead(k);
  // A body of many instructions is not emitted once more with masks, unless every row has a rest, for which going through the frame takes
  // longer. With AVX-512 masks cost nothing, and the body stands once anyway.
  const bool pads = !single_rest && !target.masked_ops && program.rank() == 1 && k.can_pad_rest(width);

  auto segment = [&](const Origin& origin, llvm::Value* from, llvm::Value* to) {
    std::vector<llvm::Value*> scalars = of_kernel;
    emit_level(Level::row, origin, scalars);
    std::vector<llvm::Value*> of_row = scalars;
    splat_for_elements(k, levels, width, of_row);
    auto emit_elements = [&](const Origin& row, int part, llvm::Value* first, llvm::Value* last) {
      auto emit_lanes = [&](llvm::Value* i, int lanes, const Mask& mask) {
        std::vector<llvm::Value*> values = lanes == width ? of_row : scalars;
        llvm::Value* in_block = segments.count() == 1 ? nullptr : b.CreateSub(i, first);
        const Cursor at = k.cursor(row, i, lanes, mask);
        if (part == 0 && lanes == width) ahead.fetch(row, i, width);
        segments.emit(part, in_block, at, values);
        return Values{};
      };
      if (single_rest) {
        k.narrowing_loops(first, last, width, k.stores_apart(), [&](llvm::Value* i, int lanes) { emit_lanes(i, lanes, {}); });
        return;
      }
      if (pads) {
        k.loop(first, last, k.i64(width), {}, false,
               [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*>) { return emit_lanes(i, width, {}); });
        return;
      }
      k.vector_loop(first, last, width, {}, false, work >= kCheapWork && target.masked_ops,
                    [&](llvm::Value* i, const Mask& mask, llvm::ArrayRef<llvm::Value*>) {
                      return emit_lanes(i, width, mask);
                    });
    };
    auto emit_blocks = [&](const Origin& row, llvm::Value* begin, llvm::Value* end) {
      if (segments.count() == 1) return emit_elements(row, 0, begin, end);
      llvm::Value* block = k.i64(segments.block());
      k.loop(begin, end, block, {}, false, [&](llvm::Value* first, llvm::ArrayRef<llvm::Value*>) {
        llvm::Value* last = b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, b.CreateAdd(first, block), end);
        for (int part = 0; part < segments.count(); ++part) emit_elements(row, part, first, last);
        return Values{};
      });
    };
    if (pads) return k.pad_rest(origin, from, to, width, emit_blocks);
    emit_blocks(origin, from, to);
  };
  if (!transposes(program)) {
    k.walk_segments(program.rank() - 1, program.rank() - 1, segment);
    return k.finish();
  }
  const int computes = work_of(program, target, [&](int i) { return program.body[i].kind == InstrKind::compute; });
  Squares squares(k, levels, width, computes >= kCheapWork && goes_across(program));
  walk_tiles(k, goes_across(program) && width > 1 ? width : 0,
             [&](const Origin& slab, const Band& band) { squares.emit(slab, band, of_kernel); }, segment);
  return k.finish();
}

}  // namespace etch::codegen
