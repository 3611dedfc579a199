// Loops over data sets while functions are traced. Internal to etch/data.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "etch/data/stage.h"
#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {
namespace detail {

/// A walk over elements, as their tensors.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// The tensors of the next element; false at the end.
  virtual bool next(std::vector<Tensor>& tensors) = 0;
  /// Of an iterator that goes on after the walk: how many elements it has given.
  virtual std::optional<int64_t> position() const { return {}; }
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
/// @param types all that elements may have. Error, at the user's place, if there are none: they are not known.
std::shared_ptr<const ElementLoopPlan> make_element_loop_plan(std::shared_ptr<const ElementMaker> maker,
                                                              std::span<const data::ElementSpec> types, Location where);
/// The plan of a data set, by its last stage; made anew by `make` if nobody holds one. A plan keeps the stage.
std::shared_ptr<const ElementLoopPlan> element_loop_plan_of(
    const data::StageBase& stage, const std::function<std::shared_ptr<const ElementLoopPlan>()>& make);

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

/// Error of a loop in a traced function over elements that hold more than tensors.
[[noreturn]] void fail_elements_of_host(const data::StageBase& stage, Location where);
/// Error if a function is traced: `what` cannot be done there.
void fail_if_recorded(std::string_view what, Location where);
[[noreturn]] void fail_iterator_is_gone();

}  // namespace detail
}  // namespace etch
