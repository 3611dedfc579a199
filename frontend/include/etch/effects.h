// What a program does on the host beside its tensors: print, require. At once in eager mode; of a traced function each time that it
// is called, in the order of the program.
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "etch/tensor.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {
namespace detail {

/// A piece of what is printed: a text, a number, or the value of a tensor or variable.
class Piece {
 public:
  template <class Text>
    requires std::convertible_to<const Text&, std::string_view>
  Piece(const Text& text, Location where = Location::current())  // NOLINT: converts
      : text_(std::string_view(text)), where_(where) {}
  template <Arithmetic T>
  Piece(T number, Location where = Location::current()) : Piece(Number(number), where) {}  // NOLINT: converts
  Piece(const Tensor& tensor, Location where = Location::current())  // NOLINT: converts
      : tensor_(tensor), is_tensor_(true), where_(where) {}
  Piece(const Variable& variable, Location where = Location::current()) : Piece(variable.value(where), where) {}  // NOLINT

  const std::string& text() const { return text_; }
  const Tensor& tensor() const { return tensor_; }
  bool is_tensor() const { return is_tensor_; }
  Location where() const { return where_; }

 private:
  Piece(Number number, Location where);

  std::string text_;
  Tensor tensor_;
  bool is_tensor_ = false;
  Location where_;
};

void print(std::initializer_list<Piece> pieces);
void require(const Operand& condition, std::string_view format, std::initializer_list<Piece> values);

}  // namespace detail

/// Prints a line: the pieces, with blanks between them. `print("loss", loss)` gives `loss 0.25`; tensors are written as
/// operator<< writes them. In a traced function nothing is printed while it is traced, and each call of it prints what its
/// elements are then, in program order, in branches and loops too. Where lines go, see set_print_sink.
template <class... Pieces>
void print(const detail::Piece& first, const Pieces&... others) {
  detail::print({first, detail::Piece(others, first.where())...});
}

/// Throws an Error with the place of this call unless the condition, one element, is true. The format says what is wrong; each
/// `{}` in it stands for the value that follows: `require(all(is_finite(w)), "the weights are {}", w)`. In a traced function it
/// is tested when the function runs; then the call throws, and variables are as they were before it. Error for a condition of more
/// elements, and unless there is one value for each `{}`.
template <class... Pieces>
void require(const Operand& condition, std::string_view format, const Pieces&... values) {
  detail::require(condition, format, {detail::Piece(values, condition.where())...});
}
inline void require(const Operand& condition) { detail::require(condition, "the condition is false", {}); }

/// Who gets the lines that print makes, each with its end of line. Called by one thread at a time.
using PrintSink = std::function<void(std::string_view line)>;
/// Replaces the sink, and returns the one before. An empty one stands for std::cout, which is the first.
PrintSink set_print_sink(PrintSink sink);

/// Replaces the sink for as long as it stands.
class ScopedPrintSink {
 public:
  explicit ScopedPrintSink(PrintSink sink) : before_(set_print_sink(std::move(sink))) {}
  ~ScopedPrintSink() { set_print_sink(std::move(before_)); }
  ScopedPrintSink(const ScopedPrintSink&) = delete;
  ScopedPrintSink& operator=(const ScopedPrintSink&) = delete;

 private:
  PrintSink before_;
};

}  // namespace etch
