// Walks a schedule address by address and finds what no kernel may do.
#include "tests/schedule/check_schedule.h"

#include <algorithm>

#include "compiler/ir/cat.h"

namespace etch {
namespace {

class Checker {
 public:
  Checker(const Schedule& schedule, const Graph& graph) : schedule_(schedule), graph_(graph) {
    arena_.assign(schedule.arena_bytes, -1);
    for (const ScheduledBuffer& buffer : schedule.buffers) {
      outputs_.emplace_back(buffer.kind == ScheduledBuffer::Kind::output ? buffer.bytes : 0, false);
    }
  }

  std::string run() {
    for (const ScheduledBuffer& buffer : schedule_.buffers) {
      bool aligned = buffer.offset % 64 == 0;
      bool inside = buffer.kind != ScheduledBuffer::Kind::temporary || buffer.bytes == 0 ||
                    buffer.offset + buffer.bytes <= schedule_.arena_bytes;
      if (!aligned || !inside) return cat("buffer of %", buffer.value.node, " lies outside the arena");
    }
    for (const ScheduledKernel& kernel : schedule_.kernels) {
      kernel_ = &kernel;
      check_program();
      if (error_.empty()) walk();
      if (!error_.empty()) return cat(kernel.name, ": ", error_);
    }
    if (schedule_.outputs.size() != graph_.outputs().size()) return "an output has no buffer";
    for (size_t i = 0; i < schedule_.outputs.size(); ++i) {
      const std::vector<bool>& written = outputs_[schedule_.outputs[i]];
      if (std::find(written.begin(), written.end(), false) != written.end()) return cat("output ", i, " has holes");
      if (schedule_.buffers[schedule_.outputs[i]].bytes != graph_[graph_.outputs()[i]].type.bytes()) {
        return cat("output ", i, " has another size");
      }
    }
    return "";
  }

 private:
  const KernelProgram& program() const { return kernel_->program; }
  void fail(const std::string& what) {
    if (error_.empty()) error_ = what;
  }

  void check_program() {
    SizesLayout layout(program());
    if (static_cast<int64_t>(kernel_->sizes.size()) != layout.count) fail("wrong number of sizes");
    if (kernel_->buffers.size() != program().accesses.size()) fail("wrong number of buffers");
    if (program().rank < 1 || kernel_->iterations <= 0) fail("no iterations");
    int stage = 0;
    for (size_t i = 0; i < program().body.size(); ++i) {
      const Instr& instr = program().body[i];
      if (instr.stage < stage) fail("stages do not ascend");
      stage = instr.stage;
      for (int32_t arg : instr.args) {
        if (arg < 0 || arg >= static_cast<int32_t>(i)) return fail(cat("argument of %", i, " does not come before it"));
        check_argument(instr, program().body[arg], static_cast<int>(i));
      }
    }
  }

  void check_argument(const Instr& instr, const Instr& arg, int position) {
    bool row_kernel = program().kind == KernelKind::row || program().kind == KernelKind::column;
    if (!row_kernel) return;
    bool row_value = arg.per_row || arg.kind == InstrKind::reduce;
    if (arg.kind == InstrKind::reduce && arg.stage >= instr.stage) fail(cat("%", position, " reads a sum too early"));
    if (!row_value && instr.per_row) fail(cat("%", position, " reads an element once per row"));
    if (!row_value && arg.stage != instr.stage) fail(cat("%", position, " reads an element of another stage"));
  }

  int reduced_axis() const {
    switch (program().kind) {
      case KernelKind::loop: return -1;
      case KernelKind::column: return program().rank - 2;
      default: return program().rank - 1;
    }
  }

  /// Every element of the domain: rows (without the reduced axis), then stages, then the elements of the row.
  void walk() {
    std::vector<int64_t> index(program().rank, 0);
    walk_axis(0, index);
  }

  void walk_axis(int axis, std::vector<int64_t>& index) {
    if (axis == program().rank) return visit_row(index);
    if (axis == reduced_axis()) return walk_axis(axis + 1, index);
    for (int64_t i = 0; i < kernel_->sizes[axis]; ++i) {
      index[axis] = i;
      walk_axis(axis + 1, index);
    }
  }

  void visit_row(std::vector<int64_t>& index) {
    const int axis = reduced_axis();
    int64_t n = axis < 0 ? 1 : kernel_->sizes[axis];
    if (program().partial) {
      int64_t block = kernel_->sizes[axis];
      int64_t which = index[axis - 1];
      n = std::min(n, kernel_->sizes[SizesLayout(program()).total()] - which * block);
    }
    int last = program().body.empty() ? 0 : program().body.back().stage;
    for (int stage = 0; stage <= last; ++stage) {
      if (axis >= 0) index[axis] = 0;
      visit(stage, true, index);
      bool over_elements = program().kind != KernelKind::dot || stage == 0;
      for (int64_t i = 0; i < (over_elements ? n : 1); ++i) {
        if (axis >= 0) index[axis] = i;
        visit(stage, false, index);
      }
    }
  }

  void visit(int stage, bool per_row, const std::vector<int64_t>& index) {
    for (const Instr& instr : program().body) {
      if (instr.stage != stage || instr.per_row != per_row) continue;
      if (instr.kind == InstrKind::load) touch(instr.slot, index, false);
      if (instr.kind == InstrKind::store) touch(instr.slot, index, true);
    }
  }

  void touch(int slot, const std::vector<int64_t>& index, bool stores) {
    const int64_t* address = kernel_->sizes.data() + SizesLayout(program()).access(slot);
    int64_t element = address[0];
    for (int i = 0; i < program().rank; ++i) element += address[1 + i] * index[i];
    int64_t size = size_of(program().accesses[slot].dtype);
    int id = kernel_->buffers[slot];
    const ScheduledBuffer& buffer = schedule_.buffers[id];
    if (element < 0 || (element + 1) * size > buffer.bytes) return fail(cat("access #", slot, " leaves its buffer"));
    for (int64_t byte = element * size; byte < (element + 1) * size; ++byte) touch_byte(id, buffer, byte, stores);
  }

  void touch_byte(int id, const ScheduledBuffer& buffer, int64_t byte, bool stores) {
    switch (buffer.kind) {
      case ScheduledBuffer::Kind::input:
        if (stores) fail("writes an input");
        return;
      case ScheduledBuffer::Kind::output:
        if (!stores && !outputs_[id][byte]) fail(cat("reads output ", buffer.index, " before it is written"));
        outputs_[id][byte] = true;
        return;
      case ScheduledBuffer::Kind::temporary: break;
    }
    int& owner = arena_[buffer.offset + byte];
    if (!stores && owner != id) fail(cat("reads %", buffer.value.node, " where it does not lie"));
    owner = id;
  }

  const Schedule& schedule_;
  const Graph& graph_;
  const ScheduledKernel* kernel_ = nullptr;
  std::vector<int> arena_;                  // per byte: the buffer that was written last
  std::vector<std::vector<bool>> outputs_;  // per buffer and byte: written
  std::string error_;
};

}  // namespace

std::string check_schedule(const Schedule& schedule, const Graph& graph) { return Checker(schedule, graph).run(); }

}  // namespace etch
