// ERROR: etch: a callable of a data set takes an element, or the parts of one that is a tuple or pair, and must be callable as const
#include <etch/data.h>

int main() {
  int64_t sum = 0;
  etch::data::range(3).map([sum](int64_t x) mutable { return sum += x; });
}
