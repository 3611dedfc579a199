// Samples cut into batches.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>

#include "etch/batch_set.h"

namespace etch::detail {

/// How many samples there are. Error unless x, y and weights, as far as there are such, have as many.
int64_t check_samples(const Batch& data, std::string_view call, Location where);

/// Samples with the weights that their classes have.
Batch with_weights(Batch data, const std::map<int64_t, double>& class_weight, std::string_view call, Location where);

/// Takes the last part of samples out for validation.
Batch split_off(Batch& data, double part, Location where);

/// Batches of `size` samples, the last one of what is left; with a seed in another order for each epoch.
class SampleBatches final : public BatchRange {
 public:
  SampleBatches(Batch data, int64_t size, std::optional<uint64_t> seed)
      : data_(std::move(data)), size_(size), seed_(seed) {}
  std::unique_ptr<BatchWalk> walk(uint64_t epoch) override;
  int64_t count() const override;
  /// Another seed, if there is one.
  void set_seed(uint64_t seed) {
    if (seed_) seed_ = seed;
  }

 private:
  class Walk;
  const Batch data_;
  const int64_t size_;
  std::optional<uint64_t> seed_;
};

}  // namespace etch::detail
