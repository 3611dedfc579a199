// The kernel cache: what is compiled once, what is freed, what is printed.
#include <gtest/gtest.h>
#include <gmock/gmock.h>

#include <fstream>

#include "program.h"

namespace etch {
namespace {

using testing::HasSubstr;

/// A chain of `adds` additions of x to itself: the number makes the structure.
KernelProgram chain(int adds) {
  TestBuffer buffer(DType::f32, 8);
  TestKernel k(KernelKind::loop, {8});
  int from = k.access(buffer, {1}), to = k.access(buffer, {1});
  int x = k.load(from), sum = x;
  for (int i = 0; i < adds; ++i) sum = k.compute(Op::add, DType::f32, {sum, x});
  k.store(to, sum);
  return k.program;
}

int64_t mappings() {
  std::ifstream maps("/proc/self/maps");
  int64_t lines = 0;
  for (std::string line; std::getline(maps, line);) ++lines;
  return lines;
}

std::vector<KernelHandle> compile(const std::vector<KernelProgram>& programs, CompileCounts* counts = nullptr) {
  std::vector<const KernelProgram*> pointers;
  for (const KernelProgram& program : programs) pointers.push_back(&program);
  auto kernels = compile_kernels(pointers, {}, counts);
  EXPECT_TRUE(kernels.ok()) << kernels.status();
  return *kernels;
}

TEST(KernelCache, EqualProgramsOfOneCallCompileOnce) {
  CompileCounts counts;
  auto kernels = compile(std::vector<KernelProgram>(5000, chain(101)), &counts);
  EXPECT_EQ(counts.kernels_compiled, 1);
  EXPECT_EQ(counts.kernels_reused, 4999);
  EXPECT_EQ(counts.modules, 1);
  EXPECT_EQ(kernels[0]->fn(), kernels[4999]->fn());
}

TEST(KernelCache, LaterCallsReuseTheKernel) {
  auto first = compile({chain(102)});
  CompileCounts counts;
  auto second = compile({chain(102)}, &counts);
  EXPECT_EQ(counts.kernels_compiled, 0);
  EXPECT_EQ(counts.kernels_reused, 1);
  EXPECT_EQ(first[0], second[0]);
}

TEST(KernelCache, NewProgramsOfOneCallShareAModule) {
  CompileCounts counts;
  compile({chain(103), chain(104), chain(105)}, &counts);
  EXPECT_EQ(counts.kernels_compiled, 3);
  EXPECT_EQ(counts.modules, 1);
}

TEST(KernelCache, FastMathIsPartOfTheKey) {
  KernelProgram program = chain(106);
  const KernelProgram* programs[] = {&program};
  CodegenOptions fast;
  fast.fast_math = true;
  auto exact = compile_kernels(programs, {}, nullptr);
  auto loose = compile_kernels(programs, fast, nullptr);
  ASSERT_TRUE(exact.ok() && loose.ok());
  EXPECT_NE((*exact)[0], (*loose)[0]);
}

TEST(KernelCache, CodeIsFreedWithItsLastHandle) {
  trim_kernel_cache();
  int64_t before = codegen_totals().code_bytes;
  auto kernels = compile({chain(107), chain(108)});
  trim_kernel_cache();
  EXPECT_GT(codegen_totals().code_bytes, before);
  kernels.pop_back();
  EXPECT_GT(codegen_totals().code_bytes, before) << "the module still has a kernel in use";
  kernels.clear();
  EXPECT_EQ(codegen_totals().code_bytes, before);
}

TEST(KernelCache, AFreedKernelIsCompiledAgain) {
  compile({chain(109)});
  trim_kernel_cache();
  CompileCounts counts;
  compile({chain(109)}, &counts);
  EXPECT_EQ(counts.kernels_compiled, 1);
}

TEST(KernelCache, UnusedKernelsAreBounded) {
  trim_kernel_cache();
  // Params that nobody uses make programs that differ and are quick to compile.
  auto compile_some = [](int from, int to) {
    std::vector<KernelProgram> programs;
    for (int i = from; i < to; ++i) {
      programs.push_back(chain(1));
      programs.back().num_params = static_cast<int16_t>(i);
      if (programs.size() == 20) {
        compile(programs);
        programs.clear();
      }
    }
  };
  compile_some(0, 600);
  int64_t bytes = codegen_totals().code_bytes;
  int64_t maps = mappings();
  compile_some(600, 900);
  EXPECT_LE(codegen_totals().code_bytes, bytes + bytes / 10);
  EXPECT_LE(mappings(), maps + 8);
  trim_kernel_cache();
}

TEST(PrintCode, EveryStageShowsTheKernel) {
  KernelProgram program = chain(1);
  auto print = [&](CodeStage stage) { return *print_code(program, {}, stage, "my_kernel"); };
  EXPECT_EQ(print(CodeStage::loops),
            "my_kernel(b0: f32, b1: f32):\n"
            "  for i0 in 0..n0:  # vectors\n"
            "    v0 = b0[.. + 1*i0]\n"
            "    v1 = add(v0, v0)\n"
            "    b1[.. + 1*i0] = v1\n");
  EXPECT_THAT(print(CodeStage::llvm), HasSubstr("define void @my_kernel("));
  EXPECT_THAT(print(CodeStage::llvm), HasSubstr("fadd"));
  EXPECT_THAT(print(CodeStage::optimized_llvm), HasSubstr("define void @my_kernel("));
  EXPECT_THAT(print(CodeStage::assembly), HasSubstr("my_kernel:"));
}

TEST(KernelText, NamesEverythingThatMakesCode) {
  EXPECT_EQ(to_string(chain(1)),
            "loop rank 1 indices 0 params 0\n"
            "#0 f32 1\n"
            "#1 f32 1\n"
            "%0 = load #0 f32\n"
            "%1 = add %0 %0 f32\n"
            "%2 = store #1 %1 f32\n");
}

}  // namespace
}  // namespace etch
