// ERROR: etch: a function cannot take or give an aggregate with a base class; make the base its first member
#include <etch/etch.h>

struct Base {
  etch::Tensor a;
};
struct Derived : Base {
  etch::Tensor b;
};

auto f = etch::function([](Derived d) { return d.a + d.b; });
