// What the kernel emitters share: the frame of a kernel function, loops, and the instructions of a program on lanes of any
// width. Internal to code generation: includes LLVM.
#pragma once

#include <llvm/ADT/ArrayRef.h>
#include <llvm/ADT/STLFunctionalExtras.h>
#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <map>
#include <string>
#include <vector>

#include "compiler/codegen/codegen.h"
#include "compiler/schedule/costs.h"

namespace etch::codegen {

using Builder = llvm::IRBuilder<>;
using Values = llvm::SmallVector<llvm::Value*, 8>;

/// The type of `width` lanes of a dtype as values: scalars at width 1; bool is i1; 16-bit floats are the integers of
/// their bits.
llvm::Type* lanes_type(llvm::LLVMContext& context, DType dtype, int width);

/// The type of one element in memory: as lanes_type at width 1, but bool is i8.
llvm::Type* memory_type(llvm::LLVMContext& context, DType dtype);

/// The same scalar in `width` lanes; what is a vector already, or width 1, is returned as it is.
llvm::Value* splat(Builder& b, llvm::Value* value, int width);

/// Lane i holds start + i * step (i64); scalars at width 1.
llvm::Value* lane_ramp(Builder& b, llvm::Value* start, llvm::Value* step, int width);

/// Where the lanes of one access, or of one index, stand.
struct Place {
  llvm::Value* lane0 = nullptr;   // access: pointer to the element of lane 0; index: its i64 value in lane 0
  Stride stride = Stride::one;    // from lane to lane
  llvm::Value* step = nullptr;    // i64, from lane to lane, of accesses that are not dense and of indices that change
};

/// Which lanes of a vector are on. Lanes that are off load 0 and store nothing.
struct Mask {
  llvm::Value* lanes = nullptr;  // <width x i1>; null if all lanes are on
  llvm::Value* full = nullptr;   // i1: all lanes are on; null if nothing says so before the code runs
  llvm::Value* rest = nullptr;   // beside full: `lanes` where it is false, the same in every turn of the loop
};

/// Where a group of lanes stands in the domain.
struct Cursor {
  int width = 1;
  Mask mask;
  std::vector<Place> accesses;  // per access; entries that no emitted instruction uses may stay empty
  std::vector<Place> indices;
};

/// Where all accesses and indices stand at one tuple of outer indices, at index 0 of the axes inside.
struct Origin {
  std::vector<llvm::Value*> accesses;  // pointers
  std::vector<llvm::Value*> indices;   // i64 values
  llvm::Value* row = nullptr;          // the outer indices, flattened
  llvm::Value* last = nullptr;         // the index along the last outer axis; null if there is none
};

/// A kernel function while it is made, and its program. The builder `b` stands in the block `start`; sizes and base
/// pointers are loaded on demand, once, in the block `entry` before it.
class KernelEmitter {
 public:
  KernelEmitter(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                const std::string& name);

  /// Ends the function: `ret void` at the builder's place.
  llvm::Function* finish();

  /// Emits a part of the kernel as a function of its own, which the kernel calls here with `values`; the body makes it of those as
  /// its arguments. What the kernel loaded or computed before has no values in there. Not for kernels with checks or operands
  /// that repeat.
  void outline(const std::string& part, llvm::ArrayRef<llvm::Value*> values,
               llvm::function_ref<void(llvm::ArrayRef<llvm::Value*>)> body);

  const KernelProgram& program;
  const CodegenOptions& options;
  const Target& target;  // options.target
  const SizesLayout layout;
  llvm::LLVMContext& context;
  llvm::Function* function;
  Builder b;

  llvm::Value* begin() const { return function->getArg(2); }
  llvm::Value* end() const { return function->getArg(3); }

  /// sizes[i], an i64 loaded in `entry`.
  llvm::Value* size(int64_t i);
  llvm::Value* extent(int axis) { return size(layout.extent(axis)); }
  /// Elements from one index to the next along an axis of the domain.
  llvm::Value* access_stride(int access, int axis) {
    const int like = program.accesses[access].like;
    return size(layout.access(like < 0 ? access : like) + 1 + axis);
  }
  llvm::Value* index_stride(int index, int axis) { return size(layout.index(index) + 1 + axis); }
  /// The address of the element at index 0, ..., 0: base pointer plus offset, computed in `entry`.
  llvm::Value* origin(int access);
  /// The value of an index instruction's index at 0, ..., 0.
  llvm::Value* index_origin(int index) { return size(layout.index(index)); }
  /// A param as a scalar, made in `entry`.
  llvm::Value* param(int param, DType dtype);
  /// From here on params have no values: those that use them load them there.
  void load_params_where_used() { loads_params_ = true; }
  /// A few vectors of memory in the frame of the call, at a fixed place. What takes more is scratch: a frame may not
  /// outgrow a small stack.
  llvm::AllocaInst* frame(llvm::Type* type, llvm::Align alignment);
  /// Memory of the launch's scratch, at a fixed place that is aligned to 64. See KernelFn.
  llvm::Value* scratch(int64_t bytes);

