// Runs a program eagerly and traced in every mode, and wants the same bits.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "etch/etch.h"

namespace etch {

inline std::string bytes_of(const Tensor& tensor) {
  std::string bytes;
  dispatch(tensor.dtype(), [&]<class T>() {
    const auto elements = tensor.data<T>();
    bytes.assign(reinterpret_cast<const char*>(elements.data()), elements.size_bytes());
  });
  return std::string(name(tensor.dtype())) + to_string(tensor.shape()) + bytes;
}

template <class T>
std::vector<std::string> all_bytes(const T& value) {
  std::vector<std::string> bytes;
  for (const Tensor& tensor : detail::tensors_of({}, value)) bytes.push_back(bytes_of(tensor));
  return bytes;
}

/// The results of `program(args...)`, eager, and the check that fused and unfused code, on one thread and split over two, give
/// the same bits.
template <class Program, class... Args>
auto in_all_modes(Program program, const Args&... args) {
  auto expected = program(args...);
  const std::vector<std::string> bytes = all_bytes(expected);
  for (const bool fuse : {true, false}) {
    for (const char* flags : {"threads=1", "threads=2,grain=3"}) {
      ScopedFlags scoped(flags);
      auto compiled = etch::function([program](Args... a) { return program(a...); }, {.fuse = fuse});
      EXPECT_EQ(all_bytes(compiled(args...)), bytes) << (fuse ? "fused, " : "unfused, ") << flags;
      EXPECT_EQ(all_bytes(compiled(args...)), bytes) << "the second call, " << (fuse ? "fused, " : "unfused, ") << flags;
    }
  }
  return expected;
}

}  // namespace etch
