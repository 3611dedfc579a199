// Elements of data sets as text, for comparisons.
#pragma once

#include <etch/data.h>
#include <etch/ops.h>
#include <etch/random.h>

#include <string>
#include <tuple>
#include <vector>

namespace etch::data {

/// `3`, `[0,1]` for tensors and vectors, `(a,b)` for tuples, `{a;b}` for data sets.
template <class T>
std::string text_of(const T& value);

inline std::string text_of_tensor(const Tensor& tensor, int axis, int64_t& next) {
  const auto element = [&] {
    return dispatch(tensor.dtype(), [&]<class E> {
      const E value = tensor.data<E>()[static_cast<size_t>(next++)];
      if constexpr (std::is_integral_v<E>) {
        return std::to_string(value);
      } else {
        return std::to_string(static_cast<double>(value));
      }
    });
  };
  if (axis == tensor.rank()) return element();
  std::string text = "[";
  for (int64_t i = 0; i < tensor.shape()[axis]; ++i) text += (i ? "," : "") + text_of_tensor(tensor, axis + 1, next);
  return text + "]";
}

template <class T>
std::string text_of(const T& value) {
  if constexpr (std::is_same_v<T, Tensor>) {
    int64_t next = 0;
    return text_of_tensor(value, 0, next);
  } else if constexpr (detail::kIsDataset<T>) {
    std::string text;
    for (const auto& element : value) text += (text.empty() ? "" : ";") + text_of(element);
    return "{" + text + "}";
  } else if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (etch::detail::TupleLike<T> || detail::kPlain<T>) {
    std::string text;
    detail::for_each_part(value, [&](const auto& part) { text += (text.empty() ? "" : ",") + text_of(part); });
    return "(" + text + ")";
  } else {
    std::string text;
    for (const auto& element : value) text += (text.empty() ? "" : ",") + text_of(element);
    return "[" + text + "]";
  }
}

/// The elements that are left.
template <class T>
std::vector<std::string> rest_of(Iterator<T>& iterator) {
  std::vector<std::string> texts;
  while (std::optional<T> element = iterator.next()) texts.push_back(text_of(*element));
  return texts;
}
template <class T>
std::vector<std::string> texts_of(const Dataset<T>& dataset, uint64_t epoch = 0) {
  Iterator<T> iterator = dataset.iterator({.epoch = epoch});
  return rest_of(iterator);
}
template <class T>
std::string line_of(const Dataset<T>& dataset, uint64_t epoch = 0) {
  std::string line;
  for (const std::string& text : texts_of(dataset, epoch)) line += (line.empty() ? "" : ";") + text;
  return line;
}

/// n times n.
inline Tensor run_of(int64_t n) { return Tensor(std::vector<int64_t>(static_cast<size_t>(n), n)); }

}  // namespace etch::data
