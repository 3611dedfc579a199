// Tensors: their memory, their making from C++ values and the reading of their elements.
#include "etch/tensor.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/dispatch.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::TensorAccess;
using detail::TensorImpl;

namespace detail {
namespace {

// Up to here elements stand behind their TensorImpl: one allocation, no Buffer.
constexpr int64_t kInlineBytes = 512;

/// Memory for a TensorImpl and `bytes` of aligned elements behind it.
TensorImpl* new_impl(int64_t bytes) {
  const size_t slack = bytes > 0 ? Buffer::kAlignment : 0;
  void* memory = std::malloc(sizeof(TensorImpl) + slack + static_cast<size_t>(bytes));
  if (memory == nullptr) throw std::bad_alloc();
  auto* impl = new (memory) TensorImpl;
  if (bytes > 0) {
    const auto end = reinterpret_cast<uintptr_t>(memory) + sizeof(TensorImpl);
    impl->data = reinterpret_cast<void*>((end + Buffer::kAlignment - 1) / Buffer::kAlignment * Buffer::kAlignment);
  }
  return impl;
}

TensorImpl* new_impl(TensorImpl::Kind kind, DType dtype, const Shape& shape) {
  TensorImpl* impl = new_impl(0);
  impl->kind = kind;
  if (kind == TensorImpl::Kind::eager) impl->trace = id_of_innermost_trace();
  impl->dtype = dtype;
  impl->shape = shape;
  return impl;
}

template <class T>
std::string plain_text(T value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", std::numeric_limits<T>::digits10, value);
  const bool looks_whole = std::string_view(text).find_first_not_of("-0123456789") == std::string_view::npos;
  return cat(text, looks_whole ? ".0" : "");
}

[[noreturn]] void fail_number(const Number& number, DType dtype, Location where, std::string_view op) {
  const bool is_fraction = number.kind() == Number::Kind::floating;
  const bool is_rounded = !is_fraction && !number.too_large() && is_floating(dtype);
  const std::string text = number_text(number);
  const std::string what = is_rounded ? cat("the integer ", text, " is not exact in ", name(dtype))
                                      : cat("the number ", text, " cannot become ", name(dtype));
  std::string_view way_out;
  if (is_fraction && !is_floating(dtype)) way_out = "; cast the tensor to f32 or f64 first, or write a whole number";
  const std::string rounds = is_rounded ? cat("; write ", text, ".0 to have it rounded") : "";
  if (!op.empty()) fail(where, cat(op, ": ", what, rounds));
  fail(where, cat(what, ", the dtype of the tensor beside it", way_out, rounds));
}

template <class T>
uint64_t number_bits_as(const Number& number, DType dtype, Location where, std::string_view op) {
  if (number.too_large()) {
    if constexpr (std::is_same_v<T, uint64_t>) return static_cast<uint64_t>(number.integer());
    fail_number(number, dtype, where, op);
  }
  if (number.kind() == Number::Kind::floating) {
    const double value = number.floating();
    if constexpr (is_floating(dtype_of<T>)) {
      const T rounded = static_cast<T>(value);
      if (std::isinf(static_cast<double>(rounded)) && !std::isinf(value)) fail_number(number, dtype, where, op);
      return to_bits<T>(rounded);
    } else {
      if (std::is_same_v<T, uint64_t> && value >= 0x1p63 && value < 0x1p64) return static_cast<uint64_t>(value);
      if (!(value >= -0x1p63 && value < 0x1p63) || value != std::trunc(value)) fail_number(number, dtype, where, op);
      return number_bits_as<T>(Number(static_cast<int64_t>(value)), dtype, where, op);
    }
  }
  const int64_t value = number.integer();
  if constexpr (is_floating(dtype_of<T>)) {
    const auto rounded = static_cast<double>(static_cast<T>(value));
    const bool fits = rounded >= -0x1p63 && rounded < 0x1p63;
    if (!fits || static_cast<int64_t>(rounded) != value) fail_number(number, dtype, where, op);
  } else if constexpr (std::is_same_v<T, bool>) {
    if (value != 0 && value != 1) fail_number(number, dtype, where, op);
  } else if constexpr (std::is_integral_v<T>) {
    if (!std::in_range<T>(value)) fail_number(number, dtype, where, op);
  }
  return to_bits<T>(static_cast<T>(value));
}

}  // namespace

void retain(TensorImpl* impl) noexcept { impl->references.fetch_add(1, std::memory_order_relaxed); }

void release(TensorImpl* impl) noexcept {
  while (impl && impl->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    TensorImpl* owner = impl->owner;
    impl->~TensorImpl();
    std::free(impl);
    impl = owner;
  }
}

std::string at(Location where) {
  if (where.line() == 0) return "";
  std::string_view file = where.file_name();
  return cat(file.substr(file.rfind('/') + 1), ":", where.line(), ": ");
}

void fail(Location where, const std::string& message) { throw Error(at(where) + message); }

void fail_allocation(Location where, int64_t bytes, std::string_view what) {
  fail(where, cat("cannot allocate ", bytes, " bytes for ", what));
}

std::string number_text(const Number& number) {
  switch (number.kind()) {
    case Number::Kind::boolean: return number.integer() ? "true" : "false";
    case Number::Kind::integer:
      return number.too_large() ? std::to_string(static_cast<uint64_t>(number.integer()))
                                : std::to_string(number.integer());
    case Number::Kind::floating: break;
  }
  if (number.dtype() == DType::f32) return plain_text(static_cast<float>(number.floating()));
  return plain_text(number.floating());
}

void check_dtype(DType dtype, std::string_view op, Location where) {
  if (!is_dtype(dtype)) fail(where, cat(op, ": the value ", static_cast<int>(dtype), " is no DType"));
}

uint64_t number_bits(const Number& number, DType dtype, Location where, std::string_view op) {
  return dispatch(dtype, [&]<class T> { return number_bits_as<T>(number, dtype, where, op); });
}

TensorImpl& impl_of(const Tensor& tensor, Location where) {
  TensorImpl* impl = TensorAccess::get(tensor);
  if (impl == nullptr) fail(where, cat("the tensor ", kHoldsNothing));
  return *impl;
}

void check_type(const Type& type, std::string_view op, Location where) {
  if (is_representable(type.shape, size_of(type.dtype))) return;
  fail(where, cat(op, ": a tensor of ", to_string(type),
                  " cannot be: extents must not be negative and the elements take at most 2^46 bytes"));
}

Tensor allocate(DType dtype, const Shape& shape, Location where, std::string_view what) {
  const Type type{dtype, shape};
  check_type(type, what, where);
  return allocate_legal(type, where, what);
}

Tensor allocate_legal(const Type& type, Location where, std::string_view what, std::span<const void* const> operands) {
  const int64_t bytes = type.bytes();
  try {
    TensorImpl* impl = new_impl(bytes <= kInlineBytes ? std::max<int64_t>(bytes, 1) : 0);
    Tensor tensor = TensorAccess::adopt(impl);
    impl->trace = id_of_innermost_trace();
    impl->dtype = type.dtype;
    impl->shape = type.shape;
    impl->where = where;
    if (bytes > kInlineBytes) {
      impl->buffer = Buffer::allocate(bytes, operands.data(), operands.size());
      impl->data = impl->buffer.data();
    }
    return tensor;
  } catch (const std::bad_alloc&) {
    fail_allocation(where, bytes, what);
  }
}

Tensor alias(const TensorImpl& of, DType dtype, const Shape& shape) {
  TensorImpl* impl = new_impl(TensorImpl::Kind::eager, dtype, shape);
  impl->data = of.data;
  impl->is_const = of.is_const;
  impl->is_adopted = of.is_adopted;
  impl->where = of.where;
  if (of.buffer) {
    impl->buffer = of.buffer;
  } else {
    impl->owner = of.owner ? of.owner : const_cast<TensorImpl*>(&of);
    retain(impl->owner);
  }
  return TensorAccess::adopt(impl);
}

bool is_exclusive(const TensorImpl& impl) {
  const auto has_one = [](const TensorImpl& holder) { return holder.references.load(std::memory_order_acquire) == 1; };
  if (!has_one(impl)) return false;
  if (impl.buffer) return impl.buffer.is_allocated() && impl.buffer.unique();
  return impl.owner == nullptr || has_one(*impl.owner);
}

bool is_held_elsewhere(const TensorImpl& impl) {
  const auto has_others = [](const TensorImpl& holder) {
    return holder.references.load(std::memory_order_acquire) - holder.captures.load(std::memory_order_relaxed) > 1;
  };
  if (has_others(impl)) return true;
  if (impl.buffer) return !impl.buffer.unique();
  return impl.owner != nullptr && has_others(*impl.owner);
}

Tensor make_spec(DType dtype, const Shape& shape) {
  check_dtype(dtype, "TensorSpec", {});
  return TensorAccess::adopt(new_impl(TensorImpl::Kind::spec, dtype, shape));
}

Tensor make_traced(uint64_t trace, Value value, const Type& type, std::optional<Op> op, Location where) {
  TensorImpl* impl = new_impl(TensorImpl::Kind::traced, type.dtype, type.shape);
  impl->trace = trace;
  impl->value = value;
  impl->op = op;
  impl->where = where;
  return TensorAccess::adopt(impl);
}

namespace {

/// Flattens a nested list: checks that it is regular and gathers numbers.
class ListReader {
 public:
  explicit ListReader(Location where) : where_(where) {}

