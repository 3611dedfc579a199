// Layers over any cell, and in both directions.
#pragma once

#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/layers/recurrent.h"
#include "etch/module.h"

namespace [[gnu::visibility("default")]] etch {
namespace layers {

/// What a cell does at one time: its input and the states before it, none at first, give output and states.
using CellStep = std::function<WithState(const Tensor& x, const std::vector<Tensor>& states)>;

/// How a layer goes through time.
struct OverTime {
  bool return_sequences = false;
  bool go_backwards = false;
};

/// How the outputs of two directions become one: beside each other, or their sum, product or mean.
enum class Merge : uint8_t { concat, sum, mul, ave };

}  // namespace layers

namespace detail {

layers::WithState run_over_time(const layers::CellStep& step, const Operand& x, layers::OverTime how,
                                const layers::SequenceOptions& options);
layers::WithState merged(layers::WithState forward, layers::WithState backward, layers::Merge merge, bool sequences,
                         Location where);
/// What the way forward and the way back are called with.
std::pair<layers::SequenceOptions, layers::SequenceOptions> for_both(const layers::SequenceOptions& options, Location where);
void check_directions(bool forward, bool backward, Location where);

/// A layer of its own for the way back.
template <class L>
L reversed(const L& layer) {
  L other = clone(layer);
  other.go_backwards = !other.go_backwards;
  return other;
}

}  // namespace detail

namespace layers {

/// A cell over time, as the layers of etch/layers/recurrent.h: their own cells, or any module with
///
///   WithState operator()(const Tensor& x, const std::vector<Tensor>& states, bool training) const;
///
/// Without `training` if it has no use for that. States that are empty are those before the first time, of which a cell makes what it
/// likes, mostly zeros; where a mask is false at the first time they are zeros. The loop is unrolled: `layers::RNN{MyCell{8}}`.
template <class Cell>
struct RNN {
  Cell cell{};
  bool return_sequences = false;
  bool go_backwards = false;

  Tensor operator()(const Operand& x, bool training = false) const {
    return return_state(x, {.training = training}).output;
  }
  Tensor operator()(const Operand& x, const SequenceOptions& options) const { return return_state(x, options).output; }
  [[nodiscard]] WithState return_state(const Operand& x, const SequenceOptions& options = {}) const {
    const Location where = x.where();
    const auto step = [&](const Tensor& input, const std::vector<Tensor>& states) -> WithState {
      if constexpr (std::is_invocable_v<const Cell&, const Operand&, const std::vector<Tensor>&, bool>) {
        return cell(Operand(input, where), states, options.training);
      } else if constexpr (std::is_invocable_v<const Cell&, const Tensor&, const std::vector<Tensor>&, bool>) {
        return cell(input, states, options.training);
      } else {
        return cell(input, states);
      }
    };
    return detail::run_over_time(step, x, {return_sequences, go_backwards}, options);
  }
  /// The mask of the output: that of the input, as long as times are left.
  Tensor compute_mask(const Operand&, const Tensor& mask = {}) const { return return_sequences ? mask : Tensor(); }
};
template <class Cell>
RNN(Cell) -> RNN<Cell>;
template <class Cell>
RNN(Cell, bool) -> RNN<Cell>;
template <class Cell>
RNN(Cell, bool, bool) -> RNN<Cell>;

/// A recurrent layer and another one of its kind that begins at the end (Schuster and Paliwal, "Bidirectional Recurrent Neural
/// Networks", 1997). With return_sequences the outputs of the way back are turned round, so that both stand for the same
/// time. States are those of the way forward, then those of the way back: `layers::Bidirectional{layers::LSTM{8}}`. Where a mask is
/// false the outputs of return_sequences are 0.
template <class L>
struct Bidirectional {
  L forward{};
  Merge merge_mode = Merge::concat;
  L backward = detail::reversed(forward);  // with variables of its own

  Tensor operator()(const Operand& x, bool training = false) const {
    return return_state(x, {.training = training}).output;
  }
  Tensor operator()(const Operand& x, const SequenceOptions& options) const { return return_state(x, options).output; }
  [[nodiscard]] WithState return_state(const Operand& x, const SequenceOptions& options = {}) const {
    detail::check_directions(forward.go_backwards, backward.go_backwards, x.where());
    const auto [there, back] = detail::for_both(options, x.where());
    WithState merged = detail::merged(forward.return_state(x, there), backward.return_state(x, back), merge_mode,
                                      forward.return_sequences, x.where());
    if (forward.return_sequences && options.mask.defined()) {
      merged.output = where(expand_dims(options.mask, -1), merged.output, 0);
    }
    return merged;
  }
  /// The mask of the output, as for RNN.
  Tensor compute_mask(const Operand&, const Tensor& mask = {}) const { return forward.return_sequences ? mask : Tensor(); }
};
template <class L>
Bidirectional(L) -> Bidirectional<L>;
template <class L>
Bidirectional(L, Merge) -> Bidirectional<L>;
template <class L>
Bidirectional(L, Merge, L) -> Bidirectional<L>;

}  // namespace layers
}  // namespace etch
