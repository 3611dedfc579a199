// The verifier of schedules: programs, bounds, and what lies in memory when a kernel reads it.
#include "compiler/schedule/verify_schedule.h"

#include <algorithm>
#include <map>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "compiler/schedule/verify_access.h"
#include "compiler/schedule/verify_blocks.h"
#include "compiler/schedule/verify_flow.h"
#include "compiler/schedule/verify_pieces.h"
#include "compiler/schedule/verify_stripes.h"
#include "runtime/kernel_abi.h"

namespace etch {
namespace {

/// What holds for every kernel by itself; empty if all is well.
class KernelCheck {
 public:
  KernelCheck(const Schedule& schedule, const ScheduledKernel& kernel, const Graph& graph)
      : schedule_(schedule), kernel_(kernel), program_(kernel.program), graph_(graph) {}

  std::string run() {
    check_buffers();
    check_errors();
    if (kernel_.is_opaque()) {
      if (error_.empty()) check_opaque();
      return error_;
    }
    const bool is_scalar = program_.kind() == KernelKind::scalar;
    if (!is_scalar) check_axes();
    check_counts();
    if (error_.empty()) check_body();
    if (error_.empty()) fail_if(check_blocks(program_));
    if (error_.empty()) check_neighbours();
    if (error_.empty()) check_bounds();
    return error_;
  }

 private:
  void fail(std::string what) {
    if (error_.empty()) error_ = std::move(what);
  }

  void fail_if(std::string what) {
    if (!what.empty()) fail(std::move(what));
  }

  void check_buffers() {
    for (int id : kernel_.buffers) {
      if (id < 0 || id >= static_cast<int>(schedule_.buffers.size())) fail("an access has no buffer");
    }
  }

  /// Errors lie in memory of their own.
  void check_errors() {
    if (kernel_.checks.empty()) return;
    const int64_t begin = kernel_.errors, end = begin + static_cast<int64_t>(kernel_.checks.size() * sizeof(IndexError));
    if (begin < 0 || end > schedule_.arena_bytes) fail("its errors lie outside the arena");
    for (const ScheduledBuffer& buffer : schedule_.buffers) {
      const bool apart = buffer.offset >= end || buffer.offset + buffer.bytes <= begin;
      if (is_temporary(buffer) && !apart) fail("its errors lie in the memory of a value");
    }
  }

  void check_axes() {
    const auto& axes = program_.axes;
    const auto is_batch = [](Role role) { return role == Role::batch; };
    const auto first = std::find_if_not(axes.begin(), axes.end(), is_batch);
    if (first == axes.end()) return fail("no axis is for the lanes");
    if (std::any_of(first, axes.end(), is_batch)) fail("a batch axis is not among the first");
    const bool is_product = program_.has(Role::row);
    if (!is_product && std::count_if(axes.begin(), axes.end(), is_folded) > 1) fail("two axes are folded");
    for (auto role = first; role != axes.end(); ++role) {
      const bool may_repeat = is_product && (*role == Role::reduce || *role == Role::row);
      if (*role == Role::row && (role + 1 == axes.end() || (role[1] != Role::row && role[1] != Role::vector))) {
        fail("rows are not before the lanes");
      }
      if (!may_repeat && std::find(role + 1, axes.end(), *role) != axes.end()) fail("two axes have one role");
      if (is_product && is_folded(*role) && role + 1 != axes.end() && !is_folded(role[1])) fail("steps are not the last axes");
      const bool before_lanes = role + 2 == axes.end() && role[1] == Role::vector;
      if (*role == Role::sweep && !before_lanes) fail("the axis that lanes sweep is not before theirs");
      const bool before_folded = role + 1 != axes.end() && is_folded(role[1]);
      if (*role == Role::block && !before_folded) fail("blocks are not followed by what they are blocks of");
    }
  }

  void check_opaque() {
    if (kernel_.call) return check_call();
    kernel_.host ? check_host() : check_flow();
  }

