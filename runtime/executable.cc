// The run of a compiled function.
#include "runtime/executable.h"

#include <array>

#include "etch/buffer.h"
#include "runtime/arena.h"
#include "runtime/parallel.h"

namespace etch {
namespace {

struct Call {
  KernelFn fn;
  void* const* buffers;
  const int64_t* sizes;
};

void run_range(void* context, int64_t begin, int64_t end) {
  const Call& call = *static_cast<const Call*>(context);
  call.fn(call.buffers, call.sizes, begin, end);
}

}  // namespace

void Executable::run(const void* const* inputs, void* const* outputs, int threads) const {
  ScratchArena arena(arena_bytes);
  std::array<void*, 64> few;
  std::vector<void*> many;
  void** pointers = few.data();
  if (max_launch_slots > static_cast<int32_t>(few.size())) {
    many.resize(max_launch_slots);
    pointers = many.data();
  }
  for (const Launch& launch : launches) {
    for (int32_t i = 0; i < launch.num_slots; ++i) {
      const Slot& slot = slots[slot_pool[launch.first_slot + i]];
      switch (slot.kind) {
        case Slot::Kind::input: pointers[i] = const_cast<void*>(inputs[slot.index]); break;
        case Slot::Kind::output: pointers[i] = outputs[slot.index]; break;
        case Slot::Kind::arena: pointers[i] = arena.data() + slot.index; break;
      }
    }
    Call call{launch.fn, pointers, sizes_pool.data() + launch.first_size};
    parallel_for(launch.iterations, launch.grain, threads, run_range, &call);
  }
}

}  // namespace etch
