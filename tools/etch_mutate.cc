// etch-mutate: broken files of each format, to be run under AddressSanitizer.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "tools/file_mutations.h"
#include "tools/options.h"

namespace etch {
namespace {

constexpr char kHelp[] = R"(usage: etch-mutate [OPTION]... MADE [COUNT]
Breaks the files in the folder MADE (tests/files/made) in COUNT (10000) ways for each format and reads them: each must
be read or be an Error that names the file. Prints how many were; exit code 1 if anything else happened.
  --first=N     the first seed (1)
  --format=NAME only this one, such as PNG
)";

struct Options {
  uint64_t first = 1;
  std::string format;
  std::string made;
  uint64_t count = 10000;
};

Options parse_options(int argc, char** argv) {
  Options options;
  for (const Argument& argument : arguments(argc, argv)) {
    if (argument.is("help")) {
      show_help(kHelp);
    } else if (argument.takes("first")) {
      options.first = static_cast<uint64_t>(argument.number(0));
    } else if (argument.takes("format")) {
      options.format = argument.value;
    } else if (!argument.name.empty()) {
      argument.fail_unknown("etch-mutate");
    } else if (options.made.empty()) {
      options.made = argument.value;
    } else {
      options.count = static_cast<uint64_t>(argument.number(1));
    }
  }
  if (options.made.empty()) throw BadInput("the folder of files, please; see etch-mutate --help");
  return options;
}

int run(const Options& options) {
  const std::vector<FileSample> samples = file_samples(options.made);
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("etch_mutated_" + std::to_string(getpid()));
  int failures = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!options.format.empty() && samples[i].format != options.format) continue;
    MutationCounts counts;
    const std::string& other = samples[(i + 1) % samples.size()].bytes;
    for (uint64_t seed = options.first; seed < options.first + options.count; ++seed) {
      const std::string complaint = try_mutation(samples[i], other, seed, path.string(), counts);
      if (complaint.empty()) continue;
      ++failures;
      std::printf("%s seed %llu: %s\n", samples[i].format.c_str(), static_cast<unsigned long long>(seed),
                  complaint.c_str());
    }
    std::printf("%-18s %8lld read %8lld refused\n", samples[i].format.c_str(), static_cast<long long>(counts.read),
                static_cast<long long>(counts.refused));
  }
  std::filesystem::remove(path);
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace etch

int main(int argc, char** argv) {
  return etch::run_tool("etch-mutate", [&] { return etch::run(etch::parse_options(argc, argv)); });
}
