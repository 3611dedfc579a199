// ETCH_FLAGS: docs/flags.md against the table, the parser, and what flags do.
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "etch/function.h"
#include "etch/ops.h"

namespace etch {
namespace {

namespace fs = std::filesystem;

std::string file_text(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string error_of(std::string_view flags) {
  try {
    ScopedFlags scoped(flags);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Flags, DocumentationHasEachRowOfTheTable) {
  std::string expected = "| Flag | Values | At first | What it does |\n| --- | --- | --- | --- |\n";
  for (const FlagInfo& flag : flag_table()) {
    std::string values(flag.values);
    if (const size_t bar = values.find('|'); bar != values.npos) values.insert(bar, "\\");  // or the cell ends there
    expected += "| `" + std::string(flag.name) + "` | `" + values + "` | " +
                (flag.initial.empty() ? "" : "`" + std::string(flag.initial) + "` ") + "| " + std::string(flag.meaning) + " |\n";
  }
  const std::string text = file_text(ETCH_SOURCE_DIR "/docs/flags.md");
  EXPECT_NE(text.find(expected), std::string::npos) << "docs/flags.md must hold this table:\n" << expected;
}

TEST(Flags, UnknownOnesAndBadValuesAreErrors) {
  EXPECT_EQ(error_of("nonsense=1").find("ScopedFlags: there is no flag 'nonsense'; flags are dump=DIR, "), 0u);
  EXPECT_EQ(error_of("fuse=2").find("ScopedFlags: flag 'fuse' does not take '2', only 0|1"), 0u);
  EXPECT_EQ(error_of("threads=x").find("ScopedFlags: flag 'threads' does not take 'x', only N"), 0u);
  EXPECT_EQ(error_of("threads=-1").find("ScopedFlags: flag 'threads' does not take"), 0u);
  EXPECT_EQ(error_of("threads=99999999999").find("ScopedFlags: flag 'threads' does not take"), 0u);
  EXPECT_NE(error_of("threads=5000").find("at most 1024"), std::string::npos);
  EXPECT_EQ(error_of("target=z80").find("ScopedFlags: flag 'target' does not take 'z80', only NAME"), 0u);
  EXPECT_EQ(error_of("dump").find("ScopedFlags: flag 'dump' needs a value, DIR"), 0u);
  EXPECT_EQ(error_of("dump=").find("ScopedFlags: flag 'dump' needs a value, DIR"), 0u);
  EXPECT_EQ(error_of("print_after=nonsense").find("ScopedFlags: flag 'print_after' does not take 'nonsense'"), 0u);
  EXPECT_EQ(error_of(",verify,,time=0,"), "no error");
}

TEST(Flags, FuseAndSimplifyChangeWhatIsCompiled) {
  const auto kernels = [] {
    return function([](Tensor x) { return tanh(x * 1) + exp(x); }).concrete(Tensor({1.f, 2.f})).num_kernels();
  };
  const int fused = kernels();
  EXPECT_EQ(fused, 1);
  {
    ScopedFlags scoped("fuse=0");
    EXPECT_EQ(kernels(), 3);
    ScopedFlags inner("simplify=0");
    EXPECT_GT(kernels(), 3);
  }
  EXPECT_EQ(kernels(), fused);
}

TEST(Flags, TraceTwiceChecksEveryFunction) {
  ScopedFlags scoped("trace_twice");
  int count = 0;
  auto f = function([&count](Tensor x) { return x * ++count; });
  EXPECT_THROW(f(Tensor(1.f)), Error);
}

TEST(Flags, EagerRunsFunctionsAsTheyAre) {
  ScopedFlags scoped("eager");
  EXPECT_TRUE(functions_run_eagerly());
  EXPECT_EQ(function([](Tensor x) { return x.item<float>(); })(Tensor(1.f)), 1.f);
}

TEST(Flags, DumpWritesNumberedFilesPerConcreteFunction) {
  const fs::path folder = fs::temp_directory_path() / ("etch_dump_" + std::to_string(getpid()));
  fs::remove_all(folder);
  {
    ScopedFlags scoped("dump=" + folder.string());
    auto f = function([](Tensor x) { return softmax(x) * 1; }, {.name = "a/b c"});
    f(Tensor({1.f, 2.f}));
    f(Tensor({1.f, 2.f, 3.f}));
  }
  EXPECT_TRUE(fs::exists(folder / "a_b_c_0" / "00_signature.txt"));
  EXPECT_NE(file_text(folder / "a_b_c_1" / "00_signature.txt").find("args[0] changed from f32[2] to f32[3]"),
            std::string::npos);
  EXPECT_NE(file_text(folder / "a_b_c_0" / "01_trace.txt").find("in softmax"), std::string::npos);
  std::string names;
  for (const auto& entry : fs::directory_iterator(folder / "a_b_c_0")) {
    names += entry.path().filename().string() + " ";
    EXPECT_GT(fs::file_size(entry.path()), 0u) << entry.path();
  }
  for (const char* stage : {"pass_", "graph", "schedule", "buffers", "steps", "loops", "llvm", "optimized_llvm", "assembly", "times", "cost"}) {
    EXPECT_NE(names.find(stage), std::string::npos) << stage;
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace etch