  void read(std::initializer_list<Nested> list, int depth) {
    if (depth == kMaxRank) fail(where_, "a nested list is at most 8 deep");
    const auto extent = static_cast<int64_t>(list.size());
    if (depth == shape_.rank()) {
      if (leaf_depth_ >= 0) fail_ragged(depth, "a list beside a number");
      shape_.push_back(extent);
    } else if (shape_[depth] != extent) {
      fail_ragged(depth, cat("a list of ", extent, " beside one of ", shape_[depth]));
    }
    for (const Nested& element : list) {
      if (element.is_list()) {
        read(element.list(), depth + 1);
      } else {
        add(element.number(), depth + 1);
      }
    }
  }

  Tensor tensor() const {
    DType dtype = numbers_.empty() ? DType::f32 : DType::boolean;
    for (const Number& number : numbers_) dtype = wider(dtype, number.dtype());
    Tensor result = allocate(dtype, shape_, where_, "a list");
    auto* to = static_cast<std::byte*>(TensorAccess::get(result)->data);
    for (const Number& number : numbers_) {
      const uint64_t bits = number_bits(number, dtype, where_, "a list");
      std::memcpy(to, &bits, static_cast<size_t>(size_of(dtype)));
      to += size_of(dtype);
    }
    return result;
  }

