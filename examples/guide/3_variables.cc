// Variables and modules
//
// A variable is an object of C++: it lives as long as somebody holds it, and no name in a global collection keeps it. A module is a
// struct with variables; they are found by its members' names.
#include <etch/etch.h>
#include <etch/module.h>
#include <etch/random.h>

#include <cstdio>

using namespace etch;

namespace {

struct Linear {
  Variable w, b;

  Tensor operator()(const Tensor& x) const { return matmul(x, w) + b; }
};

Linear linear(int64_t inputs, int64_t outputs) {
  const Generator generator(7);
  return {Variable(generator.normal({inputs, outputs}), {.name = "w"}), Variable(zeros({outputs}), {.name = "b"})};
}

struct Perceptron {
  Linear hidden = linear(3, 4), out = linear(4, 1);

  Tensor operator()(const Tensor& x) const { return out(tanh(hidden(x))); }
};

}  // namespace

int main() {
  const Perceptron model;
  for (const NamedVariable& variable : named_variables(model)) {
    std::printf("%s %s\n", variable.name.c_str(), to_string(variable.variable.shape()).c_str());
  }

  // A traced function reads variables at each call and may assign them; nobody has to say which.
  Variable calls(0);
  auto call = function([&](Tensor x) {
    calls += 1;
    return model(x);
  });
  const Tensor x({{1.0f, 2.0f, 3.0f}});
  const Tensor before = call(x);
  model.out.b.assign_add(1.0f);
  const Tensor after = call(x);
  std::printf("out.b grew by 1, and so did the result: %g; calls: %d\n", (after - before).item<float>(),
              calls.value().item<int>());

  // A copy of a module shares its variables, a clone has its own.
  const Perceptron copy = model, other = clone(model);
  model.hidden.b.assign(2.0f);
  const bool shares = array_equal(copy.hidden.b, model.hidden.b).item<bool>();
  const bool is_apart = !array_equal(other.hidden.b, model.hidden.b).item<bool>();
  std::printf("the copy shares: %s; the clone is apart: %s\n", shares ? "yes" : "no", is_apart ? "yes" : "no");
  return shares && is_apart && calls.value().item<int>() == 2 ? 0 : 1;
}
