// etch-fuzz: random graphs, run in every way, until the count is reached or one fails.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tools/fuzz.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: etch-fuzz FIRST_SEED COUNT\n");
    return 2;
  }
  uint64_t first = std::strtoull(argv[1], nullptr, 10);
  uint64_t count = std::strtoull(argv[2], nullptr, 10);
  uint64_t failures = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    std::string failure = etch::fuzz_case(seed);
    if (failure.empty()) continue;
    ++failures;
    std::printf("%s\n", failure.c_str());
    std::fflush(stdout);
  }
  std::printf("%llu cases from seed %llu, %llu failed\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(first), static_cast<unsigned long long>(failures));
  return failures == 0 ? 0 : 1;
}
