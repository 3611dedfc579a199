// Loop nests: the walk over outer indices and the vector loop inside.
#include <algorithm>

#include "compiler/codegen/emit.h"

namespace etch::codegen {
namespace {

/// Lanes between those of wide vectors and single elements.
constexpr int kNarrowLanes = 8;

}  // namespace

Origin KernelEmitter::move(const Origin& origin, int axis, llvm::Value* index,
                           llvm::function_ref<bool(int)> chosen) {
  Origin moved = origin;
  std::vector<bool> moves(moved.accesses.size());
  for (size_t a = 0; a < moves.size(); ++a) {
    const Access& access = program.accesses[a];
    if (chosen(a)) moves[stands_in_group(access, a) ? access.group : a] = true;
  }
  for (size_t a = 0; a < moves.size(); ++a) {
    if (program.accesses[a].uniform || !moves[a]) continue;
    moved.accesses[a] = advance(a, moved.accesses[a], b.CreateMul(index, access_stride(a, axis)));
  }
  for (size_t i = 0; i < moved.indices.size(); ++i) {
    moved.indices[i] = b.CreateAdd(moved.indices[i], b.CreateMul(index, index_stride(i, axis)));
  }
  moved.last = index;
  return moved;
}

Origin KernelEmitter::origin() {
  Origin whole;
  for (size_t a = 0; a < program.accesses.size(); ++a) whole.accesses.push_back(origin(a));
  for (size_t i = 0; i < program.indices.size(); ++i) whole.indices.push_back(index_origin(i));
  return whole;
}

Cursor KernelEmitter::element(const Origin& origin) {
  Cursor at;
  for (llvm::Value* pointer : origin.accesses) at.accesses.push_back({pointer, Stride::zero, nullptr});
  for (llvm::Value* index : origin.indices) at.indices.push_back({index, Stride::zero, nullptr});
  return at;
}

void KernelEmitter::walk(llvm::Value* first, llvm::Value* last, int outer,
                         llvm::function_ref<void(const Origin&)> body) {
  Origin base = origin();
  base.row = i64(0);
  if (outer == 0) return body(base);
  if (outer == 1) {
    loop(first, last, i64(1), {}, false, [&](llvm::Value* row, llvm::ArrayRef<llvm::Value*>) {
      Origin at = move(base, 0, row);
      at.row = row;
      body(at);
      return Values{};
    });
    return;
  }
  // Slabs of the last outer axis: only slabs pay for divisions, and with two outer axes nobody does.
  llvm::Value* inner = extent(outer - 1);
  llvm::Value* slab_end = b.CreateUDiv(b.CreateAdd(last, b.CreateSub(inner, i64(1))), inner);
  loop(b.CreateUDiv(first, inner), slab_end, i64(1), {}, false, [&](llvm::Value* slab, llvm::ArrayRef<llvm::Value*>) {
    Origin at = base;
    llvm::Value* rest = slab;
    for (int axis = outer - 2; axis > 0; --axis) {
      at = move(at, axis, b.CreateURem(rest, extent(axis)));
      rest = b.CreateUDiv(rest, extent(axis));
    }
    at = move(at, 0, rest);
    llvm::Value* start = b.CreateMul(slab, inner);
    llvm::Value* from = b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, b.CreateSub(first, start), i64(0));
    llvm::Value* to = b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, b.CreateSub(last, start), inner);
    loop(from, to, i64(1), {}, false, [&](llvm::Value* index, llvm::ArrayRef<llvm::Value*>) {
      Origin row = move(at, outer - 1, index);
      row.row = b.CreateAdd(start, index);
      body(row);
      return Values{};
    });
    return Values{};
  });
}

void KernelEmitter::walk_segments(int outer, int axis,
                                  llvm::function_ref<void(const Origin&, llvm::Value*, llvm::Value*)> body) {
  if (outer == 0) {
    walk(begin(), end(), 0, [&](const Origin& origin) { body(origin, begin(), end()); });
    return;
  }
  llvm::Value* n = extent(axis);
  llvm::Value* last = b.CreateUDiv(b.CreateAdd(end(), b.CreateSub(n, i64(1))), n);
  walk(b.CreateUDiv(begin(), n), last, outer, [&](const Origin& origin) {
    llvm::Value* start = b.CreateMul(origin.row, n);
    llvm::Value* from = b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, b.CreateSub(begin(), start), i64(0));
    llvm::Value* to = b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, b.CreateSub(end(), start), n);
    body(origin, from, to);
  });
}

