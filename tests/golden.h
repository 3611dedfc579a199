// Golden files: what goes in, the line `// ===`, and what must come out. ETCH_UPDATE_GOLDENS=1 rewrites the second part.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace etch {

struct Golden {
  std::string before;  // with the comments on top
  std::string after;
  bool has_after = false;
};

inline constexpr std::string_view kGoldenSeparator = "// ===\n";

/// The .ir files in and below a folder of the sources, relative to it, in order.
inline std::vector<std::string> golden_files(const std::string& folder) {
  const std::filesystem::path root = std::filesystem::path(ETCH_SOURCE_DIR) / folder;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() == ".ir") files.push_back(std::filesystem::relative(entry.path(), root).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

inline Golden read_golden(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream stream;
  stream << file.rdbuf();
  const std::string text = stream.str();
  const size_t separator = text.find(kGoldenSeparator);
  if (separator == text.npos) return {text, "", false};
  return {text.substr(0, separator), text.substr(separator + kGoldenSeparator.size()), true};
}

inline bool updates_goldens() { return std::getenv("ETCH_UPDATE_GOLDENS") != nullptr; }

inline void write_golden(const std::filesystem::path& path, const Golden& golden, std::string_view after) {
  std::ofstream(path, std::ios::binary) << golden.before << kGoldenSeparator << after;
}

/// A golden's name as GoogleTest takes it.
inline std::string golden_test_name(const std::string& file) {
  std::string name = file.substr(0, file.find(".ir"));
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
}

}  // namespace etch