  /// i1, computed in `entry`: no store of the stage goes where a load of it reads.
  llvm::Value* stores_apart(int stage = 0);

  /// From here on stores of whole vectors go past the caches where the sizes say so and the address is aligned for it.
  void let_stores_stream() { may_stream_ = true; }

  /// The value of an argument of an emitted instruction.
  llvm::Value* operand(int i, const std::vector<llvm::Value*>& values);

  /// Stores a whole vector.
  void store_whole(llvm::Value* vector, llvm::Value* address);

  /// `pointer` plus `elements` (i64) of the access's dtype.
  llvm::Value* advance(int access, llvm::Value* pointer, llvm::Value* elements);

  enum class Cache : uint8_t { first, second };
  /// Asks for the line of memory at an address, which need not exist, to be in a cache soon.
  void fetch(llvm::Value* address, Cache cache = Cache::second);
  /// Asks for the line at an address to be in the first cache soon, for a store.
  void fetch_to_write(llvm::Value* address);
  /// Asks for all lines of so many bytes to be in the first cache soon.
  void fetch_lines(llvm::Value* address, int64_t bytes);

  /// <width x i1>: lane i is on if i < count; count is an i64, not negative, and may be larger than width. Width 1 gives i1.
  llvm::Value* mask_of_count(llvm::Value* count, int width);
  /// The same of fewer lanes than `width`, which is more than 1.
  llvm::Value* mask_of_rest(llvm::Value* count, int width);

  llvm::ConstantInt* i64(int64_t value) { return b.getInt64(static_cast<uint64_t>(value)); }

  /// Emits instruction `i` (load, index, param, compute or store) for the lanes of `at` and sets values[i]. Operands
  /// are read from `values`; scalars among them are splat. Results of loads and indices of Stride::zero, and of
  /// computes whose operands are all scalars, stay scalars. Does nothing if values[i] is set.
  void emit(int i, const Cursor& at, std::vector<llvm::Value*>& values);

  /// Emits these instructions, ascending, for the lanes of `at`; `reduce` places the reductions among them. Stores go
  /// behind all else. Where at.mask.full is set, loads stand under branches on it as far as they can go together, and so
  /// do the stores: masked accesses cost up to half of the bandwidth beyond the caches.
  void emit_all(llvm::ArrayRef<int> instrs, const Cursor& at, std::vector<llvm::Value*>& values,
                llvm::function_ref<void(int)> reduce);

  /// Values that `body` makes with a mask of lanes: where mask.full is set, on both sides of a branch on it, once
  /// without a mask.
  Values branch_on_full(const Mask& mask, llvm::function_ref<Values(const Mask& mask)> body);

  /// True if an instruction casts lanes of an index to floats.
  bool casts_index(const Instr& instr, const Cursor& at) const;
  /// Those lanes as floats: from 32 bits, which convert fast, where all lanes fit in them.
  llvm::Value* cast_index(const Place& place, int width, DType to);

  /// The op on operands of the given dtype, all of one width.
  llvm::Value* compute(const Instr& instr, llvm::ArrayRef<llvm::Value*> operands, DType operand_dtype);

  /// Loads the lanes of an access: the value in lanes_type.
  llvm::Value* load(int access, const Place& place, int width, llvm::Value* mask);
  /// Looks at the index of a check, and notes those that are not below its extent; the index, 0 for those.
  llvm::Value* check(const Instr& instr, const Cursor& at, llvm::Value* index, llvm::Value* position);
  /// Loads the lanes of an access at an index, one or one for each lane.
  llvm::Value* load_at(const Instr& instr, const Cursor& at, llvm::Value* index);
  /// Stores lanes (lanes_type) of an access. Stride::zero stores one element; a mask must be null then.
  void store(int access, const Place& place, llvm::Value* value, int width, llvm::Value* mask);
  /// Emits the load `i` and all loads of its group in its stage.
  void load_group(int i, const Cursor& at, std::vector<llvm::Value*>& values);
  /// True if the group of this access is loaded, or stored, at once there.
  bool goes_together(const Access& access, const Cursor& at) const;
  /// What the store `i` writes, as memory has it: `width` lanes.
  llvm::Value* stored_lanes(int i, int width, const std::vector<llvm::Value*>& values);
  /// Stores these instructions' values; groups of accesses (see Access) go out as whole vectors.
  void store_all(llvm::ArrayRef<int> stores, const Cursor& at, std::vector<llvm::Value*>& values);

