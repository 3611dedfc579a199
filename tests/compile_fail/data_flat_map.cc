// ERROR: etch: this callable must give an etch::data::Dataset for each element
#include <etch/data.h>

int main() {
  etch::data::range(3).flat_map([](int64_t x) { return x; });
}
