// MultiHeadAttention: four projections around attention.
#include "etch/layers/attention.h"

#include "etch/layers.h"
#include "frontend/composites/parts.h"
#include "frontend/layers/parts.h"

namespace etch::layers {
namespace {

constexpr char kName[] = "multi_head_attention";

/// f[..., T, n] -> f[..., heads, T, width].
Tensor projected(const MultiHeadAttention& layer, const MultiHeadAttention::Projection& projection, const Tensor& x,
                 int64_t width, Location where) {
  const int64_t n = x.shape()[x.rank() - 1];
  build(projection.kernel, layer.kernel_initializer, {n, layer.num_heads, width}, x, kName, where);
  Tensor y = matmul(x, reshape(Tensor(projection.kernel), {n, layer.num_heads * width}));
  Shape shape = x.shape();
  shape[x.rank() - 1] = layer.num_heads;
  shape.push_back(width);
  y = reshape(y, shape);
  if (layer.use_bias) {
    build(projection.bias, layer.bias_initializer, {layer.num_heads, width}, x, kName, where);
    y = y + projection.bias;
  }
  return swapaxes(y, -3, -2);
}

void check_options(const MultiHeadAttention& layer, Location where) {
  if (layer.num_heads <= 0 || layer.key_dim <= 0 || layer.value_dim < 0 || layer.output_shape < 0) {
    detail::fail_in_op(where, cat(kName, ": num_heads is ", layer.num_heads, ", key_dim ", layer.key_dim, ", value_dim ",
                                  layer.value_dim, " and output_shape ", layer.output_shape,
                                  "; the first two are 1 or more, the others not negative"));
  }
}

void check_lengths(const Tensor& key, const Tensor& value, Location where) {
  if (key.rank() == value.rank() && key.shape()[key.rank() - 2] == value.shape()[value.rank() - 2]) return;
  const Type keys{key.dtype(), key.shape()}, values{value.dtype(), value.shape()};
  detail::fail_in_op(where, cat(kName, ": the key is ", to_string(keys), " and the value ", to_string(values),
                                "; there is a key for each value"));
}

}  // namespace

Tensor MultiHeadAttention::operator()(const Operand& q, const Operand& v, const AttentionCall& call) const {
  const detail::Scope scope(kName, q.where());
  const Location where = q.where();
  check_options(*this, where);
  const Tensor &queries = input_of(q, kName, 2), &values = input_of(v, kName, 2);
  const Tensor& keys = call.key.defined() ? input_of(Operand(call.key, where), kName, 2) : values;
  check_lengths(keys, values, where);
  const int64_t value_width = value_dim > 0 ? value_dim : key_dim;
  const int64_t output_width = output_shape > 0 ? output_shape : queries.shape()[queries.rank() - 1];

  const Tensor query_heads = projected(*this, query, queries, key_dim, where);
  const Tensor key_heads = projected(*this, key, keys, key_dim, where);
  const Tensor value_heads = projected(*this, value, values, value_width, where);
  AttentionOptions options{.mask = call.attention_mask, .causal = call.use_causal_mask};
  if (options.mask.defined() && options.mask.rank() > 2) options.mask = expand_dims(options.mask, -3);
  Tensor weights = detail::attention_weights(query_heads, key_heads, options, where);
  if (dropout > 0) weights = Dropout{dropout, generator}(weights, call.training);
  const Tensor found = swapaxes(matmul(weights, value_heads), -3, -2);

  const Shape matrix{num_heads * value_width, output_width};
  build(attention_output.kernel, kernel_initializer, {num_heads, value_width, output_width}, queries, kName, where);
  Shape shape = queries.shape();
  shape[queries.rank() - 1] = num_heads * value_width;
  const Tensor y = matmul(reshape(found, shape), reshape(Tensor(attention_output.kernel), matrix));
  if (!use_bias) return y;
  build(attention_output.bias, bias_initializer, output_width, queries, kName, where);
  return y + attention_output.bias;
}

}  // namespace etch::layers
