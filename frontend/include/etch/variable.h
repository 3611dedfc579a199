// Variable: a tensor that can be replaced, shared by all copies of its handle.
#pragma once

#include <concepts>
#include <functional>
#include <iosfwd>
#include <string>
#include <type_traits>

#include "etch/init_scope.h"
#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {

/// What the value of a variable adds to a loss (etch/regularizers.h).
using Regularizer = std::function<Tensor(const Tensor& value)>;
/// What the value of a variable becomes after an update (etch/constraints.h).
using Constraint = std::function<Tensor(const Tensor& value)>;

struct VariableOptions {
  std::string name{};     // in errors, reports and prints; by default file:line of where it was made
  bool trainable = true;  // whether training is to change it
  Regularizer regularizer{};
  Constraint constraint{};
};

namespace detail {
class VariableCell;
void retain(VariableCell* cell) noexcept;
void release(VariableCell* cell) noexcept;
struct VariableAccess;

/// What makes the initial value of a variable: anything callable without arguments whose result becomes a Tensor.
template <class F>
concept Initialiser = std::invocable<F&> && std::convertible_to<std::invoke_result_t<F&>, Tensor>;
}  // namespace detail

/// A cell that holds a tensor. Its dtype and shape are fixed when it is made; assigning puts another tensor in. Reading
/// gives the tensor that stands in it, a value for ever: later assignments do not change it. Copies of a Variable share one
/// cell, which lives as long as a copy, or a function that was traced with one. A default-made Variable holds no cell; it
/// takes assignments of other Variables, and everything else is an Error.
///
///   Variable weights(zeros({3, 2}), {.name = "weights"});
///   Tensor y = matmul(x, weights);            // reads it
///   weights -= 0.1f * gradient;               // puts another tensor in
///
/// In a traced function a variable that is used is read at every call, and one that is assigned is changed by every call. A
/// read after an assignment of the same call sees it, also through functions that are called inside. A call takes the values
/// of all variables that it reads or assigns at one moment, and changes all that it assigns at one moment: others see the
/// variables as they were before or as they are after. A call that throws changes none. The new value is written over the
/// old one where nothing else holds that; `explain` says where the order of the kernels does not allow it.
///
/// Variables may be used from many threads at once. Calls that only read some run at the same time; those that assign one
/// follow each other. As an argument of a function, or as a member of its object, a variable is known by its identity: with
/// another variable the function is traced again.
///
/// Made while a function is traced, a variable is made once, eagerly. The trace that made it is thrown away and the callable
/// runs once more; then it must find its variables there. Error if it makes one again:
///
///   if (!weights.defined()) weights = Variable([&] { return zeros({size, 2}); });
///
/// A deferred one exists from its making and gets its value later, as the weights of a layer do, whose shapes the first call
/// tells. Until then only its name and flags can be asked:
///
///   Variable kernel = Variable::deferred({.name = "kernel"});
///   kernel.build([&] { return zeros({x.shape()[-1], units}); });  // once
class Variable : detail::Operators<Tensor> {
 public:
  Variable() = default;
  Variable(const Variable&) = default;
  Variable(Variable&&) = default;
  /// Makes the handle share another cell.
  Variable& operator=(const Variable&) = default;
  Variable& operator=(Variable&&) = default;
  template <class T>
    requires(!std::same_as<std::remove_cvref_t<T>, Variable> && std::convertible_to<T, Tensor>)
  ETCH_REFUSED("= makes a Variable share the cell of another one; assign() puts a value into it")
  Variable& operator=(T&&);

  /// Starts with a tensor, which it shares. Error for a value of a trace: give a callable that makes it.
  explicit Variable(const Tensor& initial, VariableOptions options = {}, Location where = Location::current());
  /// Starts with a nested list, see Tensor.
  explicit Variable(std::initializer_list<detail::Nested> values, VariableOptions options = {},
                    Location where = Location::current())
      : Variable(Tensor(values, where), std::move(options), where) {}
  /// Starts with a number, of rank 0 and of the number's own element type.
  template <Arithmetic T>
  explicit Variable(T value, VariableOptions options = {}, Location where = Location::current())
      : Variable(init_scope([&] { return Tensor(value, where); }), std::move(options), where) {}
  /// Starts with what a callable gives, which is called at once, in an init_scope.
  template <detail::Initialiser F>
  explicit Variable(F&& initialiser, VariableOptions options = {}, Location where = Location::current())
      : Variable(init_scope([&]() -> Tensor { return initialiser(); }), std::move(options), where) {}

  /// A variable that build() gives its value. Copies share it already.
  static Variable deferred(VariableOptions options = {}, Location where = Location::current());
  /// Calls an initialiser, in an init_scope, and starts with what it gives; does nothing if the variable has a value. Of
  /// several threads one builds it while the others wait; if the initialiser throws, it stays without value.
  void build(const std::function<Tensor()>& initialiser, Location where = Location::current()) const;
  /// True if it has a value.
  bool built() const;

  /// True if the handle holds a cell.
  bool defined() const { return static_cast<bool>(cell_); }

  DType dtype(Location where = Location::current()) const;
  const Shape& shape(Location where = Location::current()) const;
  const std::string& name(Location where = Location::current()) const;
  /// Whether training is to change it: if it was made so, and unless set_trainable froze it (etch/module.h). A function
  /// whose trace asked is traced again when the answer changes.
  bool trainable(Location where = Location::current()) const;

  /// The tensor that stands in it. A Variable also converts to it, as an operand of ops and wherever a Tensor is wanted.
  [[nodiscard]] Tensor value(Location where = Location::current()) const;

  /// Puts a value in. Error unless it has the variable's dtype and shape. A number becomes one of its dtype in every element.
  void assign(const Operand& value) const;
  /// Adds to what stands in it, or subtracts from it; no assignment of another thread comes between. `delta` broadcasts.
  /// Error if the result has not the variable's dtype and shape.
  void assign_add(const Operand& delta) const;
  void assign_sub(const Operand& delta) const;
  const Variable& operator+=(const Operand& delta) const {
    assign_add(delta);
    return *this;
  }
  const Variable& operator-=(const Operand& delta) const {
    assign_sub(delta);
    return *this;
  }

  /// Prints name, type and value; while a function is traced, without the value.
  friend std::ostream& operator<<(std::ostream& stream, const Variable& variable);
  friend std::string to_string(const Variable& variable);

 private:
  friend struct detail::VariableAccess;
  Ref<detail::VariableCell> cell_;
};

/// See operator<<.
std::string to_string(const Variable& variable);

}  // namespace etch
