// The kernel cache: what is compiled once, what is freed, what is printed.
#include <gtest/gtest.h>
#include <gmock/gmock.h>

#include <boost/pfr/core.hpp>

#include <functional>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "compiler/codegen/kernel_key.h"
#include "program.h"
#include "tools/process.h"

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

TEST(KernelCache, ThereAreNoMoreModulesThanTheLongestProgramLeavesTimeFor) {
  std::vector<KernelProgram> programs = {chain(900), chain(5), chain(6), chain(7), chain(8)};
  std::vector<const KernelProgram*> pointers;
  for (const KernelProgram& program : programs) pointers.push_back(&program);
  CompileCounts counts;
  ASSERT_TRUE(compile_kernels(pointers, {}, &counts, /*verify=*/false, /*threads=*/4).ok());
  EXPECT_EQ(counts.kernels_compiled, 5);
  EXPECT_EQ(counts.modules, 2);
}

TEST(KernelCache, TimesOfModulesSideBySideArePartsOfTheWhole) {
  std::vector<KernelProgram> programs;
  std::vector<const KernelProgram*> pointers;
  for (int adds = 120; adds < 128; ++adds) programs.push_back(chain(adds));
  for (const KernelProgram& program : programs) pointers.push_back(&program);
  CompileCounts counts;
  ASSERT_TRUE(compile_kernels(pointers, {}, &counts, /*verify=*/false, /*threads=*/2).ok());
  EXPECT_EQ(counts.modules, 2);
  EXPECT_GT(counts.llvm_milliseconds, 0);
  EXPECT_LE(counts.llvm_milliseconds + counts.link_milliseconds, counts.milliseconds);
}

// ---- The key

/// Calls `check(where)` while one field below `value` is another one, for every field; then all is as before.
template <class T>
void flip_each(T& value, const std::string& where, const std::function<void(const std::string&)>& check) {
  const T before = value;
  if constexpr (std::is_same_v<T, bool>) {
    value = !value;
    check(where);
  } else if constexpr (std::is_enum_v<T>) {
    value = static_cast<T>(static_cast<int>(value) ^ 1);
    check(where);
  } else if constexpr (std::is_arithmetic_v<T>) {
    value += 1;
    check(where);
  } else if constexpr (std::is_same_v<T, std::string>) {
    value += "x";
    check(where);
  } else if constexpr (requires { value.emplace_back(); }) {
    for (size_t i = 0; i < value.size(); ++i) flip_each(value[i], absl::StrCat(where, "[", i, "]"), check);
    value.emplace_back();
    check(where + " is longer");
    value = before;
    if (!value.empty()) {
      value.pop_back();
      check(where + " is shorter");
    }
  } else {
    size_t number = 0;
    boost::pfr::for_each_field(value, [&](auto& field) { flip_each(field, absl::StrCat(where, ".", number++), check); });
  }
  value = before;
}

TEST(KernelKey, EveryFieldMakesAnotherKeyAndACacheMiss) {
  KernelKey key{chain(2), {}};
  const KernelKey original = key;
  const KernelProgram* programs[] = {&original.program};
  auto kernels = compile_kernels(programs, original.options, nullptr);
  ASSERT_TRUE(kernels.ok()) << kernels.status();
  int flips = 0;
  flip_each(key, "key", [&](const std::string& where) {
    ++flips;
    EXPECT_FALSE(key == original) << where;
    EXPECT_NE(absl::HashOf(key), absl::HashOf(original)) << where;
    EXPECT_EQ(find_kernel(key.program, key.options), nullptr) << where;
  });
  EXPECT_EQ(find_kernel(key.program, key.options), (*kernels)[0]);
  // The program's own fields, 2 accesses, 4 instructions, and the options with the target.
  EXPECT_GT(flips, 6 + 2 * 3 + 4 * 8 + 5);
}