 private:
  /// The dtype of a list with numbers of both: a float before integers, else the shortest that holds both. No integer
  /// dtype holds all of i64 and u64: then u64, which refuses negative numbers.
  static DType wider(DType a, DType b) {
    if (is_floating(a) != is_floating(b)) return is_floating(a) ? a : b;
    const DType both = result_type(a, b);
    return is_floating(both) == is_floating(a) ? both : DType::u64;
  }

  void add(const Number& number, int depth) {
    if (leaf_depth_ < 0 && depth == shape_.rank()) leaf_depth_ = depth;
    if (depth != shape_.rank() || depth != leaf_depth_) fail_ragged(depth - 1, "a number beside a list");
    numbers_.push_back(number);
  }

  [[noreturn]] void fail_ragged(int depth, const std::string& what) const {
    fail(where_, cat("the nested list is ragged: ", what, " at depth ", depth,
                     "; lists side by side must have the same length"));
  }

  Location where_;
  Shape shape_;
  int leaf_depth_ = -1;
  std::vector<Number> numbers_;
};

}  // namespace
}  // namespace detail

using detail::fail;
using detail::impl_of;

Tensor::Tensor(Number value, Location where) { *this = full(Shape{}, value, where); }

Tensor::Tensor(std::initializer_list<detail::Nested> values, Location where) {
  detail::ListReader reader(where);
  reader.read(values, 0);
  *this = reader.tensor();
}

