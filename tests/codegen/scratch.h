// Scratch memory for kernels that tests call by hand.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "compiler/codegen/codegen.h"

namespace etch {

/// Scratch memory of a kernel, full of garbage.
class TestScratch {
 public:
  /// With so many bytes behind it.
  explicit TestScratch(const CompiledKernel& kernel, int64_t more = 0)
      : bytes_(kernel.scratch_bytes() + more), memory_(bytes_ + 128, std::byte{0x5c}) {}
  ~TestScratch() { EXPECT_EQ(data()[bytes_], std::byte{0x5c}) << "written behind the scratch memory"; }
  std::byte* data() {
    return memory_.data() + (64 - reinterpret_cast<uintptr_t>(memory_.data()) % 64) % 64;
  }

 private:
  int64_t bytes_;
  std::vector<std::byte> memory_;
};

}  // namespace etch