TEST(KernelKey, NoFlipOfAFieldMeetsAnother) {
  KernelKey key{chain(3), {}};
  std::vector<KernelKey> keys{key};
  flip_each(key, "key", [&](const std::string&) { keys.push_back(key); });
  for (size_t i = 0; i < keys.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(keys[i] == keys[j]) << i << " and " << j;
  }
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

// ---- The target

TEST(Target, NamesAreKnownAndOthersAreNot) {
  EXPECT_EQ(target_names().front(), "host");
  for (const std::string& name : target_names()) {
    ASSERT_NE(find_target(name), nullptr) << name;
    EXPECT_EQ(find_target(name), find_target(name));
  }
  EXPECT_EQ(find_target("z80"), nullptr);
  EXPECT_EQ(*find_target("host"), host_target());
  EXPECT_EQ(missing_features(host_target()), "");
}

TEST(Target, LevelsHaveTheirVectors) {
  if (!find_target("avx2")) GTEST_SKIP() << "not an x86-64";
  EXPECT_EQ(find_target("sse4")->vector_bytes, 16);
  EXPECT_EQ(find_target("avx2")->vector_bytes, 32);
  EXPECT_FALSE(find_target("avx2")->masked_ops);
  EXPECT_EQ(find_target("avx512")->vector_bytes, 64);
  EXPECT_TRUE(find_target("avx512")->masked_ops);
  for (const char* name : {"sse4", "avx2", "avx512"}) {
    const std::string features = find_target(name)->features;
    EXPECT_THAT(features, HasSubstr("+sse4.2")) << "in " << name;
    EXPECT_EQ(features.find("+avx2") != features.npos, std::string(name) != "sse4");
    EXPECT_EQ(features.find("+avx512f") != features.npos, std::string(name) == "avx512");
  }
}

TEST(Target, CodeIsPrintedForEachWhereverItIs) {
  if (!find_target("avx2")) GTEST_SKIP() << "not an x86-64";
  const KernelProgram program = chain(1);
  const std::pair<const char*, const char*> registers[] = {{"sse4", "%xmm0"}, {"avx2", "%ymm0"}, {"avx512", "%k1"}};
  for (auto [name, text] : registers) {
    CodegenOptions options{.target = *find_target(name)};
    auto code = print_code(program, options, CodeStage::assembly, "f");
    ASSERT_TRUE(code.ok()) << code.status();
    EXPECT_THAT(*code, HasSubstr(text)) << name;
    if (options.target.vector_bytes < 64) {
      EXPECT_EQ(code->find("%zmm"), code->npos) << name;
    }
    if (options.target.vector_bytes < 32) {
      EXPECT_EQ(code->find("%ymm"), code->npos) << name;
    }
  }
}

TEST(Target, EachThatRunsHereHasKernelsOfItsOwnWithTheSameBits) {
  TestBuffer x(DType::f32, 1000), host(DType::f32, 1000);
  fill_random<float>(x, 1);
  auto run = [&](TestBuffer& to, const Target& target) {
    TestKernel k(KernelKind::loop, {1000});
    int from = k.access(x, {1}), result = k.access(to, {1});
    int value = k.load(from);
    k.store(result, k.compute(Op::tanh, DType::f32, {k.compute(Op::mul, DType::f32, {value, value})}));
    k.target = target;
    k.run();
    return find_kernel(k.program, {.target = target});
  };
  KernelHandle host_kernel = run(host, host_target());
  for (const std::string& name : target_names()) {
    if (name == "host" || !missing_features(*find_target(name)).empty()) continue;
    TestBuffer own(DType::f32, 1000);
    KernelHandle kernel = run(own, *find_target(name));
    EXPECT_NE(kernel, nullptr);
    EXPECT_NE(kernel, host_kernel) << name;
    EXPECT_EQ(own.bytes(), host.bytes()) << name;
  }
}

TEST(Target, CodeForAnotherProcessorIsRefusedWithWhatIsMissing) {
  Target other = host_target();
  other.cpu = "znver9";
  const bool x86 = find_target("avx2") != nullptr;
  other.features += x86 ? ",+tbm" : ",+none";
  if (missing_features(other).empty()) GTEST_SKIP() << "this processor has it";
  EXPECT_EQ(missing_features(other), "tbm");
  KernelProgram program = chain(1);
  const KernelProgram* programs[] = {&program};
  auto kernels = compile_kernels(programs, {.target = other}, nullptr);
  EXPECT_EQ(kernels.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(kernels.status().message(), "this processor cannot run code for znver9: it lacks tbm");
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

TEST(KernelCache, InstructionsAreCountedByKindOfKernel) {
  CompileCounts counts;
  compile({chain(110)}, &counts);
  ASSERT_EQ(counts.emitted.size(), 1u);
  const auto& [kind, emitted] = *counts.emitted.begin();
  EXPECT_EQ(kind, chain(110).kind());
  EXPECT_EQ(emitted.kernels, 1);
  EXPECT_GT(emitted.instructions, 0);
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
  int64_t maps = process_use().mappings;
  compile_some(600, 900);
  EXPECT_LE(codegen_totals().code_bytes, bytes + bytes / 10);
  EXPECT_LE(process_use().mappings, maps + 8);
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

TEST(KernelText, ShowsTheProgram) {
  EXPECT_EQ(to_string(chain(1)),
            "loop [vector] indices [] params 0\n"
            "#0 f32 1\n"
            "#1 f32 1\n"
            "%0 = load #0 f32\n"
            "%1 = add %0 %0 f32\n"
            "%2 = store #1 %1 f32\n");
}

}  // namespace
}  // namespace etch
