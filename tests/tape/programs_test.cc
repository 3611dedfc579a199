// Programs with variables, gradients of their own and Jacobians against expected.txt, which TensorFlow computed
// (make_expected.py); eager and traced to the same bits.
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/tape/modes.h"

namespace etch {
namespace {

/// What each program starts with.
struct Start {
  Variable v{Tensor({2.0, 3.0})};
  Variable u{Tensor({5.0, 7.0}), {.trainable = false}};
  Tensor x = Tensor({0.5, 4.0});
};
using TapeProgram = TensorList (*)(const Variable& v, const Variable& u, Tensor x);

const auto log1pexp = custom_gradient([](Tensor x) {
  const Tensor e = exp(x);
  return std::pair(log(1 + e), [=](Tensor upstream) { return upstream * (1 - 1 / (1 + e)); });
});

/// The sum and the product of two tensors, with a derivative that is not theirs.
const auto doubled = custom_gradient([](Tensor a, Tensor b) {
  return std::pair(std::pair(a + b, a * b), [=](Tensor of_sum, Tensor of_product) {
    return std::pair(of_sum * 2.0, of_product * a + of_sum * b);
  });
});

const std::map<std::string, TapeProgram> kPrograms{
    {"reads_add_up",
     [](const Variable& v, const Variable&, Tensor x) {
       GradientTape tape;
       const Tensor y = v * x + v * v;
       return TensorList{tape.gradient(y, v)};
     }},
    {"reads_before_and_after_an_assignment",
     [](const Variable& v, const Variable&, Tensor x) {
       GradientTape tape;
       Tensor y = v * 3.0;
       v.assign(x);
       y = y + v * v;
       return TensorList{tape.gradient(y, v)};
     }},
    {"assignments_are_not_differentiated",
     [](const Variable& v, const Variable&, Tensor x) {
       GradientTape tape;
       tape.watch(x);
       v.assign(x * x);
       const Tensor y = v * x;
       return tape.gradient(y, {v, x});
     }},
    {"assign_add_is_no_read",
     [](const Variable& v, const Variable&, Tensor x) {
       GradientTape tape;
       Tensor y = v * v;
       v.assign_add(x);
       y = y * v;
       return TensorList{tape.gradient(y, v)};
     }},
    {"what_is_not_trainable_is_watched_on_request",
     [](const Variable& v, const Variable& u, Tensor) {
       GradientTape tape;
       tape.watch(u);
       const Tensor y = u * v * u;
       return tape.gradient(y, std::vector{u, v});
     }},
    {"what_is_not_trainable_is_constant",
     [](const Variable& v, const Variable& u, Tensor) {
       GradientTape tape;
       const Tensor y = u * v * u;
       return TensorList{tape.gradient(y, v)};
     }},
    {"only_those_that_are_watched",
     [](const Variable& v, const Variable& u, Tensor) {
       GradientTape tape({.watch_accessed_variables = false});
       tape.watch(v);
       const Tensor y = v * v * u;
       return TensorList{tape.gradient(y, v)};
     }},
    {"reads_before_the_tape_are_constant",
     [](const Variable& v, const Variable&, Tensor) {
       const Tensor before = v;
       GradientTape tape;
       const Tensor y = before * v;
       return TensorList{tape.gradient(y, v)};
     }},
    {"reads_while_it_is_stopped_are_constant",
     [](const Variable& v, const Variable&, Tensor x) {
       GradientTape tape;
       Tensor y = v * x, z;
       {
         const auto pause = tape.stop_recording();
         z = v;
       }
       y = y * z;
       return TensorList{tape.gradient(y, v)};
     }},
    {"a_read_is_a_source_of_its_own",
     [](const Variable& v, const Variable&, Tensor) {
       GradientTape tape;
       const Tensor first = v, second = v;
       tape.watch(first);
       const Tensor y = first * first * second;
       return tape.gradient(y, {first, v});
     }},
    {"nested_tapes",
     [](const Variable& v, const Variable&, Tensor x) {
       GradientTape outer, inner;
       const Tensor dy = inner.gradient(v * v * v * x, v);
       return TensorList{dy, outer.gradient(dy, v)};
     }},
    {"an_assignment_between_nested_gradients",
     [](const Variable& v, const Variable&, Tensor) {
       GradientTape outer, inner;
       const Tensor dy = inner.gradient(v * v * v, v);
       v.assign(dy);
       return TensorList{dy, outer.gradient(v * dy, v)};
     }},
    {"a_variable_is_a_target",
     [](const Variable& v, const Variable&, Tensor) {
       GradientTape tape;
       (void)v.value();
       return TensorList{tape.gradient(v, v)};
     }},
    {"a_call_reads_variables",
     [](const Variable& v, const Variable&, Tensor x) {
       auto f = function([&](Tensor x) { return x * v * v; });
       GradientTape tape;
       tape.watch(x);
       const Tensor y = f(x) * v;
       return tape.gradient(y, {v, x});
     }},
    {"a_call_assigns_between_its_reads",
     [](const Variable& v, const Variable&, Tensor x) {
       auto f = function([&](Tensor x) {
         const Tensor y = x * v;
         v.assign_add(x);
         return y + v * v;
       });
       GradientTape tape;
       const Tensor y = f(x), z = f(y);
       return TensorList{y, z, tape.gradient(z, v)};
     }},
    {"a_call_gives_a_variable",
     [](const Variable& v, const Variable&, Tensor) {
       auto f = function([&] { return v.value(); });
       GradientTape tape;
       const Tensor y = f() * v;
       return TensorList{tape.gradient(y, v)};
     }},
    {"a_call_within_a_call",
     [](const Variable& v, const Variable&, Tensor x) {
       auto inner = function([&](Tensor x) { return tanh(x) * v; });
       auto outer = function([&](Tensor x) { return inner(x) * v + inner(v); });
       GradientTape tape;
       tape.watch(x);
       const Tensor y = outer(x);
       return tape.gradient(y, {v, x});
     }},
    {"second_derivatives_through_a_call",
     [](const Variable& v, const Variable&, Tensor x) {
       auto f = function([&](Tensor x) { return sin(x * v) * v; });
       GradientTape outer({.persistent = true}), inner;
       outer.watch(x);
       const Tensor dy = inner.gradient(f(x), v);
       return TensorList{dy, outer.gradient(dy, v), outer.gradient(dy, x)};
     }},
    {"a_call_of_what_takes_a_gradient",
     [](const Variable& v, const Variable&, Tensor x) {
       auto f = function([&](Tensor x) {
         GradientTape tape;
         return tape.gradient(v * v * x, v);
       });
       GradientTape tape;
       const Tensor y = f(x) * x;
       return TensorList{y, tape.gradient(y, v)};
     }},
    {"its_own_gradient",
     [](const Variable&, const Variable&, Tensor x) {
       GradientTape tape;
       tape.watch(x);
       const Tensor y = log1pexp(x * 200.0);
       return TensorList{tape.gradient(y, x)};
     }},
    {"second_derivatives_are_those_of_the_backward_function",
     [](const Variable&, const Variable&, Tensor x) {
       GradientTape outer, inner;
       outer.watch(x);
       inner.watch(x);
       const Tensor dy = inner.gradient(log1pexp(x) * x, x);
       return TensorList{dy, outer.gradient(dy, x)};
     }},
    {"several_arguments_and_results",
     [](const Variable& v, const Variable&, Tensor x) {
       GradientTape tape;
       tape.watch(x);
       const auto [s, p] = doubled(x, v.value());
       return tape.gradient(s * p, {x, v});
     }},
    {"a_result_that_nobody_uses_has_zeros",
     [](const Variable& v, const Variable&, Tensor x) {
       GradientTape tape;
       tape.watch(x);
       const auto [s, p] = doubled(x, v.value());
       return tape.gradient(p, {x, v});
     }},
    {"none_of_its_own",
     [](const Variable& v, const Variable&, Tensor x) {
       const auto f = custom_gradient([](Tensor a, Tensor b) {
         return std::pair(a * b, [](Tensor g) { return std::pair(Tensor(), g * 7.0); });
       });
       GradientTape tape;
       tape.watch(x);
       const Tensor y = f(x, v.value()) + x;
       return tape.gradient(y, {x, v});
     }},
    {"with_variables",
     [](const Variable& v, const Variable&, Tensor x) {
       const auto f = custom_gradient([&](Tensor a) {
         return std::pair(a * v, [=](Tensor g, const std::vector<Variable>& variables) {
           return std::pair(g * 10.0, TensorList{g * variables[0] * a});
         });
       });
       GradientTape tape;
       tape.watch(x);
       const Tensor y = f(x) * v;
       return tape.gradient(y, {x, v});
     }},
    {"its_own_gradient_in_a_call",
     [](const Variable& v, const Variable&, Tensor x) {
       auto f = function([&](Tensor x) { return log1pexp(x * v) * v; });
       GradientTape tape;
       tape.watch(x);
       const Tensor y = f(x);
       return tape.gradient(y, {x, v});
     }},
    {"its_own_gradient_twice_through_a_call",
     [](const Variable&, const Variable&, Tensor x) {
       auto f = function([](Tensor x) { return log1pexp(x) * x; });
       GradientTape outer, inner;
       outer.watch(x);
       inner.watch(x);
       const Tensor dy = inner.gradient(f(x), x);
       return TensorList{dy, outer.gradient(dy, x)};
     }},
    {"one_within_another",
     [](const Variable&, const Variable&, Tensor x) {
       const auto f = custom_gradient([](Tensor a) {
         return std::pair(log1pexp(a) * 2.0, [=](Tensor g) { return g * log1pexp(a) * 3.0; });
       });
       GradientTape outer, tape;
       outer.watch(x);
       tape.watch(x);
       const Tensor dy = tape.gradient(f(x), x);
       return TensorList{dy, outer.gradient(dy, x)};
     }},
    {"computed_again",
     [](const Variable& v, const Variable&, Tensor x) {
       const auto f = recompute([&](Tensor a) { return tanh(a * v) * exp(a); });
       GradientTape tape;
       tape.watch(x);
       const Tensor y = f(x) * v;
       const TensorList gradients = tape.gradient(y, {x, v});
       return TensorList{y, gradients[0], gradients[1]};
     }},
    {"jacobian_in_a_variable",
     [](const Variable& v, const Variable&, Tensor) {
       GradientTape tape({.persistent = true});
       const Tensor read = v, a = read[0], b = read[1];
       const Tensor y = sum(v * v) * stack({a, b, a * b});
       return TensorList{tape.jacobian(y, v)};
     }},
    {"batch_jacobian",
     [](const Variable&, const Variable&, Tensor) {
       const Tensor a({{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}});
       GradientTape tape({.persistent = true});
       tape.watch(a);
       const Tensor y = stack({a * a, a * sum(a, 1, true)}, 1);
       return TensorList{tape.batch_jacobian(y, a)};
     }},
    {"hessian_vector_product",
     [](const Variable& v, const Variable&, Tensor x) {
       GradientTape outer, inner;
       const Tensor dy = inner.gradient(sum(v * v * v) * sum(v), v);
       return TensorList{outer.gradient(dy, v, x)};
     }},
};

using Values = std::vector<std::vector<double>>;  // an empty list stands for none

std::map<std::string, Values> read_expected() {
  std::ifstream file(ETCH_SOURCE_DIR "/tests/tape/expected.txt");
  std::map<std::string, Values> expected;
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("#")) continue;
    std::istringstream words(line);
    std::string name, word;
    words >> name;
    std::vector<double>& values = expected[name].emplace_back();
    while (words >> word) {
      if (word != "none") values.push_back(std::strtod(word.c_str(), nullptr));
    }
  }
  return expected;
}

