// Tensors from a formula: ranges and identity matrices.
#include <algorithm>
#include <cmath>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::fail;
using detail::Scope;

namespace {

/// Tells a trace which numbers a tensor holds: see Trace::note_progression.
Tensor noted(Tensor numbers, int64_t start, int64_t step) {
  detail::Trace* const trace = detail::Trace::current();
  if (trace == nullptr) return numbers;
  const detail::TensorImpl& impl = *detail::TensorAccess::get(numbers);
  const __int128 end = static_cast<__int128>(start) + static_cast<__int128>(step) * impl.shape[0];
  const int64_t most = impl.dtype == DType::i32 ? INT32_MAX : INT64_MAX;
  const bool counts = (impl.dtype == DType::i32 || impl.dtype == DType::i64) && end <= most && end >= -most;
  if (counts) trace->note_progression(impl, {start, step});
  return numbers;
}

}  // namespace

Tensor range(Integer n, DType dtype, Location where) {
  if (n < 0) fail(where, cat("range: ", int64_t{n}, " numbers cannot be counted"));
  return noted(iota({n}, 0, dtype, where), 0, 1);
}

namespace {

double as_double(Number number) {
  return number.kind() == Number::Kind::floating ? number.floating() : static_cast<double>(number.integer());
}

/// Element i is start + i * step, computed in `wide`, i64 or f64, and cast.
Tensor steps(int64_t count, Number start, Number step, DType wide, DType dtype, Location where) {
  return cast(iota({count}, 0, wide, where) * full({}, step, wide, where) + full({}, start, wide, where), dtype);
}

}  // namespace

Tensor range(Number start, Number stop, Number step, Location where) {
  Scope scope("range", where);
  where = Scope::place_of(where);
  bool is_float = false;
  DType dtype = DType::i32;
  for (const Number& number : {start, stop, step}) {
    if (number.too_large()) fail(where, "range: a number is beyond i64");
    is_float |= number.kind() == Number::Kind::floating;
  }
  for (const Number& number : {start, stop, step}) {
    if (number.dtype() == DType::f64) dtype = DType::f64;
    if (!is_float && !holds(DType::i32, number.dtype())) dtype = DType::i64;
  }
  if (is_float && dtype != DType::f64) dtype = DType::f32;
  if (as_double(step) == 0) fail(where, "range: the step is 0");
  double count = 0;
  if (is_float) {
    count = std::ceil((as_double(stop) - as_double(start)) / as_double(step));
  } else {
    const __int128 distance = static_cast<__int128>(stop.integer()) - start.integer();
    const __int128 stride = step.integer();
    const __int128 whole = distance / stride;
    count = static_cast<double>(whole + (distance % stride != 0 && (distance < 0) == (stride < 0) ? 1 : 0));
  }
  if (!(count < 0x1p46)) fail(where, "range: there are too many numbers between start and stop");
  const auto extent = static_cast<int64_t>(std::max(count, 0.0));
  const Tensor numbers = steps(extent, start, step, is_float ? DType::f64 : DType::i64, dtype, where);
  return is_float ? numbers : noted(numbers, start.integer(), step.integer());
}

Tensor linspace(double start, double stop, Integer count, DType dtype, Location where) {
  Scope scope("linspace", where);
  where = Scope::place_of(where);
  if (count < 0) fail(where, cat("linspace: ", int64_t{count}, " numbers cannot be counted"));
  detail::check_dtype(dtype, "linspace", where);
  if (!is_floating(dtype)) {
    fail(where, cat("linspace gives ", list_dtypes(is_floating), ", not ", name(dtype), "; cast the result"));
  }
  for (double end : {start, stop}) detail::number_bits(end, dtype, where, "linspace");
  const double last = static_cast<double>(count) - 1;
  const double step = count > 1 ? (stop - start) / last : 0;
  const Tensor i = iota({count}, 0, DType::f64, where);
  const Tensor even = i * step + start;
  return cast(count > 1 ? etch::where(i == last, stop, even) : even, dtype);
}

Tensor eye(Integer rows, Integer columns, DType dtype, Location where) {
  Scope scope("eye", where);
  where = Scope::place_of(where);
  detail::check_dtype(dtype, "eye", where);
  const Shape shape{rows, columns};
  for (DType counted : {dtype, DType::i64}) detail::check_type({counted, shape}, "eye", where);
  return cast(iota(shape, 0, DType::i64, where) == iota(shape, 1, DType::i64, where), dtype);
}

Tensor eye(Integer n, DType dtype, Location where) { return eye(n, n, dtype, where); }

}  // namespace etch
