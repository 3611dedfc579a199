// Reads the files of expected values that the make_expected.py of layers, losses, optimizers and numerical programs write.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "etch/ops.h"

namespace etch {

/// `KEY DTYPE[EXTENTS] VALUES...` of one case by its keys; dtypes are f32, f64 and i64.
using KerasCase = std::map<std::string, Tensor>;

/// All of a file, by the names in its lines `case NAME`.
inline std::map<std::string, KerasCase> read_keras_file(const std::string& path) {
  std::map<std::string, KerasCase> cases;
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  KerasCase* now = nullptr;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) continue;
    std::istringstream in(line);
    std::string key, type, value;
    in >> key >> type;
    if (key == "case") {
      now = &cases[type];
      continue;
    }
    std::vector<int64_t> extents;
    std::istringstream list(type.substr(4, type.size() - 5));
    for (std::string extent; std::getline(list, extent, ',');) extents.push_back(std::stoll(extent));
    std::vector<double> values;
    while (in >> value) values.push_back(std::strtod(value.c_str(), nullptr));
    const Tensor wide = Tensor::from(values, Shape(extents));
    const auto is = [&](std::string_view dtype) { return type.starts_with(dtype); };
    (*now)[key] = is("f64") ? wide : cast(wide, is("i64") ? DType::i64 : DType::f32);
  }
  return cases;
}

/// Expects elements within a relative distance, or that distance itself below 1.
inline void expect_near(const Tensor& actual, const Tensor& expected, double tolerance) {
  ASSERT_EQ(actual.shape(), expected.shape());
  const std::vector<double> a = cast(actual, DType::f64).to_vector<double>();
  const std::vector<double> b = cast(expected, DType::f64).to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(b[i]) && std::isnan(a[i])) continue;
    EXPECT_NEAR(a[i], b[i], tolerance * std::max(1.0, std::fabs(b[i]))) << "element " << i;
  }
}

}  // namespace etch
