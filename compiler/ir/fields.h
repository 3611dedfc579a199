// The fields of the structs of ops, by reflection: their names, hash, and what types they may have.
#pragma once

#include <boost/pfr/core.hpp>
#include <string_view>
#include <utility>

namespace etch {
namespace fields_internal {

template <class T>
struct Wrapper {
  T value;
};
template <class T>
extern const Wrapper<T> kNoObject;  // nowhere defined: only addresses in it are named

template <class T>
struct Pointer {
  const T* value;
};
template <class T>
Pointer(const T*) -> Pointer<T>;

template <class T, size_t kIndex>
constexpr auto pointer_to_field() {
  auto fields = boost::pfr::detail::tie_as_tuple(const_cast<T&>(kNoObject<T>.value));
  return Pointer{&boost::pfr::detail::sequence_tuple::get<kIndex>(fields)};
}

/// `... kField = Pointer<int>{((const int*)(& kNoObject<T>.Wrapper<T>::value.T::axis))}; ...` -> `axis`
template <Pointer kField>
consteval std::string_view last_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text = text.substr(0, text.find("))"));
  return text.substr(text.find_last_of(":.") + 1);
}

}  // namespace fields_internal

/// A field that says something by being set: in text its name alone, and nothing where it is not.
struct Mark {
  bool is_set = false;

  explicit operator bool() const { return is_set; }
  bool operator==(const Mark&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const Mark& mark) {
    return H::combine(std::move(h), mark.is_set);
  }
};

/// How a field is called in the source, which is how it is called in text.
template <class T, size_t kIndex>
inline constexpr std::string_view kFieldName =
    fields_internal::last_name<fields_internal::pointer_to_field<T, kIndex>()>();

/// Calls f(name, field) for each field in order.
template <class T, class F>
void for_each_field(T& fields, F f) {
  using Struct = std::remove_const_t<T>;
  [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
    (f(kFieldName<Struct, kIndex>, boost::pfr::get<kIndex>(fields)), ...);
  }(std::make_index_sequence<boost::pfr::tuple_size_v<Struct>>());
}

}  // namespace etch