  void check_host() {
    const ScheduledHost& host = *kernel_.host;
    if (!host.function) fail("there is no function of the host");
    check_results(0);
    const bool fits = kernel_.num_operands == 1 + static_cast<int>(host.operands.size()) &&
                      kernel_.values.size() == 1 + host.results.size();
    if (!fits) fail("its types are not those of its operands and results");
  }

  void check_call() {
    const ScheduledCall& call = *kernel_.call;
    if (!library_function(call.function, call.dtype).fn) fail(cat("there is no such function for ", name(call.dtype)));
    check_results(0);
  }

  /// A flow has memory of its own, behind the results.
  void check_flow() {
    check_results(1);
    if (error_.empty() && schedule_.buffers[kernel_.buffers.back()].bytes < kernel_.flow->bytes) {
      fail("its own memory is too small");
    }
  }

  void check_results(int num_others) {
    if (kernel_.iterations <= 0) fail("it has no iterations");
    const auto results = static_cast<int>(kernel_.buffers.size()) - kernel_.num_operands - num_others;
    if (kernel_.num_operands < 0 || results != static_cast<int>(kernel_.values.size())) {
      return fail("its number of buffers is wrong");
    }
    for (int i = 0; i < results; ++i) {
      const int slot = kernel_.num_operands + i;
      const ScheduledBuffer& buffer = schedule_.buffers[kernel_.buffers[slot]];
      if (buffer.kind == ScheduledBuffer::Kind::input) fail(cat("it writes ", text(slot)));
      if (buffer.value != kernel_.values[i]) fail(cat("a result is not what is in ", text(slot)));
    }
  }

  void check_counts() {
    if (kernel_.iterations <= 0) fail("it has no iterations");
    if (program_.body.empty()) fail("it has no instructions");
    const bool is_short = program_.short_row == 0 || kernel_.sizes[program_.rank() - 1] == program_.short_row;
    if (!is_short) fail("its rows have another length than its code");
    if (program_.groups_rows && kernel_.sizes[program_.rank() - 1] > kMostGroupedRow) fail("its rows are too long for groups");
    if (static_cast<int64_t>(kernel_.sizes.size()) != SizesLayout(program_).count) fail("its number of sizes is wrong");
    if (kernel_.buffers.size() != program_.accesses.size()) fail("its number of buffers is wrong");
    if (static_cast<int>(kernel_.checks.size()) != program_.num_checks) fail("its number of checks is wrong");
  }

  void check_body() {
    int stage = 0;
    for (size_t i = 0; i < program_.body.size(); ++i) {
      const Instr& instr = program_.body[i];
      if (instr.stage < stage) fail("its stages do not ascend");
      stage = instr.stage;
      check_slot(instr, i);
      check_index(instr, i);
      for (int32_t arg : instr.args) {
        bool before = arg >= 0 && arg < static_cast<int32_t>(i);
        if (!before) return fail(cat("an argument of %", i, " does not come before it"));
        check_argument(instr, program_.body[arg], i);
      }
    }
  }

  void check_slot(const Instr& instr, size_t position) {
    int count = 0;
    switch (instr.kind) {
      case InstrKind::load:
      case InstrKind::store: count = static_cast<int>(program_.accesses.size()); break;
      case InstrKind::index: count = static_cast<int>(program_.indices.size()); break;
      case InstrKind::param: count = program_.num_params; break;
      case InstrKind::check: count = program_.num_checks; break;
      case InstrKind::constant: count = static_cast<int>(program_.constants.size()); break;
      default: return;
    }
    if (instr.slot < 0 || instr.slot >= count) fail(cat("%", position, " has no place"));
    if (!error_.empty() || instr.kind != InstrKind::store) return;
    const ScheduledBuffer& buffer = schedule_.buffers[kernel_.buffers[instr.slot]];
    if (buffer.kind == ScheduledBuffer::Kind::input) fail(cat("it writes ", text(instr.slot)));
  }

  /// Nothing but what a check let through leads into memory.
  void check_index(const Instr& instr, size_t position) {
    if (instr.kind != InstrKind::load || !error_.empty()) return;
    const bool indexed = program_.accesses[instr.slot].indexed != Indexed::no;
    const bool checked = instr.args.size() == 1 && program_.body[instr.args[0]].kind == InstrKind::check;
    if (indexed ? !checked : !instr.args.empty()) fail(cat("%", position, " is at an index that nothing checked"));
  }

