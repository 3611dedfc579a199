// A fixed sample of broken files of each format; tools/etch_mutate.cc tries more.
#include <sys/resource.h>

#include <fstream>

#include "tests/files/files.h"
#include "tools/file_mutations.h"

namespace etch::data {
namespace {

/// Bounds the memory that the process may have, so that a length that is believed is an exception.
class MemoryLimit {
 public:
  explicit MemoryLimit(uint64_t more) {
    getrlimit(RLIMIT_AS, &before_);
    uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit limit{pages * static_cast<uint64_t>(getpagesize()) + more, before_.rlim_max};
    setrlimit(RLIMIT_AS, &limit);
  }
  ~MemoryLimit() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kMoreMemory = uint64_t{1} << 44;  // sanitizers map what they may need
#else
constexpr uint64_t kMoreMemory = uint64_t{1} << 28;
#endif

class Mutations : public Files {};

TEST_F(Mutations, AreReadOrAreErrorsThatNameTheFile) {
  const std::vector<FileSample> samples = file_samples(kMade);
  const MemoryLimit limit(kMoreMemory);
  for (size_t i = 0; i < samples.size(); ++i) {
    MutationCounts counts;
    for (uint64_t seed = 1; seed <= 300; ++seed) {
      const std::string& other = samples[(i + 1) % samples.size()].bytes;
      EXPECT_EQ(try_mutation(samples[i], other, seed, path("mutated"), counts), "")
          << samples[i].format << " seed " << seed;
    }
    EXPECT_GT(counts.refused, 20) << samples[i].format;
  }
}

TEST_F(Mutations, SamplesThemselvesAreRead) {
  for (const FileSample& sample : file_samples(kMade)) {
    EXPECT_GT(sample.read(write("sample", sample.bytes)), 0) << sample.format;
  }
}

TEST_F(Mutations, RepairedSamplesAreAsTheyWere) {
  for (const FileSample& sample : file_samples(kMade)) {
    if (sample.repair == nullptr) continue;
    std::string bytes = sample.bytes;
    sample.repair(bytes);
    EXPECT_EQ(bytes, sample.bytes) << sample.format;
  }
}

}  // namespace
}  // namespace etch::data
