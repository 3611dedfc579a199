// The metrics, as Keras 3 computes them.
#include "etch/metrics.h"

#include <algorithm>
#include <cctype>

#include "compiler/ir/cat.h"
#include "frontend/sample_weights.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch::metrics {
namespace {

using detail::fail_in_op;
using detail::Scope;
using detail::tensor_in;

std::string type_text(const Tensor& x) { return to_string(Type{x.dtype(), x.shape()}); }

/// Error unless both are of one dtype and shape with an axis or more.
void check_alike(const Operand& y, const Operand& p, const char* metric) {
  const Tensor& a = tensor_in(y, metric);
  const Tensor& b = tensor_in(p, metric);
  if (a.dtype() == b.dtype() && a.shape() == b.shape() && a.rank() > 0) return;
  fail_in_op(p.where(), cat(metric, ": y is ", type_text(a), " and the prediction ", type_text(b),
                            "; they must be of one dtype and shape, with 1 axis or more"));
}

void update(const Mean& mean, const Tensor& values, const Tensor& weight, Location where) {
  mean.update_state(Operand(values, where), weight);
}

}  // namespace

void Sum::update_state(const Operand& values, const Tensor& weight) const {
  const Scope scope("sum", values.where());
  const Tensor wide = cast(values, DType::f32);
  const Tensor weighted = weight.defined() ? wide * detail::weight_beside(wide, weight, "sum", values.where()) : wide;
  total.assign_add(Operand(sum(weighted), values.where()));
}

void Sum::reset_state() const { total.assign(0); }

void Mean::update_state(const Operand& values, const Tensor& weight) const {
  const Scope scope("mean", values.where());
  const Tensor wide = cast(values, DType::f32);
  if (!weight.defined()) {
    total.assign_add(Operand(sum(wide), values.where()));
    count.assign_add(Operand(static_cast<double>(wide.size()), values.where()));
    return;
  }
  const Tensor weights = broadcast_to(detail::weight_beside(wide, weight, "mean", values.where()), wide.shape());
  total.assign_add(Operand(sum(wide * weights), values.where()));
  count.assign_add(Operand(sum(weights), values.where()));
}

Tensor Mean::result(Location where) const {
  return divide_no_nan(Operand(total.value(where), where), Operand(count.value(where), where));
}

void Mean::reset_state() const {
  total.assign(0);
  count.assign(0);
}

void Accuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("accuracy", p.where());
  check_alike(y, p, "accuracy");
  update(matches, cast(equal(y, p), DType::f32), weight, p.where());
}

void BinaryAccuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("binary_accuracy", p.where());
  check_alike(y, p, "binary_accuracy");
  const Tensor says = cast(greater(p, threshold), y.tensor()->dtype());
  update(matches, mean(cast(equal(y, says), DType::f32), -1), weight, p.where());
}

void CategoricalAccuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("categorical_accuracy", p.where());
  check_alike(y, p, "categorical_accuracy");
  update(matches, argmax(y, -1) == argmax(p, -1), weight, p.where());
}

void SparseCategoricalAccuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("sparse_categorical_accuracy", p.where());
  update(matches, detail::labels_of(y, p, "sparse_categorical_accuracy") == argmax(p, -1), weight, p.where());
}

namespace {

/// Whether fewer than k scores are larger than that of the label; false for a label that is no class and a score that is not
/// finite, as TensorFlow's in_top_k.
Tensor in_top_k(const Tensor& labels, const Tensor& scores, int64_t k, const char* metric, Location where) {
  if (k < 1) fail_in_op(where, cat(metric, ": k is ", k, "; it is 1 or more"));
  const Tensor is_label = expand_dims(labels, -1) == range(scores.shape()[scores.rank() - 1], DType::i64);
  const Tensor score = sum(etch::where(is_label, scores, zeros({}, scores.dtype())), -1);
  const Tensor larger = sum(cast(scores > expand_dims(score, -1), DType::i64), -1);
  return (larger < k) & any(is_label, -1) & is_finite(score);
}

}  // namespace

void TopKCategoricalAccuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  constexpr const char* kName = "top_k_categorical_accuracy";
  const Scope scope(kName, p.where());
  check_alike(y, p, kName);
  update(matches, in_top_k(argmax(y, -1), *p.tensor(), k, kName, p.where()), weight, p.where());
}

void SparseTopKCategoricalAccuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  constexpr const char* kName = "sparse_top_k_categorical_accuracy";
  const Scope scope(kName, p.where());
  update(matches, in_top_k(detail::labels_of(y, p, kName), *p.tensor(), k, kName, p.where()), weight, p.where());
}

void MeanSquaredError::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("mean_squared_error", p.where());
  check_alike(y, p, "mean_squared_error");
  update(errors, mean(squared_difference(p, y), -1), weight, p.where());
}

void MeanAbsoluteError::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("mean_absolute_error", p.where());
  check_alike(y, p, "mean_absolute_error");
  update(errors, mean(abs(sub(p, y)), -1), weight, p.where());
}

void RootMeanSquaredError::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("root_mean_squared_error", p.where());
  check_alike(y, p, "root_mean_squared_error");
  update(errors, squared_difference(p, y), weight, p.where());
}

Tensor RootMeanSquaredError::result(Location where) const { return sqrt(Operand(errors.result(where), where)); }

// ---- What is positive and what was taken for it ----

namespace {

/// Labels and predictions of a batch as one row, with the weight of each.
struct Positives {
  Tensor is_positive;  // bool[1, n]
  Tensor p;            // f32[1, n]
  Tensor weight;       // f32[1, n]

  /// How much weight there is where something holds, f32[thresholds].
  Tensor count(const Tensor& holds) const { return sum(where(holds, weight, 0.f), 1); }
};

/// Gives y and p one rank, if one of them has a last axis of 1 that the other lacks.
void match_ranks(Tensor& y, Tensor& p) {
  const auto has_one = [](const Tensor& x) { return x.rank() > 0 && x.shape()[x.rank() - 1] == 1; };
  if (y.rank() + 1 == p.rank() && has_one(p)) y = expand_dims(y, -1);
  if (p.rank() + 1 == y.rank() && has_one(y)) p = expand_dims(p, -1);
}

Tensor only_top_k(const Tensor& p, int64_t k, const char* metric, Location where) {
  const int64_t classes = p.rank() == 0 ? 0 : p.shape()[p.rank() - 1];
  if (k < 1 || k > classes) fail_in_op(where, cat(metric, ": top_k is ", k, " of ", classes, " classes"));
  const Tensor chosen = expand_dims(top_k(p, k).indices, -1) == range(classes, DType::i64);
  return etch::where(any(chosen, -2), p, -1e10f);
}

Tensor only_class(const Tensor& x, int64_t id, const char* metric, Location where) {
  const int64_t classes = x.rank() < 2 ? 0 : x.shape()[x.rank() - 1];
  if (id < 0 || id >= classes) fail_in_op(where, cat(metric, ": there is no class ", id, " in ", type_text(x)));
  return x[{ellipsis, Slice(id, id + 1)}];
}

Positives positives_of(const Operand& y_given, const Operand& p_given, const Tensor& weight, const char* metric,
                       std::optional<int64_t> top_k = {}, std::optional<int64_t> class_id = {}) {
  const Location where = p_given.where();
  Tensor y = tensor_in(y_given, metric) != 0;
  Tensor p = cast(Operand(tensor_in(p_given, metric), where), DType::f32);
  match_ranks(y, p);
  if (y.shape() != p.shape()) {
    fail_in_op(where, cat(metric, ": y is ", type_text(*y_given.tensor()), " and the prediction ",
                          type_text(*p_given.tensor()), "; they must be of one shape"));
  }
  if (top_k) p = only_top_k(p, *top_k, metric, where);
  if (class_id) {
    y = only_class(y, *class_id, metric, where);
    p = only_class(p, *class_id, metric, where);
  }
  const Shape row{1, p.size()};
  const Tensor weights = weight.defined() ? broadcast_to(detail::weight_beside(p, weight, metric, where), p.shape())
                                          : ones(p.shape());
  return {reshape(y, row), reshape(p, row), reshape(weights, row)};
}

/// Which predictions are above which threshold, bool[thresholds, n].
Tensor above(const Positives& batch, std::vector<double> thresholds, bool has_top_k) {
  if (thresholds.empty()) thresholds = {has_top_k ? -1e10 : 0.5};
  std::vector<float> narrow(thresholds.begin(), thresholds.end());
  return batch.p > expand_dims(Tensor::from(narrow, static_cast<int64_t>(narrow.size())), 1);
}

/// counted / (counted + others), a scalar if there is one.
Tensor share(const Variable& counted, const Variable& others, Location where) {
  const Tensor all = divide_no_nan(counted.value(where), counted.value(where) + others.value(where));
  return all.size() == 1 ? reshape(all, Shape()) : all;
}

void add_to(const Variable& variable, const Tensor& amount, Location where) { variable.assign_add(Operand(amount, where)); }

}  // namespace

