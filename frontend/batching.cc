// Rows of tensors as batches, in their order or another.
#include "frontend/batching.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "compiler/ir/cat.h"
#include "etch/random.h"
#include "frontend/rows.h"
#include "frontend/tensor_impl.h"

namespace etch::detail {

int64_t check_samples(const Batch& data, std::string_view call, Location where) {
  const int64_t n = detail::count_rows(data.x, call, where);
  const auto check = [&](const Tensor& other, const char* name) {
    if (!other.defined()) return;
    const int64_t rows = detail::count_rows(other, call, where);
    if (rows != n) fail(where, cat(call, ": x has ", n, " samples, but ", name, " ", rows));
  };
  check(data.y, "y");
  check(data.sample_weight, "sample_weight");
  if (n == 0) fail(where, cat(call, ": there are no samples"));
  return n;
}

namespace {

/// A weight for each sample by its label: an integer, or the place of the largest of several.
Tensor weights_of_classes(const Tensor& y, const std::map<int64_t, double>& class_weight, Location where) {
  const bool has_columns = y.rank() > 1 && y.shape()[y.rank() - 1] != 1;
  const Tensor labels = cast(has_columns ? argmax(Operand(y, where), -1) : y, DType::i64);
  std::vector<float> weights;
  for (int64_t label : labels.to_vector<int64_t>()) {
    const auto known = class_weight.find(label);
    weights.push_back(known == class_weight.end() ? 1.f : static_cast<float>(known->second));
  }
  return Tensor::from(weights, has_columns ? labels.shape() : Shape(y.shape()[0]), where);
}

Batch rows_of(const Batch& data, std::span<const int64_t> numbers) {
  const auto rows = [&](const Tensor& x) { return x.defined() ? detail::take_rows(x, numbers) : Tensor(); };
  return {rows(data.x), rows(data.y), rows(data.sample_weight)};
}

std::vector<int64_t> numbers_between(int64_t begin, int64_t end) {
  std::vector<int64_t> numbers(static_cast<size_t>(end - begin));
  for (int64_t i = begin; i < end; ++i) numbers[static_cast<size_t>(i - begin)] = i;
  return numbers;
}

}  // namespace

Batch with_weights(Batch data, const std::map<int64_t, double>& class_weight, std::string_view call, Location where) {
  if (class_weight.empty()) return data;
  if (data.sample_weight.defined()) {
    fail(where, cat(call, ": class_weight and sample_weight are given; there may be one"));
  }
  if (!data.y.defined()) fail(where, cat(call, ": class_weight needs y"));
  data.sample_weight = weights_of_classes(data.y, class_weight, where);
  return data;
}

Batch split_off(Batch& data, double part, Location where) {
  if (!(part > 0 && part < 1)) {
    fail(where, cat("fit: validation_split is ", detail::number_text(part), "; it is a part, above 0 and below 1"));
  }
  const int64_t n = data.x.shape()[0];
  const auto kept = static_cast<int64_t>(std::floor(static_cast<double>(n) * (1 - part)));
  if (kept == 0 || kept == n) {
    fail(where, cat("fit: validation_split ", detail::number_text(part), " of ", n, " samples leaves none for ",
                    kept == 0 ? "training" : "validation"));
  }
  Batch validation = rows_of(data, numbers_between(kept, n));
  data = rows_of(data, numbers_between(0, kept));
  return validation;
}

/// Goes over the rows in an order.
class SampleBatches::Walk final : public BatchWalk {
 public:
  Walk(const Batch& data, int64_t size, std::vector<int64_t> order)
      : data_(data), size_(size), order_(std::move(order)) {}
  bool next(Batch& batch) override {
    const size_t begin = std::min(static_cast<size_t>(next_), order_.size());
    if (begin == order_.size()) return false;
    batch =
        rows_of(data_, std::span(order_).subspan(begin, std::min(static_cast<size_t>(size_), order_.size() - begin)));
    next_ += batch.x.shape()[0];
    return true;
  }
  SavedState save_state() const override {
    SavedState state;
    state.set("samples", static_cast<int64_t>(order_.size()));
    state.set("position", next_);
    return state;
  }
  void restore_state(const SavedState& state) override {
    const auto samples = static_cast<int64_t>(order_.size());
    if (state.get<int64_t>("samples") != samples) {
      throw Error(cat("there were ", state.get<int64_t>("samples"), " samples, and now there are ", samples));
    }
    next_ = std::clamp<int64_t>(state.get<int64_t>("position"), 0, samples);
  }
  bool replays() const override { return false; }

 private:
  const Batch data_;
  const int64_t size_;
  const std::vector<int64_t> order_;
  int64_t next_ = 0;
};

std::unique_ptr<BatchWalk> SampleBatches::walk(uint64_t epoch) {
  const int64_t n = data_.x.shape()[0];
  if (!seed_) return std::make_unique<Walk>(data_, size_, numbers_between(0, n));
  const Tensor key(std::array<uint64_t, 3>{0, epoch, *seed_});
  return std::make_unique<Walk>(data_, size_, random::permutation(key, n).to_vector<int64_t>());
}

int64_t SampleBatches::count() const { return (data_.x.shape()[0] + size_ - 1) / size_; }

}  // namespace etch::detail
