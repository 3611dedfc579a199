// Every option says whether it decides the code, and does: what is cached by code is keyed by all of those.
#include <gtest/gtest.h>

#include <map>

#include "compiler/compile.h"
#include "compiler/ir/text.h"
#include "etch/function.h"
#include "etch/ops.h"

namespace etch {
namespace {

enum class Decides { code, nothing_of_it };

const std::map<std::string_view, Decides> kOptions = {
    {"name", Decides::nothing_of_it},        {"fuse", Decides::code},
    {"simplify", Decides::code},             {"fast_math", Decides::code},
    {"threads", Decides::nothing_of_it},     {"on_retrace", Decides::nothing_of_it},
    {"max_entries", Decides::nothing_of_it}, {"max_bytes", Decides::nothing_of_it},
    {"trace_twice", Decides::nothing_of_it}, {"check_captures", Decides::nothing_of_it},
    {"control_flow", Decides::nothing_of_it}, {"trust_loops", Decides::nothing_of_it},
    {"audit", Decides::nothing_of_it},
};

void flip(bool& value) { value = !value; }
void flip(int& value) { value += 1; }
void flip(int64_t& value) { value += 1; }
void flip(std::string& value) { value += "other"; }
void flip(Retrace& value) { value = Retrace::forbid; }

Tensor body(Tensor x) { return sum(tanh(x * 1.0f) + exp(x), 0); }

std::string code_of(const FunctionOptions& options) {
  auto concrete = function(body, options).concrete(TensorSpec{DType::f32, {64}});
  return concrete.text("schedule") + concrete.text("llvm");
}

template <size_t I>
void check_field(const std::string& before) {
  const std::string_view name = detail::field_name<FunctionOptions, I>();
  const auto known = kOptions.find(name);
  ASSERT_NE(known, kOptions.end()) << "say in kOptions whether the option " << name << " decides the code";
  FunctionOptions options{.name = "f"};
  flip(detail::member<I>(options));
  EXPECT_EQ(code_of(options) != before, known->second == Decides::code) << name;
  EXPECT_EQ(code_of({.name = "f"}), before) << "the code with the option " << name << " was found in its place";
}

TEST(FunctionOptions, EachSaysWhetherItDecidesTheCode) {
  const std::string before = code_of({.name = "f"});
  [&]<size_t... I>(std::index_sequence<I...>) {
    (check_field<I>(before), ...);
  }(std::make_index_sequence<detail::kNumMembers<FunctionOptions>>());
}

TEST(FunctionOptions, FunctionsThatDifferInOneDoNotShareTheirTraces) {
  const Tensor x({1.f, 2.f, 3.f});
  auto strict = function(body, {.fuse = false});
  auto fused = function(body, {.fuse = true});
  strict(x);
  fused(x);
  EXPECT_GT(strict.concrete(x).num_kernels(), fused.concrete(x).num_kernels());
}

const std::map<std::string_view, Decides> kCompileOptions = {
    {"prune_and_simplify", Decides::code}, {"fuse", Decides::code},          {"fast_math", Decides::code},
    {"target", Decides::code},             {"verify", Decides::nothing_of_it},
    {"blocks", Decides::code},             {"shared_outputs", Decides::nothing_of_it},
    {"overwrites", Decides::nothing_of_it}, {"native_regions", Decides::nothing_of_it},
    {"masked_regions", Decides::nothing_of_it},
    {"stripes", Decides::nothing_of_it},     {"cache_bytes", Decides::nothing_of_it},
    {"group", Decides::nothing_of_it},       {"threads", Decides::nothing_of_it},
};

void flip(BlockSizes& value) { value.tile = 32; }
void flip(StripeOptions& value) { value.make = !value.make; }
void flip(std::vector<bool>& shared_outputs) { shared_outputs = {true}; }
void flip(std::vector<int>& overwrites) { overwrites = {0}; }
void flip(Target& value) { value = *find_target(value == *find_target("sse4") ? "avx2" : "sse4"); }

/// The entry points of a graph's kernels. All compiled graphs stay, so that none takes the place of another in memory.
std::vector<KernelFn> kernels_of(const CompileOptions& options) {
  static std::vector<Compiled> all;
  const Graph graph = *parse(R"(graph(%0: f32[64]) {
    %1 = constant value=1.0 : f32[]
    %2 = mul(%0, %1) : f32[64]
    %3 = tanh(%2) : f32[64]
    %4 = exp(%0) : f32[64]
    %5 = add(%3, %4) : f32[64]
    return %5
  })");
  all.push_back(*compile(graph, options));
  std::vector<KernelFn> kernels;
  for (const Launch& launch : all.back().executable->launches) kernels.push_back(launch.fn);
  return kernels;
}

template <size_t I>
void check_compile_option(const std::vector<KernelFn>& before) {
  const std::string_view name = detail::field_name<CompileOptions, I>();
  const auto known = kCompileOptions.find(name);
  ASSERT_NE(known, kCompileOptions.end()) << "say in kCompileOptions whether the option " << name << " decides the code";
  CompileOptions options;
  flip(detail::member<I>(options));
  EXPECT_EQ(kernels_of(options) != before, known->second == Decides::code) << name;
}

TEST(CompileOptions, EachSaysWhetherItDecidesTheCode) {
  const std::vector<KernelFn> before = kernels_of({});
  EXPECT_EQ(kernels_of({}), before);
  [&]<size_t... I>(std::index_sequence<I...>) {
    (check_compile_option<I>(before), ...);
  }(std::make_index_sequence<detail::kNumMembers<CompileOptions>>());
}

}  // namespace
}  // namespace etch