  void check_argument(const Instr& instr, const Instr& arg, size_t position) {
    if (!program_.has_rows()) return;
    bool row_value = arg.per_row || arg.kind == InstrKind::reduce;
    if (arg.kind == InstrKind::reduce && arg.stage >= instr.stage) fail(cat("%", position, " reads a sum too early"));
    if (!row_value && instr.per_row) fail(cat("%", position, " reads an element once per row"));
    if (!row_value && arg.stage != instr.stage) fail(cat("%", position, " reads an element of another stage"));
  }

  /// What the structure says of neighbouring elements has to hold for the sizes.
  void check_neighbours() {
    for (int slot = 0; slot < static_cast<int>(program_.accesses.size()); ++slot) {
      const Access& access = program_.accesses[slot];
      const Address address(kernel_, slot);
      if (access.repeats) check_period(slot, address);
      if (program_.sweeps()) check_sweep(slot, address);
      check_like(slot, address);
      if (access.fill >= (program_.sweeps() ? program_.num_params : 0)) fail(cat("access #", slot, " has no fill"));
      const bool has_next = program_.rank() > 1 && (!program_.has_rows() || program_.short_row > 0);
      const bool near = has_next && address.stride(program_.rank() - 2) == access.next_row;
      if (access.next_row > 0 && !near) fail(cat("access #", slot, " has no near next row"));
      if (access.group < 0) continue;
      const Address first(kernel_, access.group);
      bool together = kernel_.buffers[slot] == kernel_.buffers[access.group] &&
                      address.offset() - first.offset() == access.element;
      for (int axis = 0; axis < program_.rank(); ++axis) together &= address.stride(axis) == first.stride(axis);
      if (!together) fail(cat("access #", slot, " is not element ", static_cast<int>(access.element), " of its group"));
    }
  }

  void check_sweep(int slot, const Address& address) {
    const Access& access = program_.accesses[slot];
    if (kernel_.sizes[program_.rank() - 1] < kSweptLanes) fail("its lanes are too few to sweep");
    if (access.still && address.stride(program_.rank() - 2) != 0) fail(cat("access #", slot, " moves along the swept axis"));
  }

  void check_like(int slot, const Address& address) {
    const Access& access = program_.accesses[slot];
    if (access.like < 0) return;
    const Address like(kernel_, access.like);
    bool equal = access.like < slot && program_.accesses[access.like].dtype == access.dtype;
    for (int axis = 0; axis < program_.rank(); ++axis) equal &= address.stride(axis) == like.stride(axis);
    if (!equal) fail(cat("access #", slot, " has other strides than it says"));
  }

  void check_period(int slot, const Address& address) {
    const int lanes = program_.lanes_axis();
    const int64_t n = kernel_.sizes[lanes];
    bool fits = program_.axes[lanes] == Role::vector && address.period() > 0 && n % address.period() == 0 && n <= kMostRepeated;
    for (int axis = 0; axis < lanes; ++axis) fits &= address.stride(axis) == 0;
    if (!fits || program_.accesses[slot].stride != Stride::one) fail(cat("access #", slot, " cannot repeat"));
  }

  void check_bounds() {
    for (int slot = 0; slot < static_cast<int>(kernel_.buffers.size()); ++slot) {
      Address address(kernel_, slot);
      int64_t least = address.offset(), most = least + reach_of_index(slot);
      bool empty = false;
      for (int axis = 0; axis < program_.rank(); ++axis) {
        const auto [first, last] = range_of(kernel_, slot, axis, last_index(axis));
        const int64_t reach = address.reach(axis, last), start = address.distance(axis, first);
        least += std::min(start, reach);
        most += std::max(start, reach);
        empty |= kernel_.sizes[axis] == 0 || last < first;
      }
      int64_t size = size_of(program_.accesses[slot].dtype);
      if (!empty && (least < 0 || (most + 1) * size > schedule_.buffers[kernel_.buffers[slot]].bytes)) {
        fail(cat("access #", slot, " leaves ", text(slot)));
      }
    }
  }

