// list_files: the paths that match patterns.
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>

#include "compiler/ir/cat.h"
#include "etch/data/files.h"
#include "frontend/tensor_impl.h"

namespace etch::data {
namespace {

class PathList final : public RandomAccess<std::string> {
 public:
  explicit PathList(std::vector<std::string> paths) : paths_(std::move(paths)) {}
  std::string_view name() const override { return "list_files"; }
  int64_t cardinality() const override { return static_cast<int64_t>(paths_.size()); }
  std::vector<ElementSpec> element_spec() const override { return {{}}; }
  std::string at(int64_t i) const override { return paths_[static_cast<size_t>(i)]; }

 private:
  std::vector<std::string> paths_;
};

void add_matches(const std::string& pattern, std::vector<std::string>& paths, Location where) {
  const auto fail = [&](std::string_view reason) {
    etch::detail::fail(where, cat("list_files: ", pattern, ": ", reason));
  };
  glob_t found{};
  const int result = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  const size_t before = paths.size();
  struct stat status;
  for (size_t i = 0; result == 0 && i < found.gl_pathc; ++i) {
    if (::stat(found.gl_pathv[i], &status) == 0 && S_ISREG(status.st_mode)) paths.emplace_back(found.gl_pathv[i]);
  }
  ::globfree(&found);
  if (result == GLOB_NOSPACE) fail("no memory for the matches");
  if (paths.size() == before) fail("no file matches");
}

}  // namespace

Dataset<std::string> list_files(Paths patterns, ListFilesOptions options, Location where) {
  std::vector<std::string> paths;
  for (const std::string& pattern : std::move(patterns).take()) add_matches(pattern, paths, where);
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  const auto count = static_cast<int64_t>(paths.size());
  Dataset<std::string> files(std::make_shared<const PathList>(std::move(paths)));
  if (!options.shuffle) return files;
  return files.shuffle(count, {.seed = options.shuffle});
}

}  // namespace etch::data
