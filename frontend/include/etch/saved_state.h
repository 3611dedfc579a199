// SavedState: what an object of the host needs to go on where it stood.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {

/// Named numbers, texts and tensors. A name is a path: the parts of an object stand under `part/`.
class SavedState {
 public:
  using Value = std::variant<bool, int64_t, uint64_t, double, std::string, Tensor>;

  bool contains(std::string_view name) const { return values_.contains(name); }
  /// Takes the place of what had the name.
  void set(std::string name, Value value) { values_.insert_or_assign(std::move(name), std::move(value)); }
  /// A value of type T. Error if there is none of that name, or one of another type.
  template <class T>
  const T& get(std::string_view name) const {
    if (const T* value = std::get_if<T>(&at(name))) return *value;
    refuse(name);
  }

  /// Puts all values of another one under `name/`.
  void set_part(std::string_view name, const SavedState& part);
  /// Those under `name/`; empty if there are none.
  SavedState part(std::string_view name) const;

  size_t size() const { return values_.size(); }
  bool empty() const { return values_.empty(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  const Value& at(std::string_view name) const;
  [[noreturn]] static void refuse(std::string_view name);

  std::map<std::string, Value, std::less<>> values_;
};

namespace detail {

/// What saves its state and goes on from one that was saved.
template <class T>
concept Stateful = requires(const T& saved, T& restored, const SavedState& state) {
  { saved.save_state() } -> std::same_as<SavedState>;
  restored.restore_state(state);
};

}  // namespace detail
}  // namespace etch
