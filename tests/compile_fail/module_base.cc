// ERROR: etch: a module cannot have a base class, unless it names its members in one line
#include <etch/module.h>

struct Base {
  etch::Variable a;
};
struct Model : Base {
  etch::Variable b;
};

auto found = etch::variables(Model());