  /// do { next = body(i, carried) } while ((i += step) < to): `step` > 0. With `guard` nothing runs unless from < to.
  /// Returns the carried values after the loop.
  Values loop(llvm::Value* from, llvm::Value* to, llvm::Value* step, llvm::ArrayRef<llvm::Value*> initial, bool guard,
              llvm::function_ref<Values(llvm::Value* i, llvm::ArrayRef<llvm::Value*> carried)> body);

  using LanesBody =
      llvm::function_ref<Values(llvm::Value* i, const Mask& mask, llvm::ArrayRef<llvm::Value*> carried)>;

  /// Runs `body` for lanes i, i + 1, ..., i + width - 1 from `from` to `to`, where lanes past `to` are off. With
  /// `shared_body` the body is emitted once, with a mask that knows whether it is full; else twice, without a mask for
  /// full vectors. `guard` as for loop().
  Values vector_loop(llvm::Value* from, llvm::Value* to, int width, llvm::ArrayRef<llvm::Value*> initial, bool guard,
                     bool shared_body, LanesBody body);

  /// True if pad_rest() can serve the program's body.
  bool can_pad_rest(int width) const;

  /// Runs `body` for whole vectors of `width` lanes from `from` < `to` on: once for those that are, then, if elements are left behind
  /// them, for one that lies in the frame, where these were copied to and zeros stand behind them. So the body, which goes over whole
  /// vectors from `first` < `last` on, is emitted once and knows no masks.
  void pad_rest(const Origin& origin, llvm::Value* from, llvm::Value* to, int width,
                llvm::function_ref<void(const Origin& origin, llvm::Value* first, llvm::Value* last)> body);

  /// Runs `body` for vectors of `width` lanes from `from` to `to`, then for narrower ones and single elements: for what no
  /// masked instruction serves. Where `again` (i1; null is false) holds, the last vector may begin before the end of the
  /// one before it: computing an element twice has to give the same, and read nothing that was written.
  void narrowing_loops(llvm::Value* from, llvm::Value* to, int width, llvm::Value* again,
                       llvm::function_ref<void(llvm::Value* i, int width)> body);

  /// Walks the tuples of the axes 0 .. outer - 1, flattened, from `first` < `last`. Tuples of no axes are one.
  void walk(llvm::Value* first, llvm::Value* last, int outer, llvm::function_ref<void(const Origin&)> body);

  /// Walks iterations begin .. end, where an iteration is a tuple of the axes 0 .. outer - 1 and an index of `axis`: the
  /// body does those with index from < to of one tuple.
  void walk_segments(int outer, int axis,
                     llvm::function_ref<void(const Origin&, llvm::Value* from, llvm::Value* to)> body);

  /// The origin at index 0 of all axes.
  Origin origin();

  /// The origin moved to `index` along `axis`: its indices and the chosen accesses.
  Origin move(const Origin& origin, int axis, llvm::Value* index,
              llvm::function_ref<bool(int access)> chosen = [](int) { return true; });

  /// Lanes from index `i` of the last axis on.
  Cursor cursor(const Origin& origin, llvm::Value* i, int width, const Mask& mask);

  /// The one element at the origin.
  static Cursor element(const Origin& origin);

  /// if (condition) then(); no values come out.
  void if_then(llvm::Value* condition, llvm::function_ref<void()> then);

 private:
  /// What stands in `entry` of the function that is being made.
  struct Loaded {
    std::map<int64_t, llvm::Value*> sizes;
    std::map<int, llvm::Value*> origins;
    std::map<int, llvm::Value*> params;
    std::map<int, llvm::Value*> stores_apart;  // by stage
    llvm::Value* streams = nullptr;                // i1
    std::map<int64_t, llvm::Value*> stream_masks;  // by bytes of a vector
  };