Tensor Tensor::copy_of(DType dtype, const void* data, int64_t count, const Shape& shape, Location where) {
  Tensor result = detail::allocate(dtype, shape, where, "Tensor::from");
  if (result.size() != count) {
    fail(where, cat("Tensor::from: ", count, " values do not fill a shape of ", result.size(), " elements, ",
                    to_string(shape)));
  }
  if (count > 0) std::memcpy(TensorAccess::get(result)->data, data, static_cast<size_t>(count * size_of(dtype)));
  return result;
}

Tensor Tensor::from_bits(const std::vector<bool>& values, const Shape& shape, Location where) {
  std::vector<uint8_t> bytes(values.begin(), values.end());
  return copy_of(DType::boolean, bytes.data(), static_cast<int64_t>(bytes.size()), shape, where);
}

void Tensor::check_count(const char* caller, int64_t count, const Shape& shape, Location where) {
  if (is_representable(shape, 1) && shape.product() == count) return;
  fail(where, cat(caller, ": ", count, " values do not fill the shape ", to_string(shape)));
}

Tensor Tensor::on_memory(DType dtype, const void* data, bool is_const, const Shape& shape, void (*release)(void*),
                         void* context, Location where) {
  if (release == nullptr) release = [](void*) {};
  const int64_t bytes = is_representable(shape, size_of(dtype)) ? shape.product() * size_of(dtype) : 0;
  Buffer buffer;
  try {
    buffer = Buffer::wrap(const_cast<void*>(data), bytes, release, context);
  } catch (...) {
    release(context);
    throw;
  }
  Tensor tensor = adopt(std::move(buffer), dtype, shape, where);
  tensor.impl_->is_const = is_const;
  return tensor;
}

Tensor Tensor::adopt(Buffer buffer, DType dtype, const Shape& shape, Location where) {
  detail::check_dtype(dtype, "Tensor::adopt", where);
  if (!is_representable(shape, size_of(dtype)) || shape.product() * size_of(dtype) > buffer.bytes()) {
    fail(where, cat("Tensor::adopt: a buffer of ", buffer.bytes(), " bytes cannot hold ",
                    to_string(Type{dtype, shape})));
  }
  if (reinterpret_cast<uintptr_t>(buffer.data()) % static_cast<uintptr_t>(size_of(dtype)) != 0) {
    fail(where, cat("Tensor::adopt: the memory is not aligned to the ", size_of(dtype), " bytes of ", name(dtype)));
  }
  if (shape.product() > 0 && buffer.data() == nullptr) fail(where, "Tensor::adopt: the memory is a null pointer");
  TensorImpl* impl = detail::new_impl(TensorImpl::Kind::eager, dtype, shape);
  impl->data = buffer.data();
  impl->is_adopted = !buffer.unique();
  impl->buffer = std::move(buffer);
  impl->where = where;
  return Tensor(impl);
}

DType Tensor::dtype(Location where) const { return impl_of(*this, where).dtype; }

const Shape& Tensor::shape(Location where) const { return impl_of(*this, where).shape; }

bool Tensor::is_eager(Location where) const { return impl_of(*this, where).kind == TensorImpl::Kind::eager; }

void Tensor::copy_extents(std::span<int64_t> extents, Location where) const {
  const TensorImpl& impl = impl_of(*this, where);
  if (impl.shape.rank() != static_cast<int>(extents.size())) {
    fail(where, cat("extents<", extents.size(), ">() of ", to_string(impl.type()), ": the tensor has rank ",
                    impl.shape.rank()));
  }
  std::copy(impl.shape.begin(), impl.shape.end(), extents.begin());
}

const void* Tensor::read_data(DType dtype, Location where) const {
  const TensorImpl& impl = impl_of(*this, where);
  if (impl.kind != TensorImpl::Kind::eager) detail::fail_no_elements(impl, "reading its elements", where);
  if (impl.dtype != dtype) {
    fail(where, cat("the elements of ", to_string(impl.type()), " cannot be read as ", name(dtype),
                    "; name its own dtype or cast it"));
  }
  return impl.data;
}

const void* Tensor::read_item(DType dtype, Location where) const {
  const void* data = read_data(dtype, where);
  if (size() != 1) {
    fail(where, cat("item() needs a tensor of one element, not ", to_string(impl_->type()),
                    "; index it or use data()"));
  }
  return data;
}

