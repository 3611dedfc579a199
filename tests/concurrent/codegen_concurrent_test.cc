// Code generation from many threads at once.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/codegen/program.h"

namespace etch {
namespace {

/// y = x + x + ... on 8 floats, with its kernel.
class Chain {
 public:
  explicit Chain(int adds) : adds_(adds), in_(DType::f32, 8), out_(DType::f32, 8), kernel_(KernelKind::loop, {8}) {
    int from = kernel_.access(in_, {1}), to = kernel_.access(out_, {1});
    int x = kernel_.load(from), sum = x;
    for (int i = 0; i < adds; ++i) sum = kernel_.compute(Op::add, DType::f32, {sum, x});
    kernel_.store(to, sum);
    std::fill_n(in_.data<float>(), 8, 1.0f);
  }
  const KernelProgram& program() const { return kernel_.program; }
  bool runs(const CompiledKernel& compiled) {
    void* buffers[] = {in_.data<void>(), out_.data<void>()};
    TestScratch scratch(compiled);
    compiled.fn()(buffers, kernel_.sizes().data(), 0, 8, scratch.data());
    return out_.data<float>()[7] == static_cast<float>(adds_ + 1);
  }

 private:
  int adds_;
  TestBuffer in_, out_;
  TestKernel kernel_;
};

TEST(CodegenConcurrent, EqualProgramsCompileOnceWhenAskedAtOnce) {
  trim_kernel_cache();
  std::atomic<int64_t> compiled{0}, wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) {
        Chain chain(i + 1);
        const KernelProgram* programs[] = {&chain.program()};
        CompileCounts counts;
        auto kernels = compile_kernels(programs, {}, &counts);
        compiled += counts.kernels_compiled;
        if (!kernels.ok() || !chain.runs(*(*kernels)[0])) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(compiled, 10);
}

TEST(CodegenConcurrent, ACallThatCompilesOnSeveralThreadsGetsEachKernelAtItsPlace) {
  trim_kernel_cache();
  std::vector<std::unique_ptr<Chain>> chains;
  std::vector<const KernelProgram*> programs;
  for (int adds = 40; adds < 60; ++adds) programs.push_back(&chains.emplace_back(std::make_unique<Chain>(adds))->program());
  CompileCounts counts;
  auto kernels = compile_kernels(programs, {}, &counts, /*verify=*/false, /*threads=*/4);
  ASSERT_TRUE(kernels.ok()) << kernels.status();
  EXPECT_EQ(counts.kernels_compiled, 20);
  EXPECT_EQ(counts.modules, 4);
  for (size_t i = 0; i < chains.size(); ++i) EXPECT_TRUE(chains[i]->runs(*(*kernels)[i])) << i;
}

TEST(CodegenConcurrent, CallsThatCompileOnSeveralThreadsShareTheirKernels) {
  trim_kernel_cache();
  std::atomic<int64_t> compiled{0}, wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::unique_ptr<Chain>> chains;
      std::vector<const KernelProgram*> programs;
      for (int i = 0; i < 8; ++i) programs.push_back(&chains.emplace_back(std::make_unique<Chain>(70 + (t + i) % 8))->program());
      CompileCounts counts;
      auto kernels = compile_kernels(programs, {}, &counts, /*verify=*/false, /*threads=*/2);
      compiled += counts.kernels_compiled;
      for (int i = 0; i < 8; ++i) wrong += !kernels.ok() || !chains[i]->runs(*(*kernels)[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(compiled, 8);
}

TEST(CodegenConcurrent, KernelsAreFreedWhileOthersCompile) {
  std::atomic<int64_t> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 12; ++i) {
        Chain chain(20 + (t * 5 + i) % 6);
        const KernelProgram* programs[] = {&chain.program()};
        auto kernels = compile_kernels(programs, {}, nullptr);
        trim_kernel_cache();
        if (!kernels.ok() || !chain.runs(*(*kernels)[0])) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace etch
