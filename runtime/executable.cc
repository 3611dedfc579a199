// The run of a compiled function.
#include "runtime/executable.h"

#include <algorithm>
#include <array>
#include <chrono>

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
  for (const Launch& launch : launches) run_launch(launch, inputs, outputs, arena.data(), threads);
}

void Executable::run_launch(const Launch& launch, const void* const* inputs, void* const* outputs, std::byte* arena,
                            int threads) const {
  std::array<void*, kMaxSlots> pointers;
  for (int32_t i = 0; i < launch.num_slots; ++i) {
    const Slot& slot = slots[slot_pool[launch.first_slot + i]];
    switch (slot.kind) {
      case Slot::Kind::input: pointers[i] = const_cast<void*>(inputs[slot.index]); break;
      case Slot::Kind::output: pointers[i] = outputs[slot.index]; break;
      case Slot::Kind::arena: pointers[i] = arena + slot.index; break;
    }
  }
  Call call{launch.fn, pointers.data(), sizes_pool.data() + launch.first_size};
  parallel_for(launch.iterations, launch.grain, threads, run_range, &call);
}

std::vector<double> Executable::profile(const void* const* inputs, void* const* outputs, int threads, int runs) const {
  ScratchArena arena(arena_bytes);
  std::vector<std::vector<double>> times(launches.size());
  for (int run = 0; run < runs; ++run) {
    for (size_t i = 0; i < launches.size(); ++i) {
      auto start = std::chrono::steady_clock::now();
      run_launch(launches[i], inputs, outputs, arena.data(), threads);
      times[i].push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& t : times) {
    std::nth_element(t.begin(), t.begin() + runs / 2, t.end());
    medians.push_back(t[runs / 2]);
  }
  return medians;
}

}  // namespace etch
