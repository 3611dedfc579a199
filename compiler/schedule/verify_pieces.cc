// The verifier of the pieces of a loop: notes for each element which piece writes it.
#include "compiler/schedule/verify_pieces.h"

#include <algorithm>
#include <set>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "compiler/ir/cat.h"
#include "compiler/schedule/lower_kernel.h"
#include "compiler/schedule/verify_access.h"
#include "runtime/rounding.h"

namespace etch {
namespace {

/// An axis along which an access moves upwards.
struct Steps {
  int64_t stride = 0, count = 0;
};

using Visit = absl::FunctionRef<void(int64_t first, int64_t last)>;

void visit_runs(std::span<const Steps> outer, int64_t first, int64_t length, Visit visit) {
  if (outer.empty()) return visit(first, first + length);
  const Steps& steps = outer.back();
  for (int64_t i = 0; i < steps.count; ++i) {
    visit_runs(outer.first(outer.size() - 1), first + i * steps.stride, length, visit);
  }
}

/// Visits the elements of an access as runs first .. last that lie beside each other. What an index leads to may be anything
/// behind the first element.
void visit_elements(const ScheduledKernel& kernel, int access, int64_t elements, Visit visit) {
  const Address address(kernel, access);
  if (kernel.program.accesses[access].indexed != Indexed::no) return visit(0, elements);
  int64_t first = address.offset();
  std::vector<Steps> axes;
  for (int axis = 0; axis < kernel.program.rank(); ++axis) {
    const auto [begin, end] = range_of(kernel, access, axis, kernel.sizes[axis] - 1);
    if (end < begin) return;
    const int64_t stride = address.stride(axis);
    const int64_t indices = axis == address.repeating ? std::min(address.period(), end + 1) : end - begin + 1;
    first += stride * (stride < 0 ? end : begin);
    if (stride != 0 && indices > 1) axes.push_back({std::abs(stride), indices});
  }
  std::ranges::sort(axes, {}, &Steps::stride);
  int64_t length = 1;
  size_t inner = 0;
  for (; inner < axes.size() && axes[inner].stride == length; ++inner) length *= axes[inner].count;
  visit_runs(std::span(axes).subspan(inner), first, length, visit);
}

/// Kernels first .. end - 1, the pieces of one loop.
class PiecesCheck {
 public:
  PiecesCheck(const Schedule& schedule, const Graph& graph, int first, int end) : schedule_(schedule), graph_(graph) {
    for (int k = first; k < end; ++k) {
      const ScheduledKernel& piece = schedule.kernels[k];
      pieces_.push_back(&piece);
      stored_.push_back(schedule::stored_accesses(piece));
    }
  }

  std::string run() {
    std::set<int> written;
    for (size_t p = 0; p < pieces_.size(); ++p) {
      for (size_t a = 0; a < stored_[p].size(); ++a) {
        if (stored_[p][a]) written.insert(pieces_[p]->buffers[a]);
      }
    }
    for (int id : written) check(id);
    return error_;
  }

 private:
  const ScheduledBuffer& buffer(size_t piece, size_t access) const { return schedule_.buffers[pieces_[piece]->buffers[access]]; }
  int64_t size(size_t piece, size_t access) const { return size_of(pieces_[piece]->program.accesses[access].dtype); }

  template <class Do>
  void for_accesses_to(const ScheduledBuffer& memory, bool stores, Do act) {
    for (size_t p = 0; p < pieces_.size(); ++p) {
      for (size_t a = 0; a < stored_[p].size(); ++a) {
        if (stored_[p][a] == stores && overlap(schedule_, buffer(p, a), memory)) act(p, a);
      }
    }
  }

  /// The memory of a buffer, in units of the narrowest element that any piece reads or writes there.
  void check(int id) {
    const ScheduledBuffer& memory = schedule_.buffers[id];
    int64_t unit = 8;
    const auto narrow = [&](size_t p, size_t a) { unit = std::min(unit, size(p, a)); };
    for_accesses_to(memory, true, narrow);
    for_accesses_to(memory, false, narrow);
    writers_.assign(ceil_div(memory.bytes, unit), kNobody);
    for_accesses_to(memory, true, [&](size_t p, size_t a) {
      visit(id, unit, p, a, [&](uint16_t& writer) {
        if (writer != kNobody && writer != p) fail(p, "writes", writer, id);
        writer = static_cast<uint16_t>(p);
      });
    });
    for_accesses_to(memory, false, [&](size_t p, size_t a) {
      visit(id, unit, p, a, [&](uint16_t writer) {
        if (writer != kNobody && writer != p) fail(p, "reads", writer, id);
      });
    });
  }

  template <class Do>
  void visit(int id, int64_t unit, size_t piece, size_t access, Do act) {
    const ScheduledBuffer &memory = schedule_.buffers[id], &at = buffer(piece, access);
    const int64_t bytes = size(piece, access);
    visit_elements(*pieces_[piece], static_cast<int>(access), at.bytes / bytes, [&](int64_t first, int64_t last) {
      const int64_t offset = at.offset - memory.offset;
      const int64_t begin = std::max<int64_t>(0, offset + first * bytes) / unit;
      const int64_t end = std::min(memory.bytes, offset + last * bytes) / unit;
      for (int64_t i = begin; i < end; ++i) act(writers_[i]);
    });
  }

  void fail(size_t piece, const char* what, size_t other, int id) {
    if (!error_.empty()) return;
    error_ = cat(pieces_[piece]->name, ": it ", what, " what ", pieces_[other]->name, ", a piece of the same loop, writes in ",
                 buffer_text(schedule_, id, graph_));
  }

  static constexpr uint16_t kNobody = 0xFFFF;

  const Schedule& schedule_;
  const Graph& graph_;
  std::vector<const ScheduledKernel*> pieces_;
  std::vector<std::vector<bool>> stored_;  // per piece and access
  std::vector<uint16_t> writers_;          // per unit: the number of the piece
  std::string error_;
};

}  // namespace

std::string check_pieces(const Schedule& schedule, const Graph& graph) {
  const auto num_kernels = static_cast<int>(schedule.kernels.size());
  for (int first = 0, end = 0; first < num_kernels; first = end) {
    const int loop = schedule.kernels[first].piece_of;
    for (end = first + 1; end < num_kernels && loop >= 0 && schedule.kernels[end].piece_of == loop;) ++end;
    if (end - first < 2) continue;
    if (std::string error = PiecesCheck(schedule, graph, first, end).run(); !error.empty()) return error;
  }
  return {};
}

}  // namespace etch