  /// How far behind its address an access may find its element, by an index.
  int64_t reach_of_index(int slot) const {
    if (program_.accesses[slot].indexed == Indexed::no) return 0;
    for (const Instr& instr : program_.body) {
      if (instr.kind != InstrKind::load || instr.slot != slot) continue;
      const int64_t* check = kernel_.sizes.data() + SizesLayout(program_).check(program_.body[instr.args[0]].slot);
      return (check[0] - 1) * check[1];
    }
    return 0;
  }

  /// Blocks of a reduction: the last one is short, so the axis of blocks reaches less far than its extent says.
  int64_t last_index(int axis) const {
    const int folded = program_.folded_axis();
    if (!program_.has(Role::block) || (axis != folded && axis != folded - 1)) return kernel_.sizes[axis] - 1;
    int64_t block = kernel_.sizes[folded], last = kernel_.sizes[SizesLayout(program_).total()] - 1;
    return axis == folded ? last % block : last / block;
  }

  std::string text(int slot) const { return buffer_text(schedule_, kernel_.buffers[slot], graph_); }

  const Schedule& schedule_;
  const ScheduledKernel& kernel_;
  const KernelProgram& program_;
  const Graph& graph_;
  std::string error_;
};

/// True for an operand of a call or flow that a result may lie over.
bool is_overwritten(const ScheduledKernel& kernel, int slot) {
  if (kernel.host) return false;
  if (kernel.call) return kernel.call->overwrites == slot;
  return std::ranges::any_of(kernel.flow->overwrites, [&](const auto& pair) { return pair.operand == slot; });
}

/// Executes the loads and stores of every kernel, element by element.
class Walk {
 public:
  /// `full`: the buffers that hold their values from the start.
  Walk(const Schedule& schedule, const Graph& graph, const std::vector<int>& full)
      : schedule_(schedule), graph_(graph) {
    owners_.resize(1 + schedule.stripes.size() + graph.outputs().size());
    owners_[0].assign(schedule.arena_bytes, kNobody);
    for (const ScheduledBuffer& buffer : schedule.buffers) {
      const bool is_output = buffer.kind == ScheduledBuffer::Kind::output;
      if (is_output) owners_[memory_of(schedule, buffer)].resize(buffer.bytes, kNobody);
    }
    for (int id : full) std::ranges::fill(owners_[memory_of(schedule, schedule.buffers[id])], id);
  }

  std::string run(const ScheduledKernel& kernel) {
    kernel_ = &kernel;
    if (kernel.is_opaque()) return run_opaque();
    run_iterations(0, num_iterations());
    return error_;
  }

  /// Block by block, with nothing in the memory of a block when it begins.
  std::string run(const ScheduledStripes& stripes) {
    std::vector<int>& memory = owners_[1 + (&stripes - schedule_.stripes.data())];
    for (first_row_ = 0; first_row_ < stripes.rows && error_.empty();) {
      const int64_t in_segment = stripes.segment - first_row_ % stripes.segment;
      const int64_t rows = std::min({stripes.block, in_segment, stripes.rows - first_row_});
      memory.assign(stripes.bytes, kNobody);
      for (int k = stripes.first; k < stripes.end(); ++k) {
        kernel_ = &schedule_.kernels[k];
        const int64_t per_row = num_iterations() / stripes.rows;
        run_iterations(first_row_ * per_row, (first_row_ + rows) * per_row);
      }
      first_row_ += rows;
    }
    return error_;
  }

  bool is_written(int id) const {
    const std::vector<int>& owners = owners_[memory_of(schedule_, schedule_.buffers[id])];
    return std::ranges::all_of(owners, [&](int owner) { return owner == id; });
  }

 private:
  const KernelProgram& program() const { return kernel_->program; }

  /// All results may be written before the last operand is read, but for one that a result may lie over.
  std::string run_opaque() {
    const int num_operands = kernel_->num_operands, count = static_cast<int>(kernel_->buffers.size());
    for (int slot = 0; slot < num_operands; ++slot) touch_all(slot, false);
    for (int slot = num_operands; slot < count; ++slot) touch_all(slot, true);
    for (int slot = 0; slot < count; ++slot) {
      if (!is_overwritten(*kernel_, slot)) touch_all(slot, false);
    }
    return error_;
  }

