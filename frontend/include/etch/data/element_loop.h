// Loops over data sets while functions are traced. Internal to etch/data.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "etch/function.h"
#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {
namespace detail {

/// The tensors of an element, in order.
using ElementType = std::vector<TensorSpec>;

/// A walk over elements, as their tensors.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// The tensors of the next element; false at the end.
  virtual bool next(std::vector<Tensor>& tensors) = 0;
};

/// A data set, or an iterator over one, whose elements hold nothing but tensors. Immutable, shared.
class ElementMaker {
 public:
  virtual ~ElementMaker() = default;
  /// `range > map`.
  virtual std::string path() const = 0;
  /// Begins a walk. Of an iterator: goes on with it.
  virtual std::unique_ptr<TensorSource> open(uint64_t epoch) const = 0;
};

/// What a compiled loop over a data set does on the host. One for each data set or iterator: a function that is traced again finds
/// the same one.
class ElementLoopPlan;
/// @param types all that elements may have; at least one.
std::shared_ptr<const ElementLoopPlan> make_element_loop_plan(std::shared_ptr<const ElementMaker> maker,
                                                              std::vector<ElementType> types);

/// True where a loop over a data set goes by an ElementLoop: a function is traced, or run again to be compared.
bool is_element_loop_recorded();

/// A loop over a data set as a traced function has it. No element is taken while it is recorded.
class ElementLoop {
 public:
  /// @param epoch one integer.
  ElementLoop(std::shared_ptr<const ElementLoopPlan> plan, const Tensor& epoch, Location where);
  ElementLoop(const ElementLoop&) = delete;
  ElementLoop& operator=(const ElementLoop&) = delete;
  /// Ends the walk.
  ~ElementLoop();

  /// Takes the next element; false at the end. Which type it has is asked as an `if` on a tensor would be.
  bool next();
  /// Of the element.
  const std::vector<Tensor>& tensors() const { return tensors_; }

 private:
  const std::shared_ptr<const ElementLoopPlan> plan_;
  const Location where_;
  const int exceptions_;
  Tensor walk_;
  std::vector<Tensor> tensors_;
};

}  // namespace detail
}  // namespace etch
