// Elements of data sets: rows of tensors, and bytes.
#include "etch/data/element.h"

#include <cstring>

#include "compiler/ir/cat.h"
#include "frontend/rows.h"
#include "frontend/tensor_impl.h"

namespace etch::data::detail {

using etch::detail::TensorAccess;
using etch::detail::TensorImpl;

namespace {

/// The tensor behind a handle. Error unless it has elements.
const TensorImpl& eager(const Tensor& tensor, std::string_view op) {
  const TensorImpl* impl = TensorAccess::get(tensor);
  if (impl == nullptr) throw Error(cat(op, ": a tensor of the element ", etch::detail::kHoldsNothing));
  if (impl->kind != TensorImpl::Kind::eager) throw Error(cat(op, ": a tensor of the element belongs to a trace"));
  return *impl;
}

}  // namespace

void RowBlock::start(DType dtype, const Shape& row) {
  if (row.rank() == kMaxRank) {
    throw Error(cat("batch: ", to_string(Type{dtype, row}), " has ", kMaxRank, " axes, a batch would have one more"));
  }
  dtype_ = dtype;
  row_ = row;
  Shape shape = row;
  shape.insert(0, capacity_);
  block_ = etch::detail::allocate(dtype, shape, {}, "batch");
  next_ = static_cast<std::byte*>(TensorAccess::get(block_)->data);
  row_bytes_ = static_cast<size_t>(row.product() * size_of(dtype));
}

void RowBlock::refuse(DType dtype, const Shape& row) const {
  throw Error(cat("batch: the element has ", to_string(Type{dtype, row}), " where the first of its batch has ",
                  to_string(Type{dtype_, row_}), "; padded_batch takes elements of different extents"));
}

void RowBlock::add(const Tensor& row) {
  const TensorImpl& impl = eager(row, "batch");
  if (rows_ == 0) start(impl.dtype, impl.shape);
  if (impl.dtype != dtype_ || impl.shape != row_) refuse(impl.dtype, impl.shape);
  if (row_bytes_ > 0) std::memcpy(next_, impl.data, row_bytes_);
  next_ += row_bytes_;
  ++rows_;
}

void RowBlock::add_number(DType dtype, const void* number) {
  if (rows_ == 0) start(dtype, {});
  std::memcpy(next_, number, row_bytes_);
  next_ += row_bytes_;
  ++rows_;
}

Tensor RowBlock::finish() {
  if (rows_ == capacity_) return std::exchange(block_, Tensor());
  Shape shape = row_;
  shape.insert(0, rows_);
  Tensor rest = etch::detail::allocate(dtype_, shape, {}, "batch");
  const size_t bytes = static_cast<size_t>(rows_) * row_bytes_;
  if (bytes > 0) std::memcpy(TensorAccess::get(rest)->data, TensorAccess::get(block_)->data, bytes);
  block_ = Tensor();
  return rest;
}

int64_t num_rows(const Tensor& tensor, std::string_view op) {
  eager(tensor, op);
  return etch::detail::count_rows(tensor, op, {});
}

void agree_on_rows(int64_t more, std::string_view op, int64_t& rows) {
  if (rows >= 0 && rows != more) {
    throw Error(cat(op, ": the parts of an element have ", rows, " and ", more, " rows; they must be as many"));
  }
  rows = more;
}

Tensor row_of(const Tensor& tensor, int64_t i) {
  const TensorImpl& impl = *TensorAccess::get(tensor);
  Shape shape = impl.shape;
  shape.erase(0);
  const int64_t bytes = shape.product() * size_of(impl.dtype);
  constexpr int64_t kCopied = 64;
  if (bytes <= kCopied) {  // stands with its handle, and does not keep the whole alive
    Tensor row = etch::detail::allocate_legal({impl.dtype, shape}, {}, "a row");
    std::memcpy(TensorAccess::get(row)->data, static_cast<const std::byte*>(impl.data) + i * bytes,
                static_cast<size_t>(bytes));
    return row;
  }
  Tensor row = etch::detail::alias(impl, impl.dtype, shape);
  TensorAccess::get(row)->data = static_cast<std::byte*>(impl.data) + i * bytes;
  return row;
}

Tensor gather_rows(const Tensor& tensor, std::span<const int64_t> indices) {
  return etch::detail::take_rows(tensor, indices);
}

void Encoder::tensor(const Tensor& value) {
  if (!value.defined()) return number(int8_t{-1});
  const TensorImpl& impl = eager(value, "saving an element");
  number(static_cast<int8_t>(impl.shape.rank()));
  number(static_cast<uint8_t>(impl.dtype));
  for (int64_t extent : impl.shape) number(extent);
  raw(impl.data, static_cast<size_t>(impl.bytes()));
}

Tensor Encoder::to_tensor() const {
  return Tensor::from(std::span(reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()), Shape(bytes_.size()));
}

namespace {
std::string_view bytes_of(const Tensor& state) {
  const std::span<const uint8_t> bytes = state.data<uint8_t>();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
}  // namespace

Decoder::Decoder(const Tensor& state) : bytes_(bytes_of(state)) {}

void Decoder::raw(void* data, size_t bytes) {
  if (bytes > bytes_.size()) throw Error("saved elements of a data set are corrupt: they end too early");
  if (bytes > 0) std::memcpy(data, bytes_.data(), bytes);
  bytes_.remove_prefix(bytes);
}

uint64_t Decoder::count() {
  const auto n = number<uint64_t>();
  if (n > bytes_.size()) throw Error("saved elements of a data set are corrupt: a count is larger than what follows");
  return n;
}

std::string Decoder::text() {
  std::string text(count(), '\0');
  raw(text.data(), text.size());
  return text;
}

Tensor Decoder::tensor() {
  const auto rank = number<int8_t>();
  if (rank == -1) return {};
  const auto dtype = static_cast<DType>(number<uint8_t>());
  if (rank < 0 || rank > kMaxRank || !is_dtype(dtype))
    throw Error("saved elements of a data set are corrupt: no tensor has such a type");
  Shape shape;
  for (int i = 0; i < rank; ++i) shape.push_back(number<int64_t>());
  if (!is_representable(shape, size_of(dtype)) ||
      static_cast<uint64_t>(shape.product() * size_of(dtype)) > bytes_.size()) {
    throw Error("saved elements of a data set are corrupt: a tensor is larger than what follows");
  }
  Tensor value = etch::detail::allocate(dtype, shape, {}, "a saved element");
  TensorImpl& impl = *TensorAccess::get(value);
  raw(impl.data, static_cast<size_t>(impl.bytes()));
  if (dtype == DType::boolean) {
    for (auto* byte = static_cast<uint8_t*>(impl.data), *end = byte + impl.bytes(); byte != end; ++byte) {
      if (*byte > 1) throw Error("saved elements of a data set are corrupt: a bool is neither 0 nor 1");
    }
  }
  return value;
}

}  // namespace etch::data::detail
