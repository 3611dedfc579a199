// How arguments and results of functions are read: which tensors and other values stand in a C++ value, and where.
// Internal to etch/function.h.
#pragma once

#include <boost/pfr/core.hpp>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/tensor.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {
namespace detail {

/// Reads values into a signature: bytes that are equal exactly if the values have the same structure, tensors the same
/// dtypes and shapes, and all else the same values; and the tensors, in order. On demand it also describes each value
/// for people.
class ArgReader {
 public:
  /// One tensor or value: `args[0].weights[2]` is `f32[8,4]`.
  struct Leaf {
    std::string path;
    std::string text;
    bool is_tensor = false;
    bool is_variable = false;
    const Tensor* handle = nullptr;  // of a tensor; valid as long as the value that was read stands unchanged
  };

  ArgReader() = default;
  /// Reads for people: fills `leaves` beside the signature.
  explicit ArgReader(std::vector<Leaf>* leaves) : leaves_(leaves), path_("args") {}
  ~ArgReader();
  ArgReader(const ArgReader&) = delete;
  ArgReader& operator=(const ArgReader&) = delete;

  /// Forgets what it read.
  void clear();
  void tensor(const Tensor& tensor);
  /// A variable counts by its identity.
  void variable(const Variable& variable);
  /// What follows are the members of the object that a member function is called on; to be called once.
  void begin_object();
  /// Ends the object: which of its tensors are the same one becomes a part of the signature.
  void end_object();
  void count(uint64_t n) { append(&n, sizeof n); }
  void text(std::string_view value) {
    count(value.size());
    append(value.data(), value.size());
    if (leaves_) describe_text(value);
  }
  template <class T>
  void number(T value) {
    append(&value, sizeof value);
    if (!leaves_) return;
    if constexpr (std::is_arithmetic_v<T>) describe_number(value);
    else describe_number(static_cast<double>(value));
  }

  // Where in the value the next leaf stands.
  void enter(uint64_t index) {
    if (leaves_) enter_path(index);
  }
  void enter(std::string_view field) {
    if (leaves_) enter_path(field);
  }
  void leave() {
    if (leaves_) leave_path();
  }

  std::span<const std::byte> key() const { return {key_, key_size_}; }
  /// The tensors that hold something, in order: those of the arguments, then those of the object.
  std::span<const TensorImpl* const> tensors() const { return {tensors_, num_tensors_}; }
  /// Those of the object alone.
  std::span<const TensorImpl* const> object_tensors() const {
    return tensors().subspan(reads_object_ ? object_tensors_ : num_tensors_);
  }
  /// Keeps the tensors alive as long as the reader: a callable that is traced may drop the caller's own handles.
  void pin() const;

 private:
  void append(const void* data, size_t bytes) {
    if (key_size_ + bytes > key_capacity_) grow_key(bytes);
    if (bytes > 0) std::memcpy(key_ + key_size_, data, bytes);
    key_size_ += bytes;
  }
  void grow_key(size_t bytes);
  void grow_tensors();
  void describe_text(std::string_view value);
  void describe_number(bool value);
  void describe_number(int64_t value);
  void describe_number(uint64_t value);
  void describe_number(float value);
  void describe_number(double value);
  template <class T>
    requires std::is_integral_v<T>
  void describe_number(T value) {
    if constexpr (std::is_signed_v<T>) {
      describe_number(static_cast<int64_t>(value));
    } else {
      describe_number(static_cast<uint64_t>(value));
    }
  }
  void enter_path(uint64_t index);
  void enter_path(std::string_view field);
  void leave_path();
  void add_leaf(std::string text, const Tensor* handle = nullptr);
  void describe_same(size_t first, size_t second);

  std::byte inline_key_[192];
  std::byte* key_ = inline_key_;
  size_t key_size_ = 0;
  size_t key_capacity_ = sizeof inline_key_;
  const TensorImpl* inline_tensors_[12];
  const TensorImpl** tensors_ = inline_tensors_;
  size_t num_tensors_ = 0;
  size_t tensors_capacity_ = 12;
  bool reads_object_ = false;
  size_t object_tensors_ = 0;  // the first of the object, once it is read
  size_t object_leaves_ = 0;
  mutable std::vector<Tensor> pins_;
  std::vector<Leaf>* leaves_ = nullptr;
  std::string path_;
  std::vector<size_t> path_ends_;
};

/// Meets the tensors of a value in order and may replace them; and its variables.
class TensorVisitor {
 public:
  virtual void tensor(Tensor& tensor) = 0;
  virtual void variable(const Variable&) {}

