// The body of a loop kernel, cut where many ops follow from each other.
#include "compiler/codegen/segments.h"

#include <algorithm>
#include <compare>
#include <numeric>
#include <set>

namespace etch::codegen {
namespace {

// Additions that follow from each other. The processor holds the instructions of about two vectors of a long body: where a
// chain is longer than this, it waits for them.
constexpr int kLongestChain = 18;
// With the registers of AVX-512, which hold an exponential's constants beside it, a division still goes with one.
constexpr int kLongestChainOfManyRegisters = 20;
// A body with a longer chain than that is cut into pieces of so many, or one dear op, each.
constexpr int kPieceOfChain = 14;
// What is left of a chain has to be worth a segment.
constexpr int kShortestRest = 5;
// Vectors of a block: more than are under way at a time, and few enough for what waits in scratch to stay in the first-level
// cache.
constexpr int kMostVectors = 16;
constexpr int kFewestVectors = 4;
constexpr int64_t kScratchBytes = 16 << 10;

/// The longest chain of additions that begins with each instruction.
std::vector<int> chains_behind(const KernelProgram& program, const std::vector<Level>& levels) {
  std::vector<int> chains(program.body.size());
  for (size_t i = chains.size(); i-- > 0;) {
    const Instr& instr = program.body[i];
    if (instr.kind == InstrKind::compute && levels[i] == Level::element) {
      chains[i] += latency_of(program, instr);
    }
    for (int arg : instr.args) chains[arg] = std::max(chains[arg], chains[i]);
  }
  return chains;
}

/// The segment of each instruction per element; -1 for those that each segment does anew, and for all other levels.
std::vector<int> segment_of(const KernelProgram& program, const std::vector<Level>& levels, const Target& target) {
  struct Place {
    int segment = 0, chain = 0;  // and the additions of the longest chain in it, up to an instruction
    auto operator<=>(const Place&) const = default;
  };
  const std::vector<int> behind = chains_behind(program, levels);
  const int longest = target.masked_ops ? kLongestChainOfManyRegisters : kLongestChain;
  const bool is_long = std::any_of(behind.begin(), behind.end(), [&](int chain) { return chain > longest; });
  std::vector<int> segments;
  std::vector<Place> places;
  int last = 0;
  for (size_t i = 0; i < program.body.size(); ++i) {
    const Instr& instr = program.body[i];
    Place place;
    for (int arg : instr.args) place = std::max(place, places[arg]);
    if (is_long && instr.kind == InstrKind::compute && levels[i] == Level::element) {
      const int length = latency_of(program, instr);
      const bool cuts = place.chain > 0 && place.chain + length > kPieceOfChain && behind[i] >= kShortestRest;
      place = cuts ? Place{place.segment + 1, length} : Place{place.segment, place.chain + length};
    }
    places.push_back(place);
    const bool dense = instr.kind == InstrKind::load && instr.args.empty() && program.accesses[instr.slot].stride == Stride::one;
    const bool anew = dense || instr.kind == InstrKind::index;
    segments.push_back(levels[i] != Level::element || anew ? -1 : place.segment);
    last = std::max(last, segments.back());
  }
  // Stores go last: where they write, an earlier segment may read the elements behind.
  for (size_t i = 0; i < segments.size(); ++i) {
    if (program.body[i].kind == InstrKind::store) segments[i] = last;
  }
  return segments;
}

}  // namespace

Segments::Segments(KernelEmitter& k, const std::vector<Level>& levels, int width)
    : k_(k), block_(kMostVectors * width), scratch_(k.program.body.size()) {
  const KernelProgram& program = k.program;
  const std::vector<int> of = segment_of(program, levels, k.target);
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
  }
  place_in_scratch(of);
}

/// Values wait in the place of others that no segment reads any more. Not in that of one which the same segment reads: the
/// last vector of a block may be computed twice.
void Segments::place_in_scratch(const std::vector<int>& segment_of) {
  std::vector<int> last_reader(scratch_.size(), -1);
  for (int s = 0; s < count(); ++s) {
    for (int value : segments_[s].loads) last_reader[value] = s;
  }
  for (int value = 0; value < static_cast<int>(last_reader.size()); ++value) {
    if (last_reader[value] >= 0) segments_[segment_of[value]].stores.push_back(value);
  }
  std::vector<int> place(scratch_.size(), -1), last;                // per value; per place: who reads it last
  std::vector<int64_t> bytes;                                       // of an element, per place
  for (int s = 0; s < count(); ++s) {
    for (int value : segments_[s].stores) {
      const int64_t size = size_of(k_.program.body[value].dtype);
      size_t p = 0;
      while (p < last.size() && (last[p] >= s || bytes[p] != size)) ++p;
      if (p == last.size()) {
        last.push_back(-1);
        bytes.push_back(size);
      }
      last[p] = last_reader[value];
      place[value] = static_cast<int>(p);
    }
  }
  const int64_t all = std::accumulate(bytes.begin(), bytes.end(), int64_t{0});
  const int64_t fewest = block_ * kFewestVectors / kMostVectors;
  while (all * block_ > kScratchBytes && block_ > fewest) block_ /= 2;
  std::vector<llvm::Value*> memory;
  for (int64_t size : bytes) memory.push_back(k_.scratch(block_ * size));
  for (size_t value = 0; value < place.size(); ++value) {
    if (place[value] >= 0) scratch_[value] = memory[place[value]];
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
