// The tables of docs/dtypes.md are those of dtypes.def and result_type.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "etch/etch.h"

namespace etch {
namespace {

/// The cells of a row of a Markdown table without blanks, backquotes and escapes; none for other lines.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> row;
  if (line.empty() || line[0] != '|') return row;
  std::string cell;
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      cell += line[++i];
    } else if (line[i] == '|') {
      row.push_back(std::move(cell));
      cell.clear();
    } else if (line[i] != ' ' && line[i] != '`') {
      cell += line[i];
    }
  }
  return row;
}

/// The rows of the page's tables that begin with the name of a dtype: first those that describe it, then result_type.
std::vector<std::vector<std::string>> rows() {
  std::ifstream page(ETCH_SOURCE_DIR "/docs/dtypes.md");
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(page, line);) {
    std::vector<std::string> row = cells(line);
    if (row.empty() || row[0].empty() || row[0] == "dtype" || row[0][0] == '-') continue;
    rows.push_back(std::move(row));
  }
  return rows;
}

TEST(DtypesPage, DescribesEveryRowOfDtypesDef) {
  const auto table = rows();
  ASSERT_EQ(table.size(), size_t{2 * kNumDTypes});
  for (int i = 0; i < kNumDTypes; ++i) {
    const DTypeInfo& dtype = kDTypes[i];
    const std::vector<std::string> want{std::string(dtype.name), table[i][1], std::to_string(dtype.bytes),
                                        to_string(dtype.compute), std::string(dtype.npy)};
    EXPECT_EQ(table[i], want);
  }
}

TEST(DtypesPage, ShowsWhatResultTypeGives) {
  const auto table = rows();
  ASSERT_EQ(table.size(), size_t{2 * kNumDTypes});
  for (int a = 0; a < kNumDTypes; ++a) {
    std::vector<std::string> want{to_string(static_cast<DType>(a))};
    for (int b = 0; b < kNumDTypes; ++b) {
      want.push_back(to_string(result_type(static_cast<DType>(a), static_cast<DType>(b))));
    }
    EXPECT_EQ(table[kNumDTypes + a], want);
  }
}

}  // namespace
}  // namespace etch