void Precision::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("precision", p.where());
  const Positives batch = positives_of(y, p, weight, "precision", top_k, class_id);
  const Tensor taken = above(batch, thresholds, top_k.has_value());
  add_to(true_positives, batch.count(taken & batch.is_positive), p.where());
  add_to(false_positives, batch.count(taken & !batch.is_positive), p.where());
}

Tensor Precision::result(Location where) const { return share(true_positives, false_positives, where); }

void Precision::reset_state() const {
  true_positives.assign(0);
  false_positives.assign(0);
}

void Recall::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("recall", p.where());
  const Positives batch = positives_of(y, p, weight, "recall", top_k, class_id);
  const Tensor taken = above(batch, thresholds, top_k.has_value());
  add_to(true_positives, batch.count(taken & batch.is_positive), p.where());
  add_to(false_negatives, batch.count((!taken) & batch.is_positive), p.where());
}

Tensor Recall::result(Location where) const { return share(true_positives, false_negatives, where); }

void Recall::reset_state() const {
  true_positives.assign(0);
  false_negatives.assign(0);
}

void AUC::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("auc", p.where());
  if (size() < 2) fail_in_op(p.where(), cat("auc: num_thresholds is ", num_thresholds, "; it is 2 or more"));
  Positives batch = positives_of(y, p, weight, "auc");
  if (from_logits) batch.p = sigmoid(batch.p);
  Tensor taken;
  if (thresholds.empty()) {
    // Threshold i of n is i / (n - 1); the first and the last one lie just outside. Keras counts so, too.
    const Tensor last_below = ceil(clip(batch.p, 0.f, 1.f) * static_cast<float>(num_thresholds - 1)) - 1;
    taken = maximum(last_below, 0.f) >= expand_dims(range(num_thresholds, DType::f32), 1);
  } else {
    std::vector<double> all = thresholds;
    std::ranges::sort(all);
    all.insert(all.begin(), -1e-7);
    all.push_back(1 + 1e-7);
    taken = above(batch, all, false);
  }
  add_to(true_positives, batch.count(taken & batch.is_positive), p.where());
  add_to(false_positives, batch.count(taken & !batch.is_positive), p.where());
  add_to(false_negatives, batch.count((!taken) & batch.is_positive), p.where());
  add_to(true_negatives, batch.count(!(taken | batch.is_positive)), p.where());
}

