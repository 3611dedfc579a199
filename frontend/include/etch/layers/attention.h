// Attention with several heads.
#pragma once

#include "etch/initializers.h"
#include "etch/ops.h"
#include "etch/random.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {
namespace layers {

/// What a call of MultiHeadAttention may be given beside query and value. The names are Keras'.
struct AttentionCall {
  Tensor key{};                   // f[..., S, n]; the value by default
  Tensor attention_mask{};        // bool[..., T, S], true where a query may look at a key; the same for all heads
  bool use_causal_mask = false;   // a query looks at the keys up to its own number
  bool training = false;          // drops weights
};

/// Attention of several heads side by side (Vaswani et al., "Attention Is All You Need", 2017): query f[..., T, E] and value
/// f[..., S, n] -> f[..., T, output_shape]. Query, key and value are projected to a vector for each head, the heads attend by
/// scaled_dot_product_attention, and what they find is projected together. Weights, names and defaults are those of Keras'
/// MultiHeadAttention; they are built by the first call.
struct MultiHeadAttention {
  int64_t num_heads = 0;
  int64_t key_dim = 0;       // width of a head's queries and keys
  int64_t value_dim = 0;     // width of its values; 0: key_dim
  double dropout = 0;        // share of the attention weights that are dropped while training
  bool use_bias = true;
  int64_t output_shape = 0;  // width of the result; 0: that of the query
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer bias_initializer = initializers::zeros();
  Generator generator{};     // for dropout

  struct Projection {
    Variable kernel = Variable::deferred({.name = "kernel"});
    Variable bias = Variable::deferred({.name = "bias"});
  };
  Projection query{};             // f[E, num_heads, key_dim], f[num_heads, key_dim]
  Projection key{};               // the same
  Projection value{};             // f[n, num_heads, value_dim], f[num_heads, value_dim]
  Projection attention_output{};  // f[num_heads, value_dim, output_shape], f[output_shape]

  Tensor operator()(const Operand& query, const Operand& value, const AttentionCall& call = {}) const;
};

}  // namespace layers
}  // namespace etch