Cursor KernelEmitter::cursor(const Origin& origin, llvm::Value* i, int width, const Mask& mask) {
  Cursor at;
  at.width = width;
  at.mask = mask;
  int axis = program.rank() - 1;
  for (size_t a = 0; a < program.accesses.size(); ++a) {
    Place place{origin.accesses[a], program.accesses[a].stride, nullptr};
    if (stands_in_group(program.accesses[a], a)) {
      place.step = nullptr;  // from the first one, below
    } else if (place.stride > Stride::one) {
      const int step = small_step(place.stride);
      place.step = step > 0 ? i64(step) : place.stride == Stride::back ? i64(-1) : access_stride(a, axis);
      place.lane0 = advance(a, place.lane0, b.CreateMul(i, place.step));
    } else if (place.stride == Stride::one) {
      place.lane0 = advance(a, place.lane0, i);
    }
    at.accesses.push_back(place);
  }
  for (size_t a = 0; a < program.accesses.size(); ++a) {
    const Access& access = program.accesses[a];
    if (!stands_in_group(access, a)) continue;
    const Place& first = at.accesses[access.group];
    llvm::Type* type = memory_type(context, access.dtype);
    at.accesses[a].lane0 = b.CreateConstInBoundsGEP1_64(type, first.lane0, access.element);
    at.accesses[a].step = first.step;
  }
  for (size_t n = 0; n < program.indices.size(); ++n) {
    Place place{origin.indices[n], program.indices[n], nullptr};
    if (place.stride != Stride::zero) {
      place.step = place.stride == Stride::one ? i64(1) : index_stride(n, axis);
      place.lane0 = b.CreateAdd(place.lane0, b.CreateMul(i, place.step));
    }
    at.indices.push_back(place);
  }
  return at;
}

Values KernelEmitter::vector_loop(llvm::Value* from, llvm::Value* to, int width, llvm::ArrayRef<llvm::Value*> initial,
                                  bool guard, bool shared_body, LanesBody body) {
  llvm::Value* step = i64(width);
  if (width == 1) {
    return loop(from, to, step, initial, guard, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*> carried) {
      return body(i, Mask{}, carried);
    });
  }
  llvm::Value* n = b.CreateSub(to, from);
  llvm::Value* full_end = b.CreateAdd(from, b.CreateAnd(n, i64(-width)));
  const auto mask = [&] { return mask_of_rest(b.CreateAnd(n, i64(width - 1)), width); };
  if (!shared_body) {
    Values carried =
        loop(from, full_end, step, initial, true,
             [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*> values) { return body(i, {}, values); });
    return loop(full_end, to, step, carried, true, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*> values) {
      return body(i, {mask(), nullptr}, values);
    });
  }
  llvm::Value* tail = mask();
  const auto all_or_tail = [&](llvm::Value* all) -> llvm::Value* {
    if (!target.masked_ops) return b.CreateSelect(all, llvm::Constant::getAllOnesValue(tail->getType()), tail);
    llvm::Type* bits = b.getIntNTy(static_cast<unsigned>(width));  // of a mask register
    llvm::Value* chosen = b.CreateSelect(all, llvm::Constant::getAllOnesValue(bits), b.CreateBitCast(tail, bits));
    return b.CreateBitCast(chosen, tail->getType());
  };
  return loop(from, to, step, initial, guard, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*> values) {
    llvm::Value* full = b.CreateICmpSLT(i, full_end);
    return body(i, {all_or_tail(full), full, tail}, values);
  });
}

