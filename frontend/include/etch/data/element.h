// Elements of data sets: which tensors and other values stand in them, how they are batched, and their bytes. Internal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/data/stage.h"
#include "etch/tensor.h"
#include "etch/values.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {
namespace detail {

template <class T>
inline constexpr bool kFalse = false;

// A class whose members etch::detail::member can name.
template <class T>
consteval bool is_plain() {
  if constexpr (etch::detail::Plain<T>) {
    return etch::detail::has_plain_members<T>();
  } else {
    return false;
  }
}
template <class T>
inline constexpr bool kPlain = is_plain<T>();

/// Calls f for each direct part of a tuple, a pair, an array or a plain class.
template <class T, class F>
void for_each_part(T& value, F&& f) {
  using Value = std::remove_const_t<T>;
  if constexpr (etch::detail::TupleLike<Value>) {
    std::apply([&](auto&... parts) { (f(parts), ...); }, value);
  } else {
    [&]<size_t... I>(std::index_sequence<I...>) {
      (f(etch::detail::member<I>(value)), ...);
    }(std::make_index_sequence<etch::detail::kNumMembers<Value>>());
  }
}

template <class T>
consteval int count_tensors();
template <class T, size_t... I>
consteval int count_in_tuple(std::index_sequence<I...>) {
  const int counts[] = {0, count_tensors<std::remove_cvref_t<std::tuple_element_t<I, T>>>()...};
  int sum = 0;
  for (int count : counts) sum = count < 0 || sum < 0 ? -1 : sum + count;
  return sum;
}
template <class T, size_t... I>
consteval int count_in_class(std::index_sequence<I...>) {
  const int counts[] = {0,
                        count_tensors<std::remove_cvref_t<decltype(etch::detail::member<I>(std::declval<T&>()))>>()...};
  int sum = 0;
  for (int count : counts) sum = count < 0 || sum < 0 ? -1 : sum + count;
  return sum;
}
/// How many tensors each value of a type has, or -1 if that is not fixed or it has anything else.
template <class T>
consteval int count_tensors() {
  if constexpr (std::is_same_v<T, Tensor>) {
    return 1;
  } else if constexpr (etch::detail::TupleLike<T>) {
    return count_in_tuple<T>(std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (kPlain<T>) {
    return count_in_class<T>(std::make_index_sequence<etch::detail::kNumMembers<T>>());
  } else {
    return -1;
  }
}
/// True for a fixed number of tensors and nothing else: what a traced function takes elements of, and what can be
/// batched as a class of its own.
template <class T>
inline constexpr bool kIsTensors = count_tensors<T>() > 0;

/// Calls f with each tensor of a value that is kIsTensors.
template <class T, class F>
void for_each_tensor(T& value, F&& f) {
  if constexpr (std::is_same_v<std::remove_const_t<T>, Tensor>) {
    f(value);
  } else {
    for_each_part(value, [&](auto& part) { for_each_tensor(part, f); });
  }
}

/// The tensors of an element, and an element of tensors.
template <class T>
std::vector<Tensor> tensors_of(const T& value) {
  std::vector<Tensor> tensors;
  for_each_tensor(value, [&](const Tensor& tensor) { tensors.push_back(tensor); });
  return tensors;
}
template <class T>
T from_tensors_of(std::span<Tensor> tensors) {
  T value{};
  size_t next = 0;
  for_each_tensor(value, [&](Tensor& tensor) { tensor = std::move(tensors[next++]); });
  return value;
}

/// The type of an element that is kIsTensors.
template <class T>
ElementSpec spec_of(const T& value) {
  ElementSpec spec;
  for_each_tensor(value, [&](const Tensor& tensor) { spec.tensors.push_back({tensor.dtype(), tensor.shape()}); });
  return spec;
}
/// A stand-in with the type of an element, to trace with.
template <class T>
T stand_in(const ElementSpec& spec) {
  T value{};
  size_t next = 0;
  for_each_tensor(value, [&](Tensor& tensor) { tensor = spec.tensors.at(next++); });
  return value;
}

// ---- Batches.

template <class T>
struct BatchedType;
template <class T>
using BatchedOf = typename BatchedType<T>::type;
template <class T>
struct BatchedType {
  static consteval auto choose() {
    if constexpr (std::is_same_v<T, Tensor> || Arithmetic<T>) {
      return std::type_identity<Tensor>();
    } else if constexpr (kIsTensors<T>) {
      return std::type_identity<T>();
    } else if constexpr (kPlain<T>) {
      static_assert(kFalse<T>,
                    "etch: a struct with host values has no batch of its own type; map it to a struct of tensors "
                    "or to a std::tuple first");
    } else {
      return std::type_identity<std::vector<T>>();
    }
  }
  using type = typename decltype(choose())::type;
};
template <class... T>
struct BatchedType<std::tuple<T...>> {
  using type = std::tuple<BatchedOf<T>...>;
};
template <class A, class B>
struct BatchedType<std::pair<A, B>> {
  using type = std::pair<BatchedOf<A>, BatchedOf<B>>;
};
template <class T, size_t kCount>
struct BatchedType<std::array<T, kCount>> {
  using type = std::array<BatchedOf<T>, kCount>;
};

template <class T>
struct UnbatchedType {
  static_assert(kIsTensors<T>, "etch: unbatch takes tensors, std::vectors, and tuples and structs of tensors");
  using type = T;
};
template <class T>
using UnbatchedOf = typename UnbatchedType<T>::type;
template <class T>
struct UnbatchedType<std::vector<T>> {
  using type = T;
};
template <class... T>
struct UnbatchedType<std::tuple<T...>> {
  using type = std::tuple<UnbatchedOf<T>...>;
};
template <class A, class B>
struct UnbatchedType<std::pair<A, B>> {
  using type = std::pair<UnbatchedOf<A>, UnbatchedOf<B>>;
};

/// Numbers as tensors, in tuples too.
template <class T>
struct TensoredType {
  using type = std::conditional_t<Arithmetic<T>, Tensor, T>;
};
template <class T>
using TensoredOf = typename TensoredType<T>::type;
template <class... T>
struct TensoredType<std::tuple<T...>> {
  using type = std::tuple<TensoredOf<T>...>;
};
template <class A, class B>
struct TensoredType<std::pair<A, B>> {
  using type = std::pair<TensoredOf<A>, TensoredOf<B>>;
};
template <class T>
TensoredOf<T> tensored(T value) {
  if constexpr (Arithmetic<T>) {
    return Tensor(value);
  } else if constexpr (std::is_same_v<T, TensoredOf<T>>) {
    return value;
  } else {
    return std::apply([](auto&... parts) { return TensoredOf<T>(tensored(std::move(parts))...); }, value);
  }
}

/// Collects tensors of one type, or numbers, as the rows of one.
class RowBlock {
 public:
  void begin(int64_t capacity) {
    rows_ = 0;
    capacity_ = capacity;
    block_ = Tensor();
  }
  /// Error unless it has the dtype and shape of the first.
  void add(const Tensor& row);
  template <Arithmetic T>
  void add(T number) {
    add_number(dtype_of_number<T>(), &number);
  }
  /// The rows so far.
  Tensor finish();

 private:
  template <class T>
  static constexpr DType dtype_of_number() {
    return Number(T()).dtype();
  }
  void add_number(DType dtype, const void* number);
  void start(DType dtype, const Shape& row);
  [[noreturn]] void refuse(DType dtype, const Shape& row) const;

  int64_t rows_ = 0, capacity_ = 0;
  Tensor block_;
  std::byte* next_ = nullptr;
  size_t row_bytes_ = 0;
  DType dtype_ = DType::f32;
  Shape row_;
};

/// Collects elements as a batch.
template <class T>
class Collector {
 public:
  void begin(int64_t capacity) { each([&](auto& part) { part.begin(capacity); }); }
  void add(const T& element) {
    if constexpr (kIsSingle) {
      parts_.add(element);
    } else if constexpr (kIsTensors<T>) {
      size_t next = 0;
      for_each_tensor(element, [&](const Tensor& tensor) { parts_[next++].add(tensor); });
    } else if constexpr (etch::detail::TupleLike<T>) {
      add_parts(element, std::make_index_sequence<std::tuple_size_v<T>>());
    } else {
      parts_.push_back(element);
    }
  }
  BatchedOf<T> finish() {
    if constexpr (kIsSingle) {
      return parts_.finish();
    } else if constexpr (kIsTensors<T>) {
      T batch{};
      size_t next = 0;
      for_each_tensor(batch, [&](Tensor& tensor) { tensor = parts_[next++].finish(); });
      return batch;
    } else if constexpr (etch::detail::TupleLike<T>) {
      return std::apply([](auto&... parts) { return BatchedOf<T>{parts.finish()...}; }, parts_);
    } else {
      return std::move(parts_);
    }
  }

 private:
  static constexpr bool kIsSingle = std::is_same_v<T, Tensor> || Arithmetic<T>;
  template <class U>
  struct PartsOf {
    using type = std::vector<U>;
  };
  template <class... U>
  struct PartsOf<std::tuple<U...>> {
    using type = std::tuple<Collector<U>...>;
  };
  template <class A, class B>
  struct PartsOf<std::pair<A, B>> {
    using type = std::tuple<Collector<A>, Collector<B>>;
  };
  static consteval auto choose() {
    if constexpr (kIsSingle) {
      return std::type_identity<RowBlock>();
    } else if constexpr (kIsTensors<T>) {
      return std::type_identity<std::array<RowBlock, static_cast<size_t>(count_tensors<T>())>>();
    } else {
      return std::type_identity<typename PartsOf<T>::type>();
    }
  }

  template <class F>
  void each(F&& f) {
    if constexpr (kIsSingle) {
      f(parts_);
    } else if constexpr (kIsTensors<T>) {
      for (RowBlock& part : parts_) f(part);
    } else if constexpr (etch::detail::TupleLike<T>) {
      std::apply([&](auto&... parts) { (f(parts), ...); }, parts_);
    } else {
      parts_.clear();
    }
  }
  template <size_t... I>
  void add_parts(const T& element, std::index_sequence<I...>) {
    (std::get<I>(parts_).add(std::get<I>(element)), ...);
  }

  typename decltype(choose())::type parts_;
};

// Rows of tensors. Sharing: the row stands on the memory of the whole.
Tensor row_of(const Tensor& tensor, int64_t i);
/// The extent of the first axis; Error, which names `op`, for rank 0 and for a value of a trace.
int64_t num_rows(const Tensor& tensor, std::string_view op);
/// A copy of these rows of an eager tensor, whose indices are valid.
Tensor gather_rows(const Tensor& tensor, std::span<const int64_t> indices);

/// Row i of a batch.
template <class T>
UnbatchedOf<T> row_of_element(const T& batch, int64_t i) {
  if constexpr (std::is_same_v<T, Tensor>) {
    return row_of(batch, i);
  } else if constexpr (kIsTensors<T>) {
    T row = batch;
    for_each_tensor(row, [&](Tensor& tensor) { tensor = row_of(tensor, i); });
    return row;
  } else if constexpr (etch::detail::TupleLike<T>) {
    return std::apply([&](const auto&... parts) { return UnbatchedOf<T>(row_of_element(parts, i)...); }, batch);
  } else {
    return batch[static_cast<size_t>(i)];
  }
}
/// How many rows the parts of a batch have: the same in all, or Error.
template <class T>
void count_element_rows(const T& batch, std::string_view op, int64_t& rows);
void agree_on_rows(int64_t more, std::string_view op, int64_t& rows);
template <class T>
void count_element_rows(const T& batch, std::string_view op, int64_t& rows) {
  if constexpr (std::is_same_v<T, Tensor>) {
    agree_on_rows(num_rows(batch, op), op, rows);
  } else if constexpr (etch::detail::TupleLike<T> || kPlain<T>) {
    for_each_part(batch, [&](const auto& part) { count_element_rows(part, op, rows); });
  } else {
    agree_on_rows(static_cast<int64_t>(batch.size()), op, rows);
  }
}

// ---- Bytes of elements, for states and files.

/// Writes values one behind the other.
class Encoder {
 public:
  void raw(const void* data, size_t bytes) { bytes_.append(static_cast<const char*>(data), bytes); }
  template <class T>
  void number(T value) {
    raw(&value, sizeof value);
  }
  void text(std::string_view value) {
    number(static_cast<uint64_t>(value.size()));
    raw(value.data(), value.size());
  }
  void tensor(const Tensor& value);
  size_t size() const { return bytes_.size(); }
  void clear() { bytes_.clear(); }
  const std::string& bytes() const { return bytes_; }
  /// The bytes as u8[n], for a state.
  Tensor to_tensor() const;

 private:
  std::string bytes_;
};

/// Reads what an Encoder wrote; Error at the end of the bytes and for what cannot be.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : bytes_(bytes) {}
  /// `state` u8[n] must outlive it.
  explicit Decoder(const Tensor& state);
  void raw(void* data, size_t bytes);
  template <class T>
  T number() {
    T value;
    raw(&value, sizeof value);
    return value;
  }
  /// A count of things that take a byte or more each.
  uint64_t count();
  std::string text();
  Tensor tensor();
  bool at_end() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

template <class T>
consteval bool is_savable();
template <class T, size_t... I>
consteval bool are_savable(std::index_sequence<I...>) {
  return (is_savable<std::remove_cvref_t<std::tuple_element_t<I, T>>>() && ...);
}
template <class T, size_t... I>
consteval bool members_are_savable(std::index_sequence<I...>) {
  return (is_savable<std::remove_cvref_t<decltype(etch::detail::member<I>(std::declval<T&>()))>>() && ...);
}
/// True if values of a type can be encoded.
template <class T>
consteval bool is_savable() {
  if constexpr (std::is_same_v<T, Tensor> || std::is_enum_v<T> || Arithmetic<T> || std::is_same_v<T, std::string>) {
    return true;
  } else if constexpr (std::is_same_v<T, std::vector<bool>>) {
    return false;
  } else if constexpr (etch::detail::OptionalLike<T>) {
    return is_savable<typename T::value_type>();
  } else if constexpr (etch::detail::TupleLike<T>) {
    return are_savable<T>(std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (requires(T& t, typename T::value_type v) { t.push_back(v); }) {
    return is_savable<typename T::value_type>();
  } else if constexpr (kPlain<T>) {
    return members_are_savable<T>(std::make_index_sequence<etch::detail::kNumMembers<T>>());
  } else {
    return false;
  }
}
template <class T>
inline constexpr bool kSavable = is_savable<T>();

template <class T>
void encode(const T& value, Encoder& to) {
  if constexpr (std::is_same_v<T, Tensor>) {
    to.tensor(value);
  } else if constexpr (std::is_enum_v<T> || Arithmetic<T>) {
    to.number(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    to.text(value);
  } else if constexpr (etch::detail::OptionalLike<T>) {
    to.number(static_cast<uint8_t>(value.has_value()));
    if (value) encode(*value, to);
  } else if constexpr (etch::detail::TupleLike<T>) {
    for_each_part(value, [&](const auto& part) { encode(part, to); });
  } else if constexpr (requires { value.begin(); }) {
    to.number(static_cast<uint64_t>(value.size()));
    for (const auto& part : value) encode(part, to);
  } else {
    for_each_part(value, [&](const auto& part) { encode(part, to); });
  }
}
template <class T>
void decode(Decoder& from, T& value) {
  if constexpr (std::is_same_v<T, Tensor>) {
    value = from.tensor();
  } else if constexpr (std::is_same_v<T, bool>) {
    value = from.number<uint8_t>() != 0;
  } else if constexpr (std::is_enum_v<T> || Arithmetic<T>) {
    value = from.number<T>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    value = from.text();
  } else if constexpr (etch::detail::OptionalLike<T>) {
    value.reset();
    if (from.number<uint8_t>() != 0) decode(from, value.emplace());
  } else if constexpr (etch::detail::TupleLike<T>) {
    for_each_part(value, [&](auto& part) { decode(from, part); });
  } else if constexpr (requires { value.begin(); }) {
    value.clear();
    for (uint64_t n = from.count(); n > 0; --n) {
      typename T::value_type part{};
      decode(from, part);
      value.push_back(std::move(part));
    }
  } else {
    for_each_part(value, [&](auto& part) { decode(from, part); });
  }
}

/// Beyond so many bytes elements are not kept in a state: the walk is replayed.
inline constexpr size_t kMaxStateBytes = size_t{64} << 20;

/// Bytes that an element takes, roughly.
template <class T>
int64_t bytes_of_element(const T& element) {
  if constexpr (std::is_same_v<T, Tensor>) {
    return element.defined() ? 256 + element.size() * size_of(element.dtype()) : 64;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return static_cast<int64_t>(sizeof(T) + element.size());
  } else if constexpr (etch::detail::TupleLike<T> || kPlain<T>) {
    int64_t bytes = 0;
    for_each_part(element, [&](const auto& part) { bytes += bytes_of_element(part); });
    return bytes;
  } else if constexpr (requires { element.begin(); element.size(); }) {
    int64_t bytes = sizeof(T);
    for (const auto& part : element) bytes += bytes_of_element(part);
    return bytes;
  } else {
    return sizeof(T);
  }
}

/// False if save_elements leaves them out.
template <class Elements>
bool fits_in_state(const Elements& elements) {
  using T = std::remove_cvref_t<decltype(*elements.begin())>;
  int64_t bytes = 0;
  for (const T& element : elements) bytes += bytes_of_element(element);
  return kSavable<T> && bytes <= static_cast<int64_t>(kMaxStateBytes);
}

/// Puts elements under a name; false, and nothing happens, if they cannot be or take more than kMaxStateBytes, roughly.
template <class Elements>
bool save_elements(SavedState& state, std::string_view name, const Elements& elements) {
  using T = std::remove_cvref_t<decltype(*elements.begin())>;
  if (!fits_in_state(elements)) return false;
  if constexpr (kSavable<T>) {
    Encoder bytes;
    bytes.number(static_cast<uint64_t>(elements.size()));
    for (const T& element : elements) encode(element, bytes);
    state.set(std::string(name), bytes.to_tensor());
    return true;
  } else {
    return false;
  }
}
template <class Elements>
void restore_elements(const SavedState& state, std::string_view name, Elements& elements) {
  using T = std::remove_cvref_t<decltype(*elements.begin())>;
  if constexpr (kSavable<T>) {
    const Tensor& saved = state.get<Tensor>(name);
    Decoder bytes(saved);
    elements.clear();
    for (uint64_t n = bytes.count(); n > 0; --n) {
      T element{};
      decode(bytes, element);
      elements.push_back(std::move(element));
    }
  }
}

// ---- Calls.

/// What a callable gives for an element: it takes the element, or the parts of a tuple or pair; and more arguments.
template <class F, class T, class... More>
concept TakesWhole = std::is_invocable_v<const F&, T, More...>;

template <class F, class T, class... More>
decltype(auto) call(const F& f, T&& element, More&&... more) {
  using Element = std::remove_cvref_t<T>;
  if constexpr (TakesWhole<F, T&&, More&&...>) {
    return f(static_cast<T&&>(element), static_cast<More&&>(more)...);
  } else if constexpr (etch::detail::TupleLike<Element>) {
    return std::apply(
        [&](auto&&... parts) -> decltype(auto) {
          static_assert(std::is_invocable_v<const F&, decltype(parts)..., More&&...>,
                        "etch: a callable of a data set takes an element, or the parts of one that is a tuple or pair, "
                        "and must be "
                        "callable as const: it may run ahead, again or on several threads; what it carries along "
                        "belongs in scan");
          return f(static_cast<decltype(parts)>(parts)..., static_cast<More&&>(more)...);
        },
        static_cast<T&&>(element));
  } else {
    static_assert(
        TakesWhole<F, T&&, More&&...>,
        "etch: a callable of a data set takes an element, or the parts of one that is a tuple or pair, and must be "
        "callable as const: it may run ahead, again or on several threads; what it carries along belongs in scan");
  }
}
template <class F, class T, class... More>
using ResultOf =
    std::remove_cvref_t<decltype(call(std::declval<const F&>(), std::declval<T>(), std::declval<More>()...))>;

/// The type of what a callable gives: text or a pointer to text becomes a std::string.
template <class R>
using ElementOf = std::conditional_t<std::is_same_v<R, const char*>, std::string, R>;

}  // namespace detail
}  // namespace data
}  // namespace etch
