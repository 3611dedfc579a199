// Runs one of the command line tools in a folder of its own and looks at what it prints.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

struct Outcome {
  int exit_code;
  std::string out;
  std::string err;
};

class ToolTest : public testing::Test {
 protected:
  explicit ToolTest(std::string tool) : tool_(std::move(tool)) {
    std::string folder = (std::filesystem::temp_directory_path() / "etch_tool_XXXXXX").string();
    folder_ = mkdtemp(folder.data());
  }
  ~ToolTest() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& file) const { return (folder_ / file).string(); }
  void write(const std::string& file, std::string_view text) const {
    std::ofstream(path(file), std::ios::binary) << text;
  }
  std::string read(const std::string& file) const {
    std::ostringstream text;
    text << std::ifstream(path(file), std::ios::binary).rdbuf();
    return text.str();
  }

  /// Runs the tool in the folder; `arguments` is a piece of a shell command.
  Outcome run(const std::string& arguments) const {
    const std::string command =
        "cd '" + folder_.string() + "' && '" ETCH_BIN_DIR "/" + tool_ + "' " + arguments + " > out.txt 2> err.txt";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read("out.txt"), read("err.txt")};
  }

  void expect_one_line(const std::string& arguments, const std::string& line) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_EQ(outcome.err, tool_ + ": " + line + "\n") << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
  }

  const std::string tool_;
  std::filesystem::path folder_;
};
