// ERROR: etch: a generator is a callable that can be copied and gives a std::optional of an element
#include <etch/data.h>

int main() {
  etch::data::from_generator([] { return 3; });
}
