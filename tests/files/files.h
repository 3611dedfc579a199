// What the tests of file formats share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "etch/data.h"
#include "tests/frontend/error_of.h"

namespace etch::data {

/// Files that other tools made (make_files.py).
inline const std::string kMade = ETCH_SOURCE_DIR "/tests/files/made/";

/// A folder of one test.
class Files : public testing::Test {
 protected:
  Files() { std::filesystem::create_directories(folder_); }
  ~Files() override { std::filesystem::remove_all(folder_); }

  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  /// A file of these bytes.
  std::string write(std::string_view name, std::string_view bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("etch_files_" + std::to_string(getpid()));
};

/// An Error's text without what stands before the file and without the folder of the file.
inline std::string short_text(std::string text) {
  text.erase(0, std::min(text.find("cannot "), text.size()));
  const size_t path = text.find('/');
  if (path == text.npos) return text;
  const size_t end = std::min(text.find(": ", path), text.size());
  return text.erase(path, text.rfind('/', end) + 1 - path);
}

/// What a walk gives, with the errors of single elements.
template <class T>
struct Walked {
  std::vector<T> elements;
  std::vector<std::string> errors;
};
template <class T>
Walked<T> walk(const Dataset<T>& dataset) {
  Walked<T> walked;
  Cancellation cancellation;
  OpenContext context;
  context.cancellation = &cancellation;
  const auto cursor = dataset.stage()->open(context);
  for (bool more = true; more;) {
    try {
      T element{};
      more = cursor->next(element);
      if (more) walked.elements.push_back(std::move(element));
    } catch (const Error& error) {
      walked.errors.push_back(short_text(error.what()));
    }
  }
  return walked;
}

/// The first error of a walk.
template <class T>
std::string first_error(const Dataset<T>& dataset) {
  return short_text(error_of([&] { dataset.to_vector(); }));
}

/// The rest of a walk that is saved behind `count` elements, and of one that skips them; expects both to be that of the
/// whole.
template <class T, class Equal = std::equal_to<T>>
void expect_resumes(const Dataset<T>& dataset, Equal equal = {}) {
  const std::vector<T> all = dataset.to_vector();
  for (size_t count = 0; count <= all.size(); ++count) {
    auto first = dataset.iterator();
    for (size_t i = 0; i < count; ++i) first.next();
    auto restored = dataset.iterator();
    restored.restore(first.state());
    auto skipping = dataset.iterator();
    EXPECT_EQ(skipping.skip(count), static_cast<int64_t>(count));
    for (size_t i = count; i < all.size(); ++i) {
      const auto from_state = restored.next();
      const auto from_skip = skipping.next();
      ASSERT_TRUE(from_state && from_skip) << count << " " << i;
      EXPECT_TRUE(equal(*from_state, all[i])) << count << " " << i;
      EXPECT_TRUE(equal(*from_skip, all[i])) << count << " " << i;
    }
    EXPECT_FALSE(restored.next()) << count;
    EXPECT_FALSE(skipping.next()) << count;
  }
}

/// True for tensors of one type with the same bits.
bool same_bits(const Tensor& a, const Tensor& b);

}  // namespace etch::data
