// Layers that pool.
#include "etch/layers/pooling.h"

#include "frontend/layers/parts.h"

namespace etch::layers {

using detail::Scope;

namespace {

template <class L>
Tensor pool(const L& layer, const Operand& x, int axes, std::string_view name,
            Tensor (*op)(const Operand&, const Dims&, PoolOptions)) {
  const Scope scope(name, x.where());
  const Tensor& t = input_of_rank(x, name, axes + 2);
  return op(Operand(t, x.where()), layer.pool_size, {layer.strides, layer.padding});
}

Tensor pool_all(bool keepdims, const Operand& x, int axes, std::string_view name,
                Tensor (*op)(const Operand&, const Axes&, Flag)) {
  const Scope scope(name, x.where());
  const Tensor& t = input_of_rank(x, name, axes + 2);
  Dims between;
  for (int i = 1; i <= axes; ++i) between.push_back(i);
  return op(Operand(t, x.where()), Axes(between), keepdims);
}

}  // namespace

Tensor MaxPooling1D::operator()(const Operand& x) const { return pool(*this, x, 1, "max_pooling1d", max_pool); }
Tensor MaxPooling2D::operator()(const Operand& x) const { return pool(*this, x, 2, "max_pooling2d", max_pool); }
Tensor AveragePooling1D::operator()(const Operand& x) const { return pool(*this, x, 1, "average_pooling1d", avg_pool); }
Tensor AveragePooling2D::operator()(const Operand& x) const { return pool(*this, x, 2, "average_pooling2d", avg_pool); }

Tensor GlobalMaxPooling1D::operator()(const Operand& x) const {
  return pool_all(keepdims, x, 1, "global_max_pooling1d", max);
}
Tensor GlobalMaxPooling2D::operator()(const Operand& x) const {
  return pool_all(keepdims, x, 2, "global_max_pooling2d", max);
}
Tensor GlobalAveragePooling1D::operator()(const Operand& x) const {
  return pool_all(keepdims, x, 1, "global_average_pooling1d", mean);
}
Tensor GlobalAveragePooling2D::operator()(const Operand& x) const {
  return pool_all(keepdims, x, 2, "global_average_pooling2d", mean);
}

}  // namespace etch::layers
