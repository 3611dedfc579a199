// README.md is true: its programs are examples/tour and examples/training, and what it shows of them is what they print.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <string>

#include "compiler/codegen/codegen.h"
#include "compiler/ir/text.h"
#include "compiler/schedule/schedule.h"

namespace {

std::string read_file(const std::string& path) {
  std::ifstream stream(path);
  EXPECT_TRUE(stream) << path;
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string output_of(const std::string& command) {
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string output;
  char chunk[4096];
  while (size_t n = fread(chunk, 1, sizeof chunk, pipe.get())) output.append(chunk, n);
  return output;
}

// The fenced blocks that follow the lines `<!-- PROGRAM: NAME -->`.
std::map<std::string, std::string> readme_blocks(const std::string& program) {
  const std::string begin = "<!-- " + program + ": ";
  std::map<std::string, std::string> blocks;
  std::istringstream lines(read_file(ETCH_SOURCE_DIR "/README.md"));
  std::string line, name;
  bool inside = false;
  while (std::getline(lines, line)) {
    if (line.starts_with(begin)) {
      name = line.substr(begin.size(), line.size() - begin.size() - 4);
    } else if (line.starts_with("```") && !name.empty()) {
      if (inside) name.clear();
      inside = !inside;
    } else if (inside && !name.empty()) {
      blocks[name] += line + "\n";
    }
  }
  return blocks;
}

// The parts of the tour's output between the lines `== NAME`.
std::map<std::string, std::string> tour_blocks() {
  std::map<std::string, std::string> blocks;
  std::istringstream lines(output_of(ETCH_BIN_DIR "/../examples/tour"));
  std::string line, name;
  while (std::getline(lines, line)) {
    if (line.starts_with("== ")) {
      name = line.substr(3);
    } else {
      blocks[name] += line + "\n";
    }
  }
  for (auto& [_, text] : blocks) {
    while (text.ends_with("\n\n")) text.pop_back();
  }
  return blocks;
}

// Measured times change from run to run; everything else is fixed.
std::string without_numbers(const std::string& text) {
  return std::regex_replace(std::regex_replace(text, std::regex("[0-9.]+"), "N"), std::regex(" +"), " ");
}

TEST(Readme, ShowsTheSourceOfTheTour) {
  EXPECT_EQ(readme_blocks("tour")["source"], read_file(ETCH_SOURCE_DIR "/examples/tour/main.cc"));
}

TEST(Readme, ShowsWhatTheTourPrints) {
  auto readme = readme_blocks("tour"), tour = tour_blocks();
  for (const char* name : {"result", "trace", "graph", "schedule", "loops"}) {
    EXPECT_FALSE(tour[name].empty()) << name;
    EXPECT_EQ(readme[name], tour[name]) << name;
  }
}

TEST(Readme, ShowsTheTimesInTheFormThatTheTourPrints) {
  EXPECT_EQ(without_numbers(readme_blocks("tour")["times"]), without_numbers(tour_blocks()["times"]));
}

TEST(Readme, ShowsTheTrainingAndWhatItPrints) {
  auto readme = readme_blocks("training");
  EXPECT_EQ(readme["source"], read_file(ETCH_SOURCE_DIR "/examples/training/main.cc"));
  EXPECT_EQ(readme["output"], output_of(ETCH_BIN_DIR "/../examples/training"));
}

// The code is made for a processor: README shows that of AVX-512, which every x86-64 can print.
TEST(Readme, ShowsTheLlvmCodeOfItsGraphForAvx512) {
  const etch::Target* target = etch::find_target("avx512");
  if (!target) GTEST_SKIP() << "README shows the code of x86-64";
  auto readme = readme_blocks("tour");
  absl::StatusOr<etch::Graph> graph = etch::parse(readme["graph"]);
  ASSERT_TRUE(graph.ok()) << graph.status();
  absl::StatusOr<etch::Schedule> schedule = etch::make_schedule(*graph, {});
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  std::string code;
  for (const etch::ScheduledKernel& kernel : schedule->kernels) {
    code += etch::print_code(kernel.program, {.target = *target}, etch::CodeStage::llvm, kernel.name).value();
  }
  EXPECT_EQ(without_numbers(readme["llvm"]), without_numbers(code));
}

}  // namespace
