// ERROR: a function cannot take or give this type; it may be Tensor, a number
#include <etch/etch.h>

class Hidden {
 public:
  explicit Hidden(etch::Tensor x) : x_(x) {}

 private:
  etch::Tensor x_;
};

auto f = etch::function([](etch::Tensor x) { return Hidden(x); });
