// Runs a function eagerly and captured on random inputs, and compares to the bit.
#pragma once

#include <etch/etch.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "tests/golden.h"

namespace etch {

inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return false;
  return dispatch(a.dtype(), [&]<class T> {
    const auto x = a.data<T>(), y = b.data<T>();
    return x.empty() || std::memcmp(x.data(), y.data(), x.size_bytes()) == 0;
  });
}

inline std::string values_text(const std::vector<Tensor>& tensors) {
  std::string text;
  for (const Tensor& tensor : tensors) text += (text.empty() ? "" : ", ") + to_string(tensor);
  return text;
}

/// A list of tensors from what a callable returns.
inline std::vector<Tensor> list_of(const Tensor& tensor) { return {tensor}; }
template <class... T>
std::vector<Tensor> list_of(const std::tuple<T...>& tensors) {
  return std::apply([](const auto&... one) { return std::vector<Tensor>{one...}; }, tensors);
}
inline std::vector<Tensor> list_of(const std::vector<Tensor>& tensors) { return tensors; }

/// f32 scalars around 0.
inline Tensor random_scalar(std::mt19937& random) { return Tensor(std::uniform_real_distribution<float>(-2, 2)(random)); }
inline Tensor random_vector(std::mt19937& random, int size = 4) {
  std::vector<float> values(static_cast<size_t>(size));
  for (float& value : values) value = std::uniform_real_distribution<float>(-2, 2)(random);
  return Tensor(values);
}
inline Tensor random_int(std::mt19937& random, int low, int high) {
  return Tensor(std::uniform_int_distribution<int>(low, high)(random));
}
inline auto one(std::mt19937& random) { return std::tuple(random_scalar(random)); }
inline auto two(std::mt19937& random) { return std::tuple(random_scalar(random), random_scalar(random)); }
inline auto row(std::mt19937& random) { return std::tuple(random_vector(random)); }
/// A count, and a number.
inline auto counted(std::mt19937& random) { return std::tuple(random_int(random, 0, 9), random_scalar(random)); }

inline int occurrences(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// Lines as LINE, so that texts do not depend on the place of a test.
inline std::string without_lines(std::string text) {
  for (size_t at = text.find(".cc:"); at != text.npos; at = text.find(".cc:", at + 4)) {
    size_t end = at + 4;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    text.replace(at + 4, end - at - 4, "LINE");
  }
  return text;
}

struct Outcome {
  std::string trace;   // the graph as it was captured, without lines
  std::string graph;   // and after the passes
  FunctionStats stats;

  int64_t runs() const { return stats.runs; }
  /// How often an op stands in the captured graph.
  int count(const std::string& op) const { return occurrences(trace, " " + op + "("); }
  /// And how often after the passes.
  int count_after_passes(const std::string& op) const { return occurrences(graph, " " + op + "("); }
};

/// Ways to compile and run a function; each gives the bits of the eager run.
struct Level {
  const char* flags;
  bool fuse;
  bool trusts = false;   // without guards and audits
};
inline constexpr Level kLevels[] = {
    {"threads=1", true},
    {"threads=2,grain=1", true},
    {"threads=1", false},
    {"threads=2,grain=1", false},
    {"native_regions=0,threads=1", true},
    {"native_regions=0,threads=2,grain=1", true},
    {"native_regions=0,threads=1", false},
    {"native_regions=0,threads=2,grain=1", false},
    {"audit=1,threads=1", true},
    {"threads=1", true, true},
    {"native_regions=0,threads=1", true, true},
};

/// The graph of the test that runs, where it is not too long to be read: what was captured, and what the passes make of it.
inline void expect_golden(const Outcome& outcome) {
  constexpr int kMostLines = 120;
  if (occurrences(outcome.trace, "\n") > kMostLines) return;
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  static std::map<std::string, int> known;
  std::string name = std::string(test.test_suite_name()) + "." + test.name();
  if (const int before = known[name]++) name += "." + std::to_string(before + 1);
  const std::filesystem::path path = std::filesystem::path(ETCH_SOURCE_DIR) / "tests/capture/graphs" / (name + ".ir");
  if (updates_goldens()) return write_golden(path, {outcome.trace, "", true}, outcome.graph);
  const Golden golden = read_golden(path);
  EXPECT_TRUE(golden.has_after) << path << ": there is no such golden; ETCH_UPDATE_GOLDENS=1 writes it";
  EXPECT_EQ(outcome.trace, golden.before) << path;
  EXPECT_EQ(outcome.graph, golden.after) << path;
}

/// Compares a program that keeps variables, which begin as `initial`, with its eager runs: their results and what the variables
/// hold after each of them. `program(variables)` gives what is called on the inputs that `make` gives. Returns the graph and
/// what the capture cost.
template <class Program, class Make>
Outcome compare_state(const std::vector<Tensor>& initial, Program program, Make make, int calls = 200,
                      FunctionOptions options = {}) {
  options.name = "demo";
  std::mt19937 random(7);
  std::vector<decltype(make(random))> inputs;
  for (int i = 0; i < calls; ++i) inputs.push_back(make(random));
  // The results of all calls, and behind those of each what the variables hold.
  const auto run = [&](auto& f, const std::vector<Variable>& variables, size_t i) {
    std::vector<Tensor> results = list_of(std::apply([&](const auto&... input) { return f(input...); }, inputs[i]));
    for (const Variable& variable : variables) results.push_back(variable.value());
    return results;
  };
  std::vector<std::vector<Tensor>> expected;
  const std::vector<Variable> plain_variables(initial.begin(), initial.end());
  auto plain = program(plain_variables);
  for (size_t i = 0; i < inputs.size(); ++i) expected.push_back(run(plain, plain_variables, i));
  Outcome outcome;
  for (const Level& level : kLevels) {
    const ScopedFlags flags(level.flags);
    options.fuse = level.fuse;
    options.trust_loops = level.trusts;
    options.audit = !level.trusts;
    const std::vector<Variable> variables(initial.begin(), initial.end());
    auto captured = function(program(variables), options);
    if (outcome.trace.empty()) {
      const auto concrete = std::apply([&](const auto&... input) { return captured.concrete(input...); }, inputs[0]);
      outcome = {without_lines(concrete.text("trace")), without_lines(concrete.text("graph")), captured.stats()};
      expect_golden(outcome);
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      const std::vector<Tensor> compiled = run(captured, variables, i);
      bool same = expected[i].size() == compiled.size();
      for (size_t k = 0; same && k < compiled.size(); ++k) same = same_bits(expected[i][k], compiled[k]);
      EXPECT_TRUE(same) << level.flags << (level.fuse ? ", fused" : ", unfused") << ", call " << i << ": eagerly "
                        << values_text(expected[i]) << ", captured " << values_text(compiled) << "\n"
                        << outcome.trace;
      if (!same) return outcome;
    }
  }
  return outcome;
}

/// The same of a program without variables.
template <class F, class Make>
Outcome compare(F f, Make make, int calls = 200, FunctionOptions options = {}) {
  return compare_state({}, [f](const std::vector<Variable>&) { return f; }, make, calls, options);
}

/// The Error of the first call, and that a second one ends as well.
template <class F, class... Inputs>
std::string error_of(F f, const Inputs&... inputs) {
  auto captured = function(f, {.name = "demo"});
  for (int call = 0; call < 2; ++call) {
    try {
      (void)captured(inputs...);
    } catch (const Error& error) {
      if (call == 1) return error.what();
      continue;
    }
    return "no error";
  }
  return "";
}

}  // namespace etch