 protected:
  ~TensorVisitor() = default;
};

template <class T>
concept TextLike = !std::is_pointer_v<T> && std::is_convertible_v<const T&, std::string_view>;
template <class T>
concept OptionalLike = requires(const T& v) {
  typename T::value_type;
  { v.has_value() } -> std::same_as<bool>;
  *v;
};
template <class T>
concept OrderedRange = requires(const T& v) {
  typename T::value_type;
  v.begin();
  v.end();
  v.size();
} && !requires { typename T::hasher; } && !requires { typename T::element_type; } &&
    !std::is_same_v<T, std::initializer_list<typename T::value_type>>;  // views do not own what they show
template <class T>
concept TupleLike = requires { std::tuple_size<T>::value; };
/// Stands for something that is known by a number which nothing else ever has, such as a data set.
template <class T>
concept Identified = requires(const T& v) {
  { v.etch_identity() } -> std::same_as<uint64_t>;
};
/// A class of plain members, read by Boost.PFR.
template <class T>
concept Plain = std::is_aggregate_v<T> && std::is_class_v<T>;

// Initialisers for the tests below: of any member or base of T, and of bases only.
template <class T>
struct AnyMember {
  template <class M>
    requires(!std::is_same_v<M, T>)
  operator M() const;
};
template <class T>
struct AnyBase {
  template <class B>
    requires(std::is_base_of_v<B, T> && !std::is_same_v<B, T>)
  operator B() const;
};
template <class T, size_t... I>
consteval bool takes_members(std::index_sequence<I...>) {
  return requires { T{(void(I), AnyMember<T>())...}; };
}
template <class T, size_t... Before, size_t... After>
consteval bool takes_braces_between(std::index_sequence<Before...>, std::index_sequence<After...>) {
  return requires { T{(void(Before), AnyMember<T>())..., {}, (void(After), AnyMember<T>())...}; };
}
template <class T, size_t... I>
consteval bool takes_base_before(std::index_sequence<I...>) {
  return requires { T{AnyBase<T>(), (void(I), AnyMember<T>())...}; };
}
/// How many initialisers an aggregate takes when no element has braces of its own: an array counts by its elements.
template <class T, size_t kCount = 0>
consteval size_t count_initializers() {
  if constexpr (takes_members<T>(std::make_index_sequence<kCount + 1>())) {
    return count_initializers<T, kCount + 1>();
  } else {
    return kCount;
  }
}
/// An array takes braces in one place and its other elements have none left.
template <class T, size_t... I>
consteval bool each_takes_braces(std::index_sequence<I...>) {
  return (takes_braces_between<T>(std::make_index_sequence<I>(), std::make_index_sequence<sizeof...(I) - I - 1>()) &&
          ...);
}
template <class T>
inline constexpr bool kHasBase =
    takes_base_before<T>(std::index_sequence<>()) ||
    takes_base_before<T>(std::make_index_sequence<count_initializers<T>() - (count_initializers<T>() > 0)>());
template <class T>
inline constexpr bool kHasArray = !each_takes_braces<T>(std::make_index_sequence<count_initializers<T>()>()) ||
                                  (count_initializers<T>() == 0 && !std::is_empty_v<T>);  // a reference, for one
/// True if Boost.PFR can tell the members apart.
template <class T>
consteval bool has_plain_members() {
  if constexpr (kHasBase<T>) {
    return false;
  } else {
    return !kHasArray<T>;
  }
}

/// The members of an aggregate that has_plain_members.
template <class T>
inline constexpr size_t kNumMembers = count_initializers<std::remove_const_t<T>>();
/// Boost.PFR's get<I>, but for its counting of members: that crashes g++ 12 where a member is an array of std::string.
template <size_t I, class T>
constexpr auto& member(T& value) {
  namespace pfr = boost::pfr::detail;
  return pfr::sequence_tuple::get<I>(pfr::tie_as_tuple(value, pfr::size_t_<kNumMembers<T>>()));
}

template <class T>
inline constexpr bool kUnreadable = false;
template <class T>
consteval void check_members() {
  static_assert(!kHasBase<T>, "etch: a function cannot take or give an aggregate with a base class; make the base its "
                              "first member");
  static_assert(kHasBase<T> || !kHasArray<T>,
                "etch: a function cannot take or give an aggregate with a C array, a reference or a member without "
                "default constructor; use std::array or std::vector");
}
#define ETCH_UNREADABLE(T)                                                                                         \
  static_assert(kUnreadable<T>,                                                                                    \
                "etch: a function cannot take or give this type; it may be Tensor, a number, an enum, std::string, " \
                "std::vector, array, tuple, pair, optional, map, Variable or a plain aggregate of these")

// The name of member I of an aggregate, cut out of the name of a pointer to it. The specimen is nowhere defined: only
// its address is taken, at compile time.
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif
template <class T>
struct Specimen {
  T value;
};
template <class T>
extern const Specimen<T> specimen;
template <auto kPointer>
consteval std::string_view pointer_name() {
  return __PRETTY_FUNCTION__;
}
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"  // only its address is taken
#endif
template <class T, size_t I>
constexpr std::string_view field_name() {
  std::string_view text = pointer_name<&member<I>(specimen<T>.value)>();
  text = text.substr(0, text.rfind(')'));
  return text.substr(text.find_last_of(":.>") + 1);
}
#ifdef __clang__
#pragma clang diagnostic pop
#endif

template <class T>
void read(const T& value, ArgReader& reader);

template <class T, size_t... I>
void read_elements(const T& value, ArgReader& reader, std::index_sequence<I...>) {
  ((reader.enter(uint64_t{I}), read(std::get<I>(value), reader), reader.leave()), ...);
}

template <class T, size_t... I>
void read_fields(const T& value, ArgReader& reader, std::index_sequence<I...>) {
  ((reader.enter(field_name<T, I>()), read(member<I>(value), reader), reader.leave()), ...);
}

template <class T>
void read(const T& value, ArgReader& reader) {
  if constexpr (std::is_same_v<T, Tensor>) {
    reader.tensor(value);
  } else if constexpr (std::is_same_v<T, Variable>) {
    reader.variable(value);
  } else if constexpr (Identified<T>) {
    reader.number(value.etch_identity());
  } else if constexpr (std::is_enum_v<T>) {
    reader.number(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (Arithmetic<T>) {
    reader.number(value);
  } else if constexpr (TextLike<T>) {
    reader.text(value);
  } else if constexpr (OptionalLike<T>) {
    reader.count(value.has_value() ? 1 : 0);  // as a container of none or one
    if (value.has_value()) read(*value, reader);
  } else if constexpr (OrderedRange<T>) {
    reader.count(value.size());
    uint64_t i = 0;
    for (auto&& element : value) {
      reader.enter(i++);
      read(static_cast<const typename T::value_type&>(element), reader);
      reader.leave();
    }
  } else if constexpr (TupleLike<T>) {
    read_elements(value, reader, std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (Plain<T>) {
    check_members<T>();
    if constexpr (has_plain_members<T>()) {
      read_fields(value, reader, std::make_index_sequence<kNumMembers<T>>());
    }
  } else {
    ETCH_UNREADABLE(T);
  }
}

/// Reads what can be reached in an object, as `read` does; what cannot be read (classes with private members, pointers,
/// functions, unordered containers) is left out.
template <class T>
void read_reachable(const T& value, ArgReader& reader) {
  const auto element = [&](const auto& name, const auto& part) {
    reader.enter(name);
    read_reachable(part, reader);
    reader.leave();
  };
  if constexpr (std::is_same_v<T, Tensor> || std::is_same_v<T, Variable> || Identified<T> || std::is_enum_v<T> ||
                Arithmetic<T> || TextLike<T>) {
    read(value, reader);
  } else if constexpr (OptionalLike<T>) {
    reader.count(value.has_value() ? 1 : 0);
    if (value.has_value()) read_reachable(*value, reader);
  } else if constexpr (OrderedRange<T>) {
    reader.count(value.size());
    uint64_t i = 0;
    for (auto&& part : value) element(i++, static_cast<const typename T::value_type&>(part));
  } else if constexpr (TupleLike<T>) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      (element(uint64_t{I}, std::get<I>(value)), ...);
    }(std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (Plain<T>) {
    if constexpr (has_plain_members<T>()) {
      [&]<size_t... I>(std::index_sequence<I...>) {
        (element(field_name<T, I>(), member<I>(value)), ...);
      }(std::make_index_sequence<kNumMembers<T>>());
    }
  }
}

/// Reads the object of a member function after the arguments.
template <class Object>
void read_object(const void* object, ArgReader& reader) {
  reader.begin_object();
  read_reachable(*static_cast<const Object*>(object), reader);
  reader.end_object();
}

template <class T>
void visit_tensors(T& value, TensorVisitor& visitor) {
  if constexpr (std::is_same_v<std::remove_const_t<T>, Tensor>) {
    static_assert(!std::is_const_v<T>, "etch: a const Tensor cannot be replaced while tracing; make it non-const");
    visitor.tensor(value);
  } else if constexpr (std::is_same_v<std::remove_const_t<T>, Variable>) {
    visitor.variable(value);
  } else if constexpr (std::is_enum_v<std::remove_const_t<T>> || Arithmetic<std::remove_const_t<T>> || TextLike<T> ||
                       Identified<T>) {
    return;  // holds no tensor that counts
  } else if constexpr (OptionalLike<T>) {
    if (value.has_value()) visit_tensors(*value, visitor);
  } else if constexpr (OrderedRange<T>) {
    if constexpr (std::is_reference_v<decltype(*value.begin())>) {
      for (auto& element : value) visit_tensors(element, visitor);
    }
  } else if constexpr (TupleLike<T>) {
    std::apply([&](auto&... elements) { (visit_tensors(elements, visitor), ...); }, value);
  } else if constexpr (Plain<T>) {
    check_members<std::remove_const_t<T>>();
    if constexpr (has_plain_members<std::remove_const_t<T>>()) {
      [&]<size_t... I>(std::index_sequence<I...>) {
        (visit_tensors(member<I>(value), visitor), ...);
      }(std::make_index_sequence<kNumMembers<T>>());
    }
  } else {
    ETCH_UNREADABLE(T);
  }
}

}  // namespace detail
}  // namespace etch
