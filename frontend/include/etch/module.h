// Modules: plain structs whose variables are found by reflection, and what can be done with those.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "etch/values.h"
#include "etch/variable.h"

/// One line of a class with private members, which makes it a module: names the members in which variables may stand. In the
/// names of variables they have no underscore at their end.
///
///   class Model {
///    public:
///     ETCH_MEMBERS(hidden_, logits_)
///    private:
///     layers::Dense hidden_{512}, logits_{10};
///   };
#define ETCH_MEMBERS(...)                                                        \
  friend struct ::etch::detail::MemberAccess;                                    \
  static constexpr std::string_view etch_member_names() { return #__VA_ARGS__; } \
  auto etch_members() { return std::tie(__VA_ARGS__); }                          \
  auto etch_members() const { return std::tie(__VA_ARGS__); }

namespace [[gnu::visibility("default")]] etch {

/// True for a type of somebody else's that is a member of a module and in which no variable stands. Specialise it; of the types
/// of std it is known.
template <class T>
inline constexpr bool kHoldsNoVariables = false;
template <>
inline constexpr bool kHoldsNoVariables<Dims> = true;

/// A variable of a module and its name, the path of members that leads to it: `blocks[2].hidden.kernel`.
struct NamedVariable {
  std::string name;
  Variable variable;
};

/// A module inside of another one.
struct Submodule {
  std::string name;                  // the path of members
  std::string type;                  // of the C++ class
  std::vector<Variable> variables;   // also those of modules inside of it, each once
};

namespace detail {

/// Gives the list of a class with ETCH_MEMBERS.
struct MemberAccess {
  template <class T>
  static constexpr std::string_view names() {
    return std::remove_const_t<T>::etch_member_names();
  }
  template <class T>
  static auto members(T& value) {
    return value.etch_members();
  }
  template <class T>
  static consteval bool has_members() {
    return requires { T::etch_member_names(); };
  }
};

/// The name of member number `index` of a list `a_, b_`.
constexpr std::string_view listed_name(std::string_view list, size_t index) {
  for (; index > 0; --index) list.remove_prefix(list.find(',') + 1);
  list = list.substr(0, list.find(','));
  while (list.starts_with(' ')) list.remove_prefix(1);
  if (list.ends_with('_')) list.remove_suffix(1);
  return list;
}

/// Meets the variables of a module in order, and where they stand.
class ModuleVisitor {
 public:
  /// `is_random_state` of one that counts the numbers that a Generator gave.
  virtual void variable(const Variable& variable, bool is_random_state) = 0;
  virtual void enter(std::string_view member) = 0;
  virtual void enter(uint64_t index) = 0;
  virtual void enter_key(std::string_view key) = 0;
  virtual void leave() = 0;
  virtual void begin_module(std::string_view type, bool is_callable) = 0;
  virtual void end_module() = 0;

 protected:
  ~ModuleVisitor() = default;
};

/// Makes variables and shared objects of a copy, those of one original each once.
class Cloner {
 public:
  Cloner();
  ~Cloner();
  Cloner(const Cloner&) = delete;
  Cloner& operator=(const Cloner&) = delete;

  Variable variable(const Variable& original);
  /// The copy of a shared object, or null.
  std::shared_ptr<void> find_shared(const void* original) const;
  void add_shared(const void* original, std::shared_ptr<void> copy);
  /// The numbers of the variables that were copied, by those of their copies; it grows as the cloner goes on.
  std::shared_ptr<const std::map<int64_t, int64_t>> originals() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The name of a type as the compiler writes it.
template <class T>
constexpr std::string_view type_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text.remove_prefix(text.find("T = ") + 4);
  return text.substr(0, text.find_last_not_of(']') + 1).substr(0, text.find(';'));
}

template <class T>
concept Listed = MemberAccess::has_members<T>();
/// Visits and clones itself: a container with types of its own inside.
template <class T>
concept VisitsItself = requires(const T& value, ModuleVisitor& visitor) { value.etch_visit(visitor); };
template <class T>
concept SmartPointer = requires(const T& value) {
  typename T::element_type;
  value.get();
  *value;
  static_cast<bool>(value);
};
template <class T>
concept VariantLike = requires { std::variant_size<T>::value; };
template <class T>
concept MapLike = requires { typename T::mapped_type; };
template <class T>
concept Unordered = requires { typename T::hasher; };
/// In which no variable stands.
template <class T>
concept VariableFree = std::is_same_v<T, Tensor> || std::is_enum_v<T> || Arithmetic<T> || TextLike<T> ||
                       std::is_empty_v<T> || std::is_null_pointer_v<T> || std::is_same_v<T, const char*> ||
                       std::is_function_v<std::remove_pointer_t<T>> || std::is_member_pointer_v<T>;
template <class T>
concept Opaque = !std::is_pointer_v<T> && (kHoldsNoVariables<T> || type_name<T>().starts_with("std::"));
template <class T>
inline constexpr bool kIsCallable = std::is_invocable_v<T&, Tensor> || std::is_invocable_v<T&, Tensor, bool> ||
                                    requires { &T::operator(); };

template <class T>
consteval void check_module() {
  static_assert(!std::is_pointer_v<T>,
                "etch: a pointer in a module does not say whether it owns; use std::shared_ptr or std::unique_ptr, or a "
                "copy: copies of a layer share its variables");
  static_assert(!std::is_array_v<T> && !std::is_union_v<T>,
                "etch: a module cannot hold a C array or a union; use std::array or std::variant");
  static_assert(!Unordered<T>, "etch: a module cannot hold an unordered container, since its variables have an order; use "
                               "std::map or std::vector");
  if constexpr (!std::is_pointer_v<T> && !std::is_array_v<T> && !Unordered<T>) {
    static_assert(Plain<T>, "etch: this class has private members, or constructors; name those members that hold "
                            "variables in one line of it: ETCH_MEMBERS(a_, b_)");
    if constexpr (Plain<T>) {
      static_assert(!kHasBase<T>, "etch: a module cannot have a base class, unless it names its members in one line, "
                                  "ETCH_MEMBERS(a_, b_); make the base its first member");
      static_assert(kHasBase<T> || !kHasArray<T>,
                    "etch: a module cannot have a C array, a reference or what has no default constructor as a member; "
                    "use std::array, std::vector or a copy, which shares its variables, or name the members in one line, "
                    "ETCH_MEMBERS(a_, b_)");
    }
  }
}

template <class T>
void visit_module(const T& value, ModuleVisitor& visitor, bool is_random_state = false);

template <class T>
void visit_part(const auto& name, const T& part, ModuleVisitor& visitor, bool is_random_state = false) {
  visitor.enter(name);
  visit_module(part, visitor, is_random_state);
  visitor.leave();
}

/// Its name is that of its key, or its number.
template <class Key, class T>
void visit_mapped(const Key& key, uint64_t index, const T& part, ModuleVisitor& visitor) {
  if constexpr (TextLike<Key>) {
    visitor.enter_key(key);
  } else if constexpr (std::is_integral_v<Key>) {
    visitor.enter_key(std::to_string(key));
  } else {
    visitor.enter(index);
  }
  visit_module(part, visitor);
  visitor.leave();
}

template <class T>
void visit_module(const T& value, ModuleVisitor& visitor, bool is_random_state) {
  if constexpr (std::is_same_v<T, Variable>) {
    visitor.variable(value, is_random_state);
  } else if constexpr (VisitsItself<T>) {
    value.etch_visit(visitor);
  } else if constexpr (Listed<T>) {
    const auto members = MemberAccess::members(value);
    constexpr bool kIsRandomState = requires { typename T::RandomState; };
    visitor.begin_module(type_name<T>(), kIsCallable<T>);
    [&]<size_t... I>(std::index_sequence<I...>) {
      (visit_part(listed_name(MemberAccess::names<T>(), I), std::get<I>(members), visitor, kIsRandomState), ...);
    }(std::make_index_sequence<std::tuple_size_v<decltype(members)>>());
    visitor.end_module();
  } else if constexpr (VariableFree<T> && !(std::is_empty_v<T> && Plain<T>)) {
    return;
  } else if constexpr (SmartPointer<T> && !OptionalLike<T>) {
    static_assert(!std::is_array_v<typename T::element_type>, "etch: a module cannot hold a C array; use std::vector");
    if (value) visit_module<std::remove_const_t<typename T::element_type>>(*value, visitor);
  } else if constexpr (OptionalLike<T>) {
    if (value.has_value()) visit_module(*value, visitor);
  } else if constexpr (VariantLike<T>) {
    std::visit([&](const auto& part) { visit_module(part, visitor); }, value);
  } else if constexpr (OrderedRange<T>) {
    if constexpr (!VariableFree<typename T::value_type>) {
      uint64_t i = 0;
      for (const auto& part : value) {
        if constexpr (MapLike<T>) {
          visit_mapped(part.first, i++, part.second, visitor);
        } else {
          visit_part(i++, part, visitor);
        }
      }
    }
  } else if constexpr (TupleLike<T>) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      (visit_part(uint64_t{I}, std::get<I>(value), visitor), ...);
    }(std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (Opaque<T> && !Unordered<T>) {
    return;
  } else {
    check_module<T>();
    if constexpr (Plain<T>) {
      if constexpr (has_plain_members<T>()) {
        visitor.begin_module(type_name<T>(), kIsCallable<T>);
        [&]<size_t... I>(std::index_sequence<I...>) {
          (visit_part(field_name<T, I>(), member<I>(value), visitor), ...);
        }(std::make_index_sequence<kNumMembers<T>>());
        visitor.end_module();
      }
    }
  }
}

template <class T>
T clone_value(const T& value, Cloner& cloner) {
  if constexpr (std::is_same_v<T, Variable>) {
    return cloner.variable(value);
  } else if constexpr (VisitsItself<T>) {
    return value.etch_clone(cloner);
  } else if constexpr (Listed<T>) {
    T copy = value;
    const auto from = MemberAccess::members(value);
    auto to = MemberAccess::members(copy);
    [&]<size_t... I>(std::index_sequence<I...>) {
      ((std::get<I>(to) = clone_value(std::get<I>(from), cloner)), ...);
    }(std::make_index_sequence<std::tuple_size_v<decltype(to)>>());
    return copy;
  } else if constexpr (VariableFree<T>) {
    return value;
  } else if constexpr (SmartPointer<T> && !OptionalLike<T>) {
    using Element = std::remove_const_t<typename T::element_type>;
    static_assert(!std::is_polymorphic_v<Element> || std::is_final_v<Element>,
                  "etch: clone cannot copy an object of a polymorphic class, whose whole type it does not know");
    if (!value) return T();
    if constexpr (std::is_copy_constructible_v<T>) {
      if (const std::shared_ptr<void> known = cloner.find_shared(value.get())) return std::static_pointer_cast<Element>(known);
      auto copy = std::make_shared<Element>(clone_value<Element>(*value, cloner));
      cloner.add_shared(value.get(), copy);
      return copy;
    } else {
      return std::make_unique<Element>(clone_value<Element>(*value, cloner));
    }
  } else if constexpr (OptionalLike<T>) {
    if (!value.has_value()) return T();
    return T(clone_value(*value, cloner));
  } else if constexpr (VariantLike<T>) {
    return std::visit(
        [&]<class Part>(const Part& part) { return T(std::in_place_type<Part>, clone_value(part, cloner)); }, value);
  } else if constexpr (TupleLike<T>) {
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return T{clone_value<std::remove_const_t<std::tuple_element_t<I, T>>>(std::get<I>(value), cloner)...};
    }(std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (OrderedRange<T>) {
    T copy;
    for (const auto& part : value) copy.insert(copy.end(), clone_value<typename T::value_type>(part, cloner));
    return copy;
  } else if constexpr (Opaque<T>) {
    return value;
  } else {
    check_module<T>();
    if constexpr (has_plain_members<T>()) {
      return [&]<size_t... I>(std::index_sequence<I...>) {
        return T{clone_value<std::remove_cvref_t<decltype(member<I>(value))>>(member<I>(value), cloner)...};
      }(std::make_index_sequence<kNumMembers<T>>());
    }
  }
}

/// A module with its type erased.
struct AnyModule {
  template <class M>
  AnyModule(const M& module, std::string_view name)  // NOLINT
      : object(&module), type(name), walk([](const void* object, ModuleVisitor& visitor) {
          visit_module(*static_cast<const M*>(object), visitor);
        }) {}

  const void* object;
  std::string_view type;
  void (*walk)(const void* object, ModuleVisitor& visitor);
};
template <class M>
AnyModule any_module(const M& module) {
  return AnyModule(module, type_name<M>());
}

std::vector<NamedVariable> named_variables(const AnyModule& module);
std::vector<Variable> variables(const AnyModule& module);
std::vector<Variable> trainable_variables(const AnyModule& module, bool trainable);
std::vector<Submodule> submodules(const AnyModule& module);
void set_trainable(const AnyModule& module, bool trainable, Location where);
std::vector<Tensor> get_weights(const AnyModule& module, Location where);
void set_weights(const AnyModule& module, const std::vector<Tensor>& weights, Location where);
std::string summarize(const AnyModule& module);

}  // namespace detail

// A module is a struct, nothing else: its members are Variables, layers, other modules, and whatever it computes with. They
// are found through nested structs, std::vector, array, map, optional, variant, pair, tuple and smart pointers; a class with
// private members names those that count in one line, ETCH_MEMBERS. What a std::function or a lambda holds is not looked at. C
// arrays, references, base classes and plain pointers do not compile. A copy of a layer or of a Variable shares its variables,
// so does a copy of a module; clone() makes variables of its own.
//
// The variables of a layer that was not called yet have no value. They are not listed, but they can be frozen.

/// The variables of a module that have a value, in the order of its members, each once under the first of its names.
template <class M>
[[nodiscard]] std::vector<NamedVariable> named_variables(const M& module) {
  return detail::named_variables(detail::any_module(module));
}
/// The same without names.
template <class M>
[[nodiscard]] std::vector<Variable> variables(const M& module) {
  return detail::variables(detail::any_module(module));
}
/// Those that training is to change: made so, and not frozen. A function whose trace asks is traced again when one of them is
/// frozen or set free.
template <class M>
[[nodiscard]] std::vector<Variable> trainable_variables(const M& module) {
  return detail::trainable_variables(detail::any_module(module), true);
}
/// The others.
template <class M>
[[nodiscard]] std::vector<Variable> non_trainable_variables(const M& module) {
  return detail::trainable_variables(detail::any_module(module), false);
}
/// The modules inside of a module, each before those inside of it: structs that can be called or hold variables.
template <class M>
[[nodiscard]] std::vector<Submodule> submodules(const M& module) {
  return detail::submodules(detail::any_module(module));
}

/// Freezes all variables of a module, also of layers that have none yet, or sets them free; what was made not to be trained is
/// not trained then either. A frozen BatchNormalization uses its moving averages also while training. Functions whose traces
/// depend on it are traced again. Error inside of a trace, where it would happen once.
template <class M>
void set_trainable(const M& module, bool trainable, Location where = Location::current()) {
  detail::set_trainable(detail::any_module(module), trainable, where);
}

/// The values of a module's variables in the order of variables(), without the states of random generators. Outside of a trace
/// they are taken at one moment.
template <class M>
[[nodiscard]] std::vector<Tensor> get_weights(const M& module, Location where = Location::current()) {
  return detail::get_weights(detail::any_module(module), where);
}
/// Puts values in, as get_weights gave them. Error, and nothing happens, unless each has the dtype and shape of its variable.
template <class M>
void set_weights(const M& module, const std::vector<Tensor>& weights, Location where = Location::current()) {
  detail::set_weights(detail::any_module(module), weights, where);
}

/// A copy with variables of its own, which start with the values of the originals; what is shared inside of the module is
/// shared inside of the copy. It calls no constructor but those of members.
template <class M>
[[nodiscard]] M clone(const M& module) {
  detail::Cloner cloner;
  return detail::clone_value(module, cloner);
}

/// A table of the modules in a module, their variables with dtypes and shapes, and how many parameters those have.
template <class M>
[[nodiscard]] std::string summarize(const M& module) {
  return detail::summarize(detail::any_module(module));
}

}  // namespace etch
