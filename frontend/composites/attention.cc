// Attention by scaled products.
#include <cmath>

#include "compiler/ir/cat.h"
#include "frontend/composites/parts.h"
#include "frontend/dispatch.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::fail_in_op;
using detail::Scope;
using detail::tensor_of;

namespace {

constexpr char kName[] = "scaled_dot_product_attention";

/// Error unless the axes of both with so many behind them have the same extent.
void check_equal(const Tensor& a, const Tensor& b, int behind, const char* what, Location where) {
  if (a.shape()[a.rank() - 1 - behind] == b.shape()[b.rank() - 1 - behind]) return;
  const Type first{a.dtype(), a.shape()}, second{b.dtype(), b.shape()};
  fail_in_op(where, cat(kName, ": ", what, ", not ", to_string(first), " and ", to_string(second)));
}

double unseen_score(DType dtype) { return dtype == DType::f16 ? -3e4 : -1e9; }

Tensor masked(const Tensor& scores, const AttentionOptions& options, Location where) {
  const Tensor unseen = full({}, unseen_score(scores.dtype()), scores.dtype(), where);
  Tensor seen = scores;
  if (options.mask.defined()) {
    if (options.mask.dtype() != DType::boolean) {
      const Type type{options.mask.dtype(), options.mask.shape()};
      fail_in_op(where, cat(kName, ": the mask is ", to_string(type), ", not bool; compare first, as in mask > 0"));
    }
    seen = etch::where(Operand(options.mask, where), seen, unseen);
  }
  if (options.causal) {
    const Shape square{scores.shape()[scores.rank() - 2], scores.shape()[scores.rank() - 1]};
    const Tensor before = iota(square, 0, DType::i64, where) >= iota(square, 1, DType::i64, where);
    seen = etch::where(before, seen, unseen);
  }
  return seen;
}

}  // namespace

Tensor detail::attention_weights(const Tensor& query, const Tensor& key, const AttentionOptions& options, Location where) {
  const double scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(query.shape()[query.rank() - 1])));
  const Tensor scores = matmul(mul(Operand(query, where), scale), Operand(key, where), {.transpose_b = true});
  return softmax(masked(scores, options, where));
}

Tensor scaled_dot_product_attention(const Operand& query, const Operand& key, const Operand& value,
                                    const AttentionOptions& options) {
  const Scope scope(kName, query.where());
  for (const Operand* operand : {&query, &key, &value}) {
    detail::check_floating(*operand, kName);
    const Tensor& tensor = tensor_of(*operand, kName);
    if (tensor.rank() >= 2) continue;
    const Type type{tensor.dtype(), tensor.shape()};
    fail_in_op(query.where(), cat(kName, ": query, key and value need 2 axes or more, not ", to_string(type)));
  }
  const Tensor &q = tensor_of(query, kName), &k = tensor_of(key, kName);
  check_equal(q, k, 0, "query and key have the same width", query.where());
  check_equal(k, tensor_of(value, kName), 1, "there is a key for each value", query.where());
  const Tensor weights = detail::attention_weights(q, k, options, query.where());
  return matmul(Operand(weights, query.where()), value);
}

}  // namespace etch