Tensor::operator bool() const {
  if (!impl_) fail({}, "the truth of a tensor that holds nothing: it was made by default or moved from");
  const bool is_traced = impl_->kind == TensorImpl::Kind::traced;
  if (!is_traced && impl_->kind != TensorImpl::Kind::eager) {
    detail::fail_no_elements(*impl_, "its truth, as in `if (t)`", {});
  }
  if (size() != 1) {
    const std::string type = to_string(impl_->type());
    fail(impl_->where, is_traced ? cat("truth of a traced ", type, ": an if or a loop tests one element; reduce it with"
                                       " any() or all(), use where(), or & and | for elements")
                                 : cat("the truth of ", type, " that was made here: if, &&, || and loops test one element;"
                                       " reduce it with any() or all(), or use & and | for elements"));
  }
  if (is_traced) {
    if (detail::Trace* trace = detail::Trace::current()) {
      const Location where = impl_->where;
      Tensor truth = *this;
      if (impl_->dtype != DType::boolean) truth = not_equal(Operand(truth, where), Operand(0, where));
      if (!impl_->shape.empty()) truth = reshape(Operand(truth, where), Shape());
      return trace->ask(*truth.impl_);
    }
    detail::fail_no_elements(*impl_, "its truth, as in `if (t)`", {});
  }
  return dispatch(impl_->dtype, [&]<class T> { return *static_cast<const T*>(impl_->data) != T{}; });
}

Tensor& Tensor::operator++() & { return *this = *this + Operand(1, Location()); }
Tensor& Tensor::operator--() & { return *this = *this - Operand(1, Location()); }

Tensor Tensor::operator++(int) & {
  Tensor before = *this;
  ++*this;
  return before;
}

Tensor Tensor::operator--(int) & {
  Tensor before = *this;
  --*this;
  return before;
}

std::span<const Slice> Slices::list() const { return has_one_ ? std::span(&one_, 1) : std::span(list_, count_); }

Tensor Tensor::operator[](const Slices& slices) const { return slice(slices); }

Tensor Tensor::operator()(Slice a, Slice b, Slice c, Slice d, Slice e, Slice f, Slice g, Slice h,
                          Location where) const {
  const std::initializer_list<Slice> all = {a, b, c, d, e, f, g, h};
  std::vector<Slice> given;
  for (const Slice& slice : all) {
    if (slice.kind() != Slice::Kind::absent) given.push_back(slice);
  }
  return slice(Slices(given, where));
}

Tensor Tensor::slice(const Slices& slices) const { return etch::slice(Operand(*this, slices.where()), slices); }

Tensor::Rows Tensor::begin(Location where) const {
  const TensorImpl& impl = impl_of(*this, where);
  if (impl.shape.empty()) {
    fail(where, cat("a loop over ", to_string(impl.type()), ": rank 0 has no axis to walk along"));
  }
  Rows rows{*this, 0, where};
  const detail::Trace* const trace = detail::Trace::current();
  // Tapes take derivatives of loops that are written out.
  if (trace && trace->can_ask() && !trace->has_tape() && impl.shape[0] > 0) rows.begin_in_trace();
  return rows;
}

void Tensor::Rows::begin_in_trace() {
  const TensorImpl& impl = *detail::TensorAccess::get(*tensor_);
  stop_ = impl.shape[0];
  if (const detail::Progression* numbers = detail::Trace::current()->progression(impl)) {
    is_number_ = true;
    step_ = numbers->step;
    stop_ = numbers->start + stop_ * step_;
    index_ = full(Shape{}, numbers->start, impl.dtype, where_);
    return;
  }
  index_ = full(Shape{}, int64_t{0}, where_);
}

Tensor Tensor::Rows::traced_row() const {
  return is_number_ ? index_ : gather(Operand(*tensor_, where_), Operand(index_, where_), 0);
}

void Tensor::Rows::count() { index_ = add(Operand(index_, where_), Operand(step_, where_)); }

bool Tensor::Rows::has_ended() const {
  const Operand index(index_, where_), stop(stop_, where_);
  return !bool(step_ > 0 ? less(index, stop) : greater(index, stop));
}

Tensor::Rows Tensor::end(Location where) const { return {*this, impl_of(*this, where).shape[0], where}; }

}  // namespace etch
