// The kernel cache where memory runs out: nobody waits for a kernel that never comes.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <new>
#include <thread>

#include "compiler/codegen/codegen.h"
#include "tests/failing_new.h"

namespace etch {
namespace {

/// Programs that differ, for a processor that nobody has: they are claimed and given up, and LLVM, which does not survive
/// a lack of memory, is not reached.
absl::Status ask() {
  std::vector<KernelProgram> programs(5);
  std::vector<const KernelProgram*> pointers;
  for (size_t i = 0; i < programs.size(); ++i) {
    programs[i].num_params = static_cast<int16_t>(1000 + i);
    pointers.push_back(&programs[i]);
  }
  CodegenOptions options;
  options.target.cpu = "nobody's";
  options.target.features += ",+tbm,+avx512er";
  return compile_kernels(pointers, options, nullptr).status();
}

TEST(KernelCacheMemory, WhoeverAsksAfterAFailedAllocationIsNotLeftWaiting) {
  if (ask().ok()) GTEST_SKIP() << "this processor has everything";
  bool failed = true;
  for (int64_t n = 0; failed; ++n) {
    ASSERT_LT(n, 10000);
    failed = false;
    fail_after(n);
    try {
      (void)ask();
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    fail_after(-1);
    auto answer = std::make_shared<std::promise<void>>();
    std::future<void> answered = answer->get_future();
    std::thread([answer] {
      (void)ask();
      answer->set_value();
    }).detach();
    ASSERT_EQ(answered.wait_for(std::chrono::seconds(60)), std::future_status::ready)
        << "allocation " << n << " failed, and the next one who asked waits for ever";
  }
}

}  // namespace
}  // namespace etch
