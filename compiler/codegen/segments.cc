// The body of a loop kernel, cut where dear ops follow from each other.
#include "compiler/codegen/segments.h"

#include <algorithm>
#include <set>

namespace etch::codegen {
namespace {

/// The segment of each instruction per element; -1 for those that each segment does anew, and for all other levels.
std::vector<int> segment_of(const KernelProgram& program, const std::vector<Level>& levels) {
  std::vector<int> segments;
  std::vector<int> chains;  // dear computes in a row, up to this instruction
  int last = 0;
  for (size_t i = 0; i < program.body.size(); ++i) {
    const Instr& instr = program.body[i];
    int chain = 0;
    for (int arg : instr.args) chain = std::max(chain, chains[arg]);
    if (instr.kind == InstrKind::compute && levels[i] == Level::element && cost_of(instr) >= kCheapWork) ++chain;
    chains.push_back(chain);
    const bool dense = instr.kind == InstrKind::load && program.accesses[instr.slot].stride == Stride::one;
    const bool anew = dense || instr.kind == InstrKind::index;
    segments.push_back(levels[i] != Level::element || anew ? -1 : std::max(0, chain - 1));
    last = std::max(last, segments.back());
  }
  // Stores go last: where they write, an earlier segment may read the elements behind.
  for (size_t i = 0; i < segments.size(); ++i) {
    if (program.body[i].kind == InstrKind::store) segments[i] = last;
  }
  return segments;
}

}  // namespace

Segments::Segments(KernelEmitter& k, const std::vector<Level>& levels, int64_t block)
    : k_(k), scratch_(k.program.body.size()) {
  const KernelProgram& program = k.program;
  const std::vector<int> of = segment_of(program, levels);
  segments_.resize(1 + std::max(0, *std::max_element(of.begin(), of.end())));
  std::vector<std::set<int>> instrs(segments_.size()), loads(segments_.size());
  for (int i = 0; i < static_cast<int>(of.size()); ++i) {
    if (of[i] < 0) continue;
    instrs[of[i]].insert(i);
    for (int arg : program.body[i].args) {
      if (of[arg] >= 0 && of[arg] < of[i]) loads[of[i]].insert(arg);
      if (of[arg] < 0 && levels[arg] == Level::element) instrs[of[i]].insert(arg);
    }
  }
  for (int s = 0; s < count(); ++s) {
    segments_[s].instrs.assign(instrs[s].begin(), instrs[s].end());
    segments_[s].loads.assign(loads[s].begin(), loads[s].end());
    for (int value : segments_[s].loads) {
      if (scratch_[value]) continue;
      scratch_[value] = k.scratch(block * size_of(program.body[value].dtype));
      segments_[of[value]].stores.push_back(value);
    }
  }
}

void Segments::emit(int segment, llvm::Value* place, const Cursor& at, std::vector<llvm::Value*>& values) {
  Builder& b = k_.b;
  // Flags stand in scratch as bytes.
  auto type = [&](int value) {
    llvm::Type* element = memory_type(k_.context, k_.program.body[value].dtype);
    return at.width == 1 ? element : llvm::FixedVectorType::get(element, at.width);
  };
  for (int value : segments_[segment].loads) {
    const DType dtype = k_.program.body[value].dtype;
    values[value] = b.CreateAlignedLoad(type(value), address(value, place), llvm::Align(size_of(dtype)));
    if (dtype == DType::boolean) values[value] = b.CreateIsNotNull(values[value]);
  }
  k_.emit_all(segments_[segment].instrs, at, values, [](int) {});
  for (int value : segments_[segment].stores) {
    const DType dtype = k_.program.body[value].dtype;
    llvm::Value* lanes = splat(b, values[value], at.width);
    if (dtype == DType::boolean) lanes = b.CreateZExt(lanes, type(value));
    b.CreateAlignedStore(lanes, address(value, place), llvm::Align(size_of(dtype)));
  }
}

llvm::Value* Segments::address(int value, llvm::Value* place) {
  return k_.b.CreateInBoundsGEP(memory_type(k_.context, k_.program.body[value].dtype), scratch_[value], place);
}

}  // namespace etch::codegen