bool KernelEmitter::can_pad_rest(int width) const {
  constexpr int64_t kMostBytes = 1024;  // of the frame
  if (width == 1 || program.num_checks > 0) return false;
  int64_t bytes = 0;
  for (const Access& access : program.accesses) {
    const bool stands_alone = access.indexed == Indexed::no && access.group < 0 && access.next_row == 0 && !access.repeats;
    if (!stands_alone || access.stride > Stride::one) return false;
    bytes += width * size_of(access.dtype);
  }
  const bool stores_all = std::ranges::all_of(program.body, [&](const Instr& instr) {
    return instr.kind != InstrKind::store || program.accesses[instr.slot].stride == Stride::one;
  });
  return stores_all && bytes <= kMostBytes;
}

void KernelEmitter::pad_rest(const Origin& origin, llvm::Value* from, llvm::Value* to, int width,
                             llvm::function_ref<void(const Origin&, llvm::Value*, llvm::Value*)> body) {
  const int count = static_cast<int>(program.accesses.size());
  std::vector<bool> loads(count), stores(count);
  for (const Instr& instr : program.body) {
    const bool is_load = instr.kind == InstrKind::load, is_store = instr.kind == InstrKind::store;
    if ((!is_load && !is_store) || program.accesses[instr.slot].stride != Stride::one) continue;
    (is_load ? loads : stores)[instr.slot] = true;
  }
  // They begin behind a place where a vector would: stores of such go past the caches, and here somebody waits for them.
  std::vector<llvm::Value*> copies(count);
  for (int a = 0; a < count; ++a) {
    if (!loads[a] && !stores[a]) continue;
    llvm::Type* type = memory_type(context, program.accesses[a].dtype);
    llvm::AllocaInst* memory = frame(llvm::ArrayType::get(type, static_cast<uint64_t>(width) + 1), llvm::Align(16));
    copies[a] = b.CreateConstInBoundsGEP1_64(type, memory, 1);
  }
  auto* head = llvm::BasicBlock::Create(context, "vectors", function);
  auto* behind = llvm::BasicBlock::Create(context, "behind", function);
  auto* rest = llvm::BasicBlock::Create(context, "rest", function);
  auto* out = llvm::BasicBlock::Create(context, "out", function);
  auto* done = llvm::BasicBlock::Create(context, "done", function);
  llvm::BasicBlock* const before = b.GetInsertBlock();
  llvm::Value* n = b.CreateSub(to, from);
  llvm::Value* full_end = b.CreateAdd(from, b.CreateAnd(n, i64(-width)));
  b.CreateCondBr(b.CreateICmpSLT(from, full_end), head, rest);
  // No mask waits in a register while vectors run.
  const auto mask = [&] { return mask_of_rest(b.CreateAnd(n, i64(width - 1)), width); };
  const auto place = [&](llvm::Value* pointer) { return Place{pointer, Stride::one, nullptr}; };

  b.SetInsertPoint(rest);
  const bool may_stream = std::exchange(may_stream_, false);
  for (int a = 0; a < count; ++a) {
    if (loads[a]) store(a, place(copies[a]), load(a, place(advance(a, origin.accesses[a], full_end)), width, mask()), width, nullptr);
  }
  may_stream_ = may_stream;
  Origin of_rest = origin;
  for (int a = 0; a < count; ++a) {
    if (copies[a]) of_rest.accesses[a] = advance(a, copies[a], b.CreateNeg(full_end));
  }
  llvm::Value* rest_last = b.CreateAdd(full_end, i64(width));
  llvm::BasicBlock* const rest_end = b.GetInsertBlock();
  b.CreateBr(head);

  b.SetInsertPoint(head);
  const auto either = [&](llvm::Value* of_vectors, llvm::Value* of_rest) {
    llvm::PHINode* phi = b.CreatePHI(of_vectors->getType(), 2);
    phi->addIncoming(of_vectors, before);
    phi->addIncoming(of_rest, rest_end);
    return phi;
  };
  llvm::Value* in_rest = either(b.getFalse(), b.getTrue());
  llvm::Value* first = either(from, full_end);
  llvm::Value* last = either(full_end, rest_last);
  Origin at = origin;
  for (int a = 0; a < count; ++a) {
    if (copies[a]) at.accesses[a] = either(origin.accesses[a], of_rest.accesses[a]);
  }
  body(at, first, last);
  b.CreateCondBr(in_rest, out, behind);
  b.SetInsertPoint(behind);
  b.CreateCondBr(b.CreateICmpSLT(full_end, to), rest, done);

  b.SetInsertPoint(out);
  for (int a = 0; a < count; ++a) {
    if (stores[a]) store(a, place(advance(a, origin.accesses[a], full_end)), load(a, place(copies[a]), width, nullptr), width, mask());
  }
  b.CreateBr(done);
  for (llvm::BasicBlock* block : {behind, rest, out, done}) block->moveAfter(&function->back());
  b.SetInsertPoint(done);
}