  void touch_all(int slot, bool stores) {
    const int id = kernel_->buffers[slot];
    for (int64_t byte = 0; byte < schedule_.buffers[id].bytes; ++byte) touch_byte(id, byte, stores);
  }

  /// The axis of what lies beside each other in an iteration, if there is such.
  int columns() const { return program().has(Role::row) || program().sweeps() ? program().axis(Role::vector) : -1; }
  bool is_counted(int axis) const { return program().is_counted(axis); }
  int64_t num_iterations() const {
    int64_t iterations = 1;
    for (int axis = 0; axis < program().rank(); ++axis) iterations *= is_counted(axis) ? kernel_->sizes[axis] : 1;
    return iterations;
  }

  /// Iterations first .. last, for each the stages, then the elements of the row.
  void run_iterations(int64_t first, int64_t last) {
    std::vector<int64_t> index(program().rank(), 0);
    const int columns = this->columns();
    for (int64_t iteration = first; iteration < last; ++iteration) {
      int64_t rest = iteration;
      for (int axis = program().rank() - 1; axis >= 0; --axis) {
        if (!is_counted(axis)) continue;
        index[axis] = rest % kernel_->sizes[axis];
        rest /= kernel_->sizes[axis];
      }
      for (int64_t column = 0; column < (columns < 0 ? 1 : kernel_->sizes[columns]); ++column) {
        if (columns >= 0) index[columns] = column;
        visit_row(index);
      }
    }
  }

  /// The elements of a row of a product, whose steps are the last axes.
  void visit_steps(int axis, std::vector<int64_t>& index) {
    if (axis == program().rank()) return visit(0, false, index);
    for (index[axis] = 0; index[axis] < kernel_->sizes[axis]; ++index[axis]) visit_steps(axis + 1, index);
    index[axis] = 0;
  }