  Builder entry_;
  llvm::BasicBlock* start_ = nullptr;
  int64_t scratch_bytes_ = 0;
  Loaded loaded_;
  bool loads_params_ = false;
  bool may_stream_ = false;

  llvm::Value* mask_of_bits(llvm::Value* bits, int width);

  llvm::Value* load_param(Builder& at, int param, DType dtype);

  /// i1, computed in `entry`: stores go past the caches.
  llvm::Value* streams();
  /// i64, computed in `entry`: where address & mask is 0, a vector of so many bytes goes past the caches.
  llvm::Value* stream_mask(int64_t bytes);

  /// Calls report_index for the lowest lane of `failed`, i1 or a vector, which has one.
  void report(const Instr& check, llvm::Value* failed, llvm::Value* index, llvm::Value* position);

  /// Writes out what accesses repeat, and lets them find it there.
  void repeat_operands();
};

/// How often the value of an instruction changes in a loop along the last axis.
enum class Level : uint8_t { kernel, row, element };

/// The level of every instruction. What is per row in a row kernel, reduces included, has level `row`; in a column
/// kernel it varies along the last axis and has level `element`. A store has level `element` unless it is per row.
std::vector<Level> levels_of(const KernelProgram& program);

/// Splats the values below element level that instructions at element level use, before the loop that uses them.
void splat_for_elements(KernelEmitter& k, const std::vector<Level>& levels, int width,
                        std::vector<llvm::Value*>& values);

/// The dtype of the operands of a compute instruction: of its last one, so that `where` names its values.
DType operand_dtype(const KernelProgram& program, const Instr& instr);

/// True if an argument of the instruction may stay a scalar among lanes.
inline bool takes_scalars(const Instr& instr) { return instr.kind == InstrKind::load || instr.kind == InstrKind::check; }

/// The runtime's report_index as kernels know it.
inline constexpr const char* kReportIndex = "etch_report_index";

/// The symbol of one of the ProductLoops: of sums of this dtype, or of integers of its size, and these vectors.
std::string product_loop_symbol(std::string_view name, DType dtype, int vector_bytes);

/// True if a load or store takes its lanes one by one. Such kernels want few lanes.
bool goes_by_lane(const KernelProgram& program, const Instr& instr, const Target& target);
bool goes_by_lane(const KernelProgram& program, const Target& target);

/// True if the access lies so many elements behind another one, wherever that stands: nobody computes its address anew.
inline bool stands_in_group(const Access& access, int number) { return access.group >= 0 && access.group != number; }

/// More lanes than this are not taken one by one in straight code.
inline constexpr int kUnrolledLanes = 16;

/// True if every access has an instruction that leaves out lanes. The others copy lanes one by one through the frame.
bool masks_all_accesses(const KernelProgram& program, const Target& target);

/// True if accesses of small strides are taken apart or put together.
bool shuffles(const KernelProgram& program);

/// Work per element of some instructions, in additions: computes by their cost in ops.def, what has no plain vector
/// form as much.
int work_of(const KernelProgram& program, const Target& target, llvm::function_ref<bool(int)> chosen);

/// How long a compute takes, in additions.
int latency_of(const KernelProgram& program, const Instr& instr);

/// Loops that do less work per element than this are emitted for speed, the others for size: see the uses.
inline constexpr int kCheapWork = cost::kDear;

/// Lanes for a program: as many as the widest dtype that it computes with allows.
int lanes_of(const KernelProgram& program, const Target& target);

/// So many lanes, or fewer: a turn takes apart and puts together few vectors, for more are no faster and take long to
/// compile.
int lanes_to_shuffle(const KernelProgram& program, const Target& target, int lanes);

/// The attribute of functions whose loops the session's passes look at, and its value where turns may fold.
inline constexpr const char* kScalarLoops = "etch-scalar-loops";
inline constexpr const char* kFoldTurns = "fold-turns";
/// That of functions of masked lanes.
inline constexpr const char* kMaskedLoops = "etch-masked-loops";

/// The scratch memory that a finished kernel function needs.
int64_t scratch_bytes_of(const llvm::Function& kernel);

// One emitter per kind of kernel: emit_<kind>_kernel adds one function `name` with the type of KernelFn to the module.
#define ETCH_KERNEL(kind, takes)                                                                                       \
  llvm::Function* emit_##kind##_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module, \
                                       const std::string& name);
#include "compiler/schedule/kernels.def"
#undef ETCH_KERNEL

}  // namespace etch::codegen
