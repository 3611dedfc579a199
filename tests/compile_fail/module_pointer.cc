// ERROR: etch: a pointer in a module does not say whether it owns
#include <etch/module.h>

struct Part {
  etch::Variable weight;
};
struct Model {
  Part* part = nullptr;
};

auto found = etch::variables(Model());