  void visit_row(std::vector<int64_t>& index) {
    const int axis = program().folded_axis();
    if (program().has(Role::row)) {
      visit_steps(axis, index);
      return visit(1, false, index);
    }
    int64_t n = axis < 0 ? 1 : kernel_->sizes[axis];
    if (program().has(Role::block)) {
      int64_t block = kernel_->sizes[axis];
      int64_t which = index[axis - 1];
      n = std::min(n, kernel_->sizes[SizesLayout(program()).total()] - which * block);
    }
    int last = program().body.empty() ? 0 : program().body.back().stage;
    for (int stage = 0; stage <= last; ++stage) {
      if (axis >= 0) index[axis] = 0;
      visit(stage, true, index);
      for (int64_t i = 0; i < n; ++i) {
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
    Address address(*kernel_, slot);
    int64_t element = address.offset();
    const bool has_borders = program().accesses[slot].fill >= 0;
    for (int i = 0; i < program().rank(); ++i) {
      const auto [first, last] = range_of(*kernel_, slot, i, kernel_->sizes[i] - 1);
      if (has_borders && (index[i] < first || index[i] > last)) return;
      element += address.distance(i, index[i]);
    }
    int64_t size = size_of(program().accesses[slot].dtype);
    int id = kernel_->buffers[slot];
    for (int64_t byte = element * size; byte < (element + 1) * size; ++byte) touch_byte(id, byte, stores);
  }

  void touch_byte(int id, int64_t byte, bool stores) {
    const ScheduledBuffer& buffer = schedule_.buffers[id];
    if (buffer.kind == ScheduledBuffer::Kind::input) return;
    if (buffer.kind == ScheduledBuffer::Kind::stripe) {
      byte -= first_row_ * buffer.row_bytes / kStripeLine * kStripeLine;
      if (byte < 0 || byte >= room_of(schedule_, buffer)) return fail("outside of the rows of its block: ", id);
    }
    int& owner = owners_[memory_of(schedule_, buffer)][buffer.offset + byte];
    if (!stores && owner != id) fail(owner == kNobody ? "before it is written: " : "where it does not lie: ", id);
    owner = id;
  }

  void fail(const char* what, int id) {
    if (error_.empty()) error_ = cat("it reads a value ", what, buffer_text(schedule_, id, graph_));
  }

  const Schedule& schedule_;
  const Graph& graph_;
  const ScheduledKernel* kernel_ = nullptr;
  int64_t first_row_ = 0;  // of the block that is at work
  static constexpr int kNobody = -1;
  std::vector<std::vector<int>> owners_;  // per memory and byte: the buffer that was written last
  std::string error_;
};

/// The same for whole buffers: a kernel's stores bring a buffer to life and end those whose memory it takes.
class Summary {
 public:
  Summary(const Schedule& schedule, const Graph& graph, const std::vector<int>& full)
      : schedule_(schedule), graph_(graph), written_(schedule.buffers.size(), 0) {
    for (int id : full) alive_[place(schedule.buffers[id])] = id;
  }

  /// On whole buffers it is all the same which kernel of the stripes goes how far.
  std::string run(const ScheduledStripes& stripes) {
    std::string error;
    for (int k = stripes.first; k < stripes.end() && error.empty(); ++k) error = run(schedule_.kernels[k]);
    return error;
  }

  std::string run(const ScheduledKernel& kernel) {
    kernel_ = &kernel;
    stores_.assign(kernel.buffers.size(), false);
    if (kernel.is_opaque()) return run_opaque();
    for (const Instr& instr : kernel.program.body) {
      if (instr.kind == InstrKind::load && !holds(instr.slot)) return error("where it does not lie: ", instr.slot);
      if (instr.kind != InstrKind::store) continue;
      if (int slot = overwritten_by(instr); slot >= 0) return error("that it has overwritten: ", slot);
      stores_[instr.slot] = true;
    }
    for (size_t slot = 0; slot < stores_.size(); ++slot) {
      if (stores_[slot]) bring_to_life(static_cast<int>(slot));
    }
    return {};
  }

  bool is_written(int id) const {
    const auto owner = alive_.find(place(schedule_.buffers[id]));
    return written_[id] >= schedule_.buffers[id].bytes && (owner == alive_.end() || owner->second == id);
  }

 private:
  using Place = std::pair<int, int64_t>;  // memory, offset

  Place place(const ScheduledBuffer& buffer) const { return {memory_of(schedule_, buffer), buffer.offset}; }
  bool overlaps(const ScheduledBuffer& a, const ScheduledBuffer& b) const { return overlap(schedule_, a, b); }

  const ScheduledBuffer& buffer(int slot) const { return schedule_.buffers[kernel_->buffers[slot]]; }

  std::string run_opaque() {
    const int num_operands = kernel_->num_operands, count = static_cast<int>(kernel_->buffers.size());
    for (int slot = 0; slot < num_operands; ++slot) {
      if (!holds(slot)) return error("where it does not lie: ", slot);
    }
    for (int slot = num_operands; slot < count; ++slot) bring_to_life(slot);
    for (int slot = 0; slot < count; ++slot) {
      if (!is_overwritten(*kernel_, slot) && !holds(slot)) return error("that it has overwritten: ", slot);
    }
    return {};
  }

  bool stored_here(int id) const {
    for (size_t slot = 0; slot < stores_.size(); ++slot) {
      if (stores_[slot] && kernel_->buffers[slot] == id) return true;
    }
    return false;
  }

  bool holds(int slot) const {
    int id = kernel_->buffers[slot];
    if (buffer(slot).kind == ScheduledBuffer::Kind::input || buffer(slot).bytes == 0 || stored_here(id)) return true;
    auto owner = alive_.find(place(buffer(slot)));
    return owner != alive_.end() && owner->second == id;
  }

  /// A load after this store, or where no store to its buffer goes, of a buffer in the same memory.
  int overwritten_by(const Instr& store) const {
    const ScheduledBuffer& target = buffer(store.slot);
    const KernelProgram& program = kernel_->program;
    for (const Instr& instr : program.body) {
      if (instr.kind != InstrKind::load || kernel_->buffers[instr.slot] == kernel_->buffers[store.slot]) continue;
      const ScheduledBuffer& source = buffer(instr.slot);
      if (!overlaps(source, target)) continue;
      bool before = &instr < &store && instr.per_row == store.per_row;
      bool same_place = source.offset == target.offset && is_stored_over(instr.slot, kernel_->buffers[store.slot]);
      if (!before || !same_place) return instr.slot;
    }
    return -1;
  }

  /// True if one of the stores into a buffer goes where the access reads, of another buffer.
  bool is_stored_over(int read, int id) const {
    const KernelProgram& program = kernel_->program;
    if (program.accesses[read].indexed != Indexed::no) return false;
    for (const Instr& instr : program.body) {
      if (instr.kind != InstrKind::store || kernel_->buffers[instr.slot] != id) continue;
      if (Address(*kernel_, read) == Address(*kernel_, instr.slot) &&
          size_of(program.accesses[read].dtype) == size_of(program.accesses[instr.slot].dtype)) {
        return true;
      }
    }
    return false;
  }

  void bring_to_life(int slot) {
    const ScheduledBuffer& target = buffer(slot);
    written_[kernel_->buffers[slot]] += stored_bytes(slot);
    auto it = alive_.lower_bound(place(target));
    if (it != alive_.begin() && overlaps(schedule_.buffers[std::prev(it)->second], target)) --it;
    while (it != alive_.end() && overlaps(schedule_.buffers[it->second], target)) it = alive_.erase(it);
    alive_[place(target)] = kernel_->buffers[slot];
  }

  /// Bytes of the elements that an access visits, each once.
  int64_t stored_bytes(int slot) const {
    if (kernel_->is_opaque()) return buffer(slot).bytes;
    Address address(*kernel_, slot);
    int64_t count = size_of(kernel_->program.accesses[slot].dtype);
    for (int axis = 0; axis < kernel_->program.rank(); ++axis) {
      if (address.stride(axis) != 0) count *= kernel_->sizes[axis];
    }
    return count;
  }

  std::string error(const char* what, int slot) const {
    return cat("it reads a value ", what, buffer_text(schedule_, kernel_->buffers[slot], graph_));
  }

  const Schedule& schedule_;
  const Graph& graph_;
  const ScheduledKernel* kernel_ = nullptr;
  std::vector<bool> stores_;       // per access of the kernel: stored to so far
  std::vector<int64_t> written_;   // per buffer: bytes
  std::map<Place, int> alive_;     // the buffer that lies there
};

/// Of the kernel's loads and stores; just above `most` if there are more.
int64_t touched_bytes(const ScheduledKernel& kernel, int64_t most) {
  int64_t elements = 1, per_element = 0;
  for (int axis = 0; axis < kernel.program.rank(); ++axis) {
    int64_t extent = std::max<int64_t>(kernel.sizes[axis], 1);
    if (elements > most / extent) return most + 1;
    elements *= extent;
  }
  for (const Instr& instr : kernel.program.body) {
    bool touches = instr.kind == InstrKind::load || instr.kind == InstrKind::store;
    per_element += touches ? size_of(kernel.program.accesses[instr.slot].dtype) : 0;
  }
  return elements * per_element;
}

/// Of the operands and results of a call or flow.
int64_t buffer_bytes(const Schedule& schedule, const ScheduledKernel& kernel) {
  int64_t bytes = 0;
  for (int id : kernel.buffers) bytes += 2 * schedule.buffers[id].bytes;  // they are looked at twice
  return bytes;
}

bool touches_at_most(const Schedule& schedule, int64_t most) {
  int64_t bytes = schedule.arena_bytes;
  for (const ScheduledKernel& kernel : schedule.kernels) {
    bytes += kernel.is_opaque() ? buffer_bytes(schedule, kernel) : touched_bytes(kernel, most);
    if (bytes > most) return false;
  }
  return true;
}

std::string check_buffers(const Schedule& schedule, const Graph& graph) {
  for (size_t id = 0; id < schedule.buffers.size(); ++id) {
    const ScheduledBuffer& buffer = schedule.buffers[id];
    const bool is_output = buffer.kind == ScheduledBuffer::Kind::output;
    if (is_output && buffer.bytes != graph.type(graph.outputs()[buffer.index]).bytes()) {
      return cat(buffer_text(schedule, static_cast<int>(id), graph), " has another size than the output");
    }
    bool inside = !is_temporary(buffer) || buffer.bytes == 0 || buffer.offset + buffer.bytes <= schedule.arena_bytes;
    if (buffer.offset % 64 == 0 && inside) continue;
    return cat(buffer_text(schedule, static_cast<int>(id), graph), " lies outside the arena");
  }
  return {};
}

template <class Memory>
std::string check_outputs(const Schedule& schedule, const Graph& graph, const Memory& memory) {
  if (schedule.outputs.size() != graph.outputs().size()) return "an output has no buffer";
  for (size_t i = 0; i < schedule.outputs.size(); ++i) {
    int id = schedule.outputs[i];
    const ScheduledBuffer& buffer = schedule.buffers[id];
    if (buffer.bytes != graph.type(graph.outputs()[i]).bytes()) {
      return cat("output ", i, " has another size than ", buffer_text(schedule, id, graph));
    }
    if (buffer.kind != ScheduledBuffer::Kind::input && !memory.is_written(id)) {
      return cat("no kernel writes all of ", buffer_text(schedule, id, graph));
    }
  }
  return {};
}

/// The schedule as it runs where every output that may overwrite an input does so: those inputs lie in its memory.
Schedule overwriting(const Schedule& schedule, std::vector<int>& full) {
  Schedule result = schedule;
  for (size_t id = 0; id < result.buffers.size(); ++id) {
    ScheduledBuffer& buffer = result.buffers[id];
    const auto output = std::ranges::find(schedule.overwrites, buffer.index);
    if (buffer.kind != ScheduledBuffer::Kind::input || output == schedule.overwrites.end()) continue;
    buffer.kind = ScheduledBuffer::Kind::output;
    buffer.index = static_cast<int>(output - schedule.overwrites.begin());
    full.push_back(static_cast<int>(id));
  }
  return result;
}

template <class Memory>
std::string check_all(const Schedule& schedule, const Graph& graph, const std::vector<int>& full) {
  Memory memory(schedule, graph, full);
  if (std::string error = check_buffers(schedule, graph); !error.empty()) return error;
  auto stripes = schedule.stripes.begin();
  for (int k = 0; k < static_cast<int>(schedule.kernels.size()); ++k) {
    const ScheduledKernel& kernel = schedule.kernels[k];
    const bool begins = stripes != schedule.stripes.end() && k == stripes->first;
    const std::string error = begins ? memory.run(*stripes) : memory.run(kernel);
    if (!error.empty()) return cat(kernel.name, begins ? " and those behind it: " : ": ", error);
    if (begins) k = (stripes++)->end() - 1;
  }
  return check_outputs(schedule, graph, memory);
}

}  // namespace

absl::Status verify(const Schedule& schedule, const Graph& graph, int64_t walked_bytes) {
  std::string error;
  for (const ScheduledKernel& kernel : schedule.kernels) {
    error = KernelCheck(schedule, kernel, graph).run();
    if (!error.empty()) return absl::InternalError(cat("the schedule is wrong: ", kernel.name, ": ", error));
    if (!kernel.flow) continue;
    if (absl::Status status = verify_flow(*kernel.flow, kernel.num_operands, walked_bytes); !status.ok()) return status;
  }
  if (error = check_stripes(schedule); !error.empty()) return absl::InternalError(cat("the schedule is wrong: ", error));
  std::vector<int> full;
  const Schedule run = overwriting(schedule, full);
  if (error = check_pieces(run, graph); !error.empty()) return absl::InternalError(cat("the schedule is wrong: ", error));
  bool walk = touches_at_most(run, walked_bytes);
  error = walk ? check_all<Walk>(run, graph, full) : check_all<Summary>(run, graph, full);
  if (!error.empty()) return absl::InternalError(cat("the schedule is wrong: ", error));
  return absl::OkStatus();
}

}  // namespace etch
