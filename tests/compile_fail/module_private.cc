// ERROR: etch: this class has private members, or constructors; name those members that hold variables in one line
#include <etch/module.h>

class Model {
  etch::Variable weight_;
};

auto found = etch::variables(Model());