void expect_values(const TensorList& given, const Values& expected, const std::string& what) {
  ASSERT_EQ(given.size(), expected.size()) << what;
  for (size_t i = 0; i < given.size(); ++i) {
    const std::vector<double> values = given[i].defined() ? given[i].to_vector<double>() : std::vector<double>();
    ASSERT_EQ(values.size(), expected[i].size()) << what << ", tensor " << i;
    for (size_t j = 0; j < values.size(); ++j) {
      EXPECT_NEAR(values[j], expected[i][j], 1e-13 * std::abs(expected[i][j])) << what << ", tensor " << i << "[" << j << "]";
    }
  }
}

/// The results, and what the variable holds then.
TensorList run(TapeProgram program, const FunctionOptions* traced) {
  const Start start;
  TensorList results;
  if (traced) {
    results = function([&](Tensor x) { return program(start.v, start.u, x); }, *traced)(start.x);
  } else {
    results = program(start.v, start.u, start.x);
  }
  results.push_back(start.v);
  return results;
}

class Programs : public ::testing::TestWithParam<std::string> {};

TEST_P(Programs, GiveWhatTensorFlowGivesInAllModes) {
  static const std::map<std::string, Values> all = read_expected();
  const TapeProgram program = kPrograms.at(GetParam());
  const TensorList eager = run(program, nullptr);
  expect_values({eager.begin(), eager.end() - 1}, all.at(GetParam()), "eager");
  const FunctionOptions fused, unfused{.fuse = false};
  EXPECT_TRUE(same_bits(run(program, &fused), eager)) << "traced";
  EXPECT_TRUE(same_bits(run(program, &unfused), eager)) << "traced, unfused";
  const ScopedFlags split("threads=2,grain=1");
  EXPECT_TRUE(same_bits(run(program, nullptr), eager)) << "eager, split";
  EXPECT_TRUE(same_bits(run(program, &fused), eager)) << "traced, split";
  const EagerFunctions eagerly;
  EXPECT_TRUE(same_bits(run(program, nullptr), eager)) << "functions run eagerly";
}

std::vector<std::string> names_of_programs() {
  std::vector<std::string> names;
  for (const auto& [name, program] : kPrograms) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Tape, Programs, ::testing::ValuesIn(names_of_programs()),
                         [](const auto& info) { return info.param; });

TEST(ProgramsOfTensorFlow, AreAllHere) {
  for (const auto& [name, values] : read_expected()) EXPECT_TRUE(kPrograms.contains(name)) << name;
}

}  // namespace
}  // namespace etch
