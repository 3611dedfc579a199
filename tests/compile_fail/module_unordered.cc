// ERROR: etch: a module cannot hold an unordered container
#include <etch/module.h>

#include <unordered_map>

struct Model {
  std::unordered_map<int, etch::Variable> weights;
};

auto found = etch::variables(Model());
