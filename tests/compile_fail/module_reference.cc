// ERROR: etch: a module cannot have a C array, a reference or what has no default constructor as a member
#include <etch/module.h>

struct Model {
  etch::Variable& weight;
};
extern Model& model;

auto found = etch::variables(model);
