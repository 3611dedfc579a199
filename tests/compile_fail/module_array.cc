// ERROR: etch: a module cannot have a C array, a reference or what has no default constructor as a member
#include <etch/module.h>

struct Model {
  etch::Variable weights[3];
};

auto found = etch::variables(Model());