namespace {

/// The values at the lower and the upper thresholds of all intervals.
struct Ends {
  explicit Ends(const Tensor& x) : low(x[Slice::to(-1)]), high(x[Slice::from(1)]) {}
  Tensor low, high;
};

/// Of precision by recall; true and false positives run linearly between thresholds, so precision does not.
Tensor interpolated_pr(const Tensor& tp, const Tensor& fp, const Tensor& fn) {
  const Ends true_positives(tp), taken(tp + fp);
  const Tensor gained = true_positives.low - true_positives.high;
  const Tensor slope = divide_no_nan(gained, maximum(taken.low - taken.high, 0.f));
  const Tensor intercept = true_positives.high - slope * taken.high;
  const Tensor are_some = (taken.low > 0.f) & (taken.high > 0.f);
  const Tensor ratio = where(are_some, divide_no_nan(taken.low, maximum(taken.high, 0.f)), 1.f);
  return sum(divide_no_nan(slope * (gained + intercept * log(ratio)), maximum(Ends(tp + fn).high, 0.f)));
}

}  // namespace

Tensor AUC::result(Location where) const {
  const Scope scope("auc", where);
  const Tensor tp = true_positives.value(where), tn = true_negatives.value(where);
  const Tensor fp = false_positives.value(where), fn = false_negatives.value(where);
  const bool is_interpolated = summation_method == SummationMethod::interpolation;
  if (curve == Curve::pr && is_interpolated) return interpolated_pr(tp, fp, fn);
  const Tensor recall = divide_no_nan(tp, tp + fn);
  const Ends x(curve == Curve::roc ? divide_no_nan(fp, fp + tn) : recall);
  const Ends y(curve == Curve::roc ? recall : divide_no_nan(tp, tp + fp));
  const Tensor height = is_interpolated                                       ? (y.low + y.high) * 0.5f
                        : summation_method == SummationMethod::minoring ? minimum(y.low, y.high)
                                                                              : maximum(y.low, y.high);
  return sum((x.low - x.high) * height);
}

void AUC::reset_state() const {
  for (const Variable* variable : {&true_positives, &true_negatives, &false_positives, &false_negatives}) variable->assign(0);
}

void ConfusionMatrix::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  constexpr const char* kName = "confusion_matrix";
  const Scope scope(kName, p.where());
  if (num_classes < 1) fail_in_op(p.where(), cat(kName, ": num_classes is ", num_classes, "; there is 1 or more"));
  const Tensor& given = tensor_in(p, kName);
  const bool is_scores = is_floating(given.dtype());
  const Tensor labels = detail::labels_of(y, is_scores ? given : expand_dims(given, -1), kName);
  const Tensor classes = is_scores ? argmax(given, -1) : cast(given, DType::i64);
  const Shape column{labels.size(), 1};
  const Tensor all = range(num_classes, DType::i64);
  const Tensor rows = cast(reshape(labels, column) == all, DType::f32);
  Tensor columns = cast(reshape(classes, column) == all, DType::f32);
  if (weight.defined()) {
    const Tensor beside = detail::weight_beside(cast(labels, DType::f32), weight, kName, p.where());
    columns = columns * reshape(broadcast_to(beside, labels.shape()), column);
  }
  add_to(matrix, matmul(rows, columns, {.transpose_a = true}), p.where());
}

// ---- Any metric ----

namespace {

std::string_view unqualified(std::string_view class_name) {
  const size_t colon = class_name.substr(0, class_name.find('<')).rfind("::");
  return colon == std::string_view::npos ? class_name : class_name.substr(colon + 2);
}

}  // namespace

std::optional<bool> is_better_higher(std::string_view class_name) {
  if (!class_name.starts_with("etch::metrics::")) return {};
  const std::string_view name = unqualified(class_name);
  if (name.ends_with("Accuracy") || name == "Precision" || name == "Recall" || name == "AUC") return true;
  if (name.ends_with("Error")) return false;
  return {};
}

std::string Metric::snake_case(std::string_view class_name) {
  const std::string_view name = unqualified(class_name);
  const auto is = [&](size_t i, int (*property)(int)) {
    return i < name.size() && property(static_cast<unsigned char>(name[i])) != 0;
  };
  std::string result;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool begins_word = i > 0 && is(i, std::isupper) && (!is(i - 1, std::isupper) || is(i + 1, std::islower));
    if (begins_word) result += '_';
    result += static_cast<char>(std::tolower(static_cast<unsigned char>(name[i])));
  }
  return result;
}

}  // namespace etch::metrics