void KernelEmitter::narrowing_loops(llvm::Value* from, llvm::Value* to, int width, llvm::Value* again,
                                    llvm::function_ref<void(llvm::Value* i, int width)> body) {
  auto run = [&](llvm::Value* first, llvm::Value* last, int lanes, llvm::function_ref<llvm::Value*(llvm::Value*)> at) {
    loop(first, last, i64(lanes), {}, true, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*>) {
      body(at(i), lanes);
      return Values{};
    });
  };
  auto same = [](llvm::Value* i) { return i; };
  llvm::Value* done = from;
  if (width > 1) {
    llvm::Value* n = b.CreateSub(to, from);
    done = b.CreateAdd(from, b.CreateAnd(n, i64(-width)));
    if (again) {
      llvm::Value* overlaps = b.CreateAnd(b.CreateICmpSGE(n, i64(width)), again);
      llvm::Value* last = b.CreateSub(to, i64(width));
      done = b.CreateSelect(overlaps, to, done);
      run(from, done, width, [&](llvm::Value* i) { return b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, i, last); });
    } else {
      run(from, done, width, same);
    }
  }
  if (width > 2 * kNarrowLanes) {
    llvm::Value* stop = b.CreateAdd(done, b.CreateAnd(b.CreateSub(to, done), i64(-kNarrowLanes)));
    if (again) {
      llvm::Value* overlaps = b.CreateAnd(b.CreateICmpSGE(b.CreateSub(to, from), i64(kNarrowLanes)), again);
      llvm::Value* last = b.CreateSub(to, i64(kNarrowLanes));
      stop = b.CreateSelect(overlaps, to, stop);
      run(done, stop, kNarrowLanes, [&](llvm::Value* i) { return b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, i, last); });
    } else {
      run(done, stop, kNarrowLanes, same);
    }
    done = stop;
  }
  run(done, to, 1, same);
}

std::vector<Level> levels_of(const KernelProgram& program) {
  std::vector<Level> levels;
  for (const Instr& instr : program.body) {
    Level level = Level::kernel;
    switch (instr.kind) {
      case InstrKind::load: {
        const Access& access = program.accesses[instr.slot];
        if (!access.uniform) level = access.stride == Stride::zero ? Level::row : Level::element;
        for (int arg : instr.args) level = std::max(level, levels[arg]);
        break;
      }
      case InstrKind::check:
      case InstrKind::compute:
        for (int arg : instr.args) level = std::max(level, levels[arg]);
        break;
      case InstrKind::reduce:
      case InstrKind::dot: level = program.kind() == KernelKind::column ? Level::element : Level::row; break;
      case InstrKind::index:
        level = program.indices[instr.slot] == Stride::zero ? Level::row : Level::element;
        break;
      case InstrKind::store: level = Level::element; break;
      default: break;
    }
    if (instr.per_row && program.kind() != KernelKind::column) level = std::min(level, Level::row);
    levels.push_back(level);
  }
  return levels;
}

void splat_for_elements(KernelEmitter& k, const std::vector<Level>& levels, int width,
                        std::vector<llvm::Value*>& values) {
  for (size_t i = 0; i < levels.size(); ++i) {
    if (levels[i] != Level::element || takes_scalars(k.program.body[i])) continue;
    for (int arg : k.program.body[i].args) {
      if (values[arg] && levels[arg] != Level::element) values[arg] = splat(k.b, values[arg], width);
    }
  }
}

}  // namespace etch::codegen
