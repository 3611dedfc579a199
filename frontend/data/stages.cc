// Stages: what does not depend on the type of elements.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "compiler/ir/cat.h"
#include "etch/control_flow.h"
#include "etch/data/dataset.h"
#include "etch/random.h"
#include "frontend/flags.h"
#include "frontend/tensor_impl.h"

namespace etch::data::detail {

using etch::detail::fail;
using etch::detail::TensorAccess;
using etch::detail::TensorImpl;

// ---- Random numbers: two rounds of the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", 2014).

namespace {

uint64_t scramble(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

uint64_t mix(uint64_t a, uint64_t b) { return scramble(scramble(a + 0x9e3779b97f4a7c15u) + b * 0x9e3779b97f4a7c15u); }

Tensor seed_of(uint64_t key, int64_t index) {
  return Tensor(std::array<uint64_t, 3>{0, static_cast<uint64_t>(index), key});
}

uint64_t seed_or_next(std::optional<uint64_t> seed) { return seed ? *seed : random::next_seed(); }

// ---- Checks of arguments and elements.

void fail_argument(std::string_view op, std::string_view what, int64_t value, Location where) {
  fail(where, cat(op, ": ", what, " is ", value));
}

void check_positive(std::string_view op, std::string_view what, int64_t value, Location where) {
  if (value < 1) fail_argument(op, cat(what, ", which must be 1 or more,"), value, where);
}

void check_not_negative(std::string_view op, std::string_view what, int64_t value, Location where) {
  if (value < 0) fail_argument(op, cat(what, ", which must not be negative,"), value, where);
}

void check_threads(std::string_view op, int threads, Location where) {
  if (threads == AUTOTUNE) return;
  if (threads < 1 || threads > etch::detail::kMaxThreads) {
    fail_argument(op, cat("parallel, which must be 1 to ", etch::detail::kMaxThreads, " or AUTOTUNE,"), threads, where);
  }
}

void check_spec_of_tensors(std::string_view op, const std::vector<ElementSpec>& spec, int num_tensors, Location where) {
  if (spec.empty()) return;
  if (num_tensors < 0) fail(where, cat(op, ": a spec is stated, but the elements are not of tensors alone"));
  for (const ElementSpec& one : spec) {
    if (static_cast<int>(one.tensors.size()) == num_tensors) continue;
    fail(where, cat(op, ": a stated type, ", to_string(one), ", has ", one.tensors.size(),
                    " tensors where elements have ", num_tensors));
  }
}

void check_spec(const ElementSpec& spec, const std::vector<ElementSpec>& stated) {
  if (std::ranges::find(stated, spec) != stated.end()) return;
  std::string types;
  for (const ElementSpec& one : stated) types += cat(types.empty() ? "" : " or ", "(", to_string(one), ")");
  throw Error(cat("it is (", to_string(spec), "), but ", types, " is stated"));
}

std::vector<ElementSpec> spec_in_trace(const StageBase& stage) {
  return init_scope([&] { return stage.element_spec(); });
}

Epoch::Epoch(const Tensor& tensor, Location where) : tensor_(tensor) {
  const DType dtype = tensor.dtype(where);
  if (tensor.size(where) != 1 || (dtype != DType::i32 && dtype != DType::i64)) {
    fail(where, cat("the epoch of a data set is one integer, i32 or i64, not ", to_string(Type{dtype, tensor.shape(where)})));
  }
  if (etch::detail::is_element_loop_recorded()) return;
  number_ = static_cast<uint64_t>(cast(tensor, DType::i64).item<int64_t>());
}

Tensor Epoch::tensor() const { return tensor_.defined() ? tensor_ : Tensor(static_cast<int64_t>(number_)); }

void fail_empty_dataset(Location where) { fail(where, "the data set holds nothing: it was made by default; assign one first"); }

void fail_empty_iterator() {
  throw Error("the iterator holds nothing: it was made by default or moved from; assign one first");
}

void rethrow_with_path(const StageBase& stage, int64_t position) {
  const auto rethrow = [&](const std::exception& error, bool names_element) {
    const std::string element = names_element ? std::string() : cat("element ", position, ": ");
    std::throw_with_nested(Error(cat(stage.path(), ": ", element, error.what())));
  };
  try {
    throw;
  } catch (const InternalError&) {
    throw;
  } catch (const ElementError& error) {
    rethrow(error, true);
  } catch (const std::exception& error) {
    rethrow(error, false);
  } catch (...) {
    rethrow(std::runtime_error("something that is no std::exception was thrown"), false);
  }
  __builtin_unreachable();
}

void check_saved(const SavedState& state, const StageBase& stage) {
  const auto& saved = state.get<std::string>("pipeline");
  if (saved == stage.path()) return;
  throw Error(cat("a state of the data set ", saved, " cannot be restored by one of ", stage.path()));
}

void warn_ignored(const std::string& path) {
  try {
    throw;
  } catch (const std::exception& error) {
    etch::detail::warn(cat(path, " leaves out an element: ", error.what()));
  } catch (...) {
    etch::detail::warn(cat(path, " leaves out an element"));
  }
}

void fail_cardinality(int64_t stated, int64_t found, bool has_more) {
  throw Error(
      cat("assert_cardinality: ", stated, " elements are stated, but there are ", found, has_more ? " or more" : ""));
}

// ---- Cardinalities and types.

int64_t repeated_cardinality(int64_t elements, int64_t count) {
  if (elements == 0 || count == 0) return 0;
  if (count < 0) return elements == UNKNOWN_CARDINALITY ? UNKNOWN_CARDINALITY : INFINITE_CARDINALITY;
  if (elements < 0) return elements;
  int64_t product = 0;
  return __builtin_mul_overflow(elements, count, &product) ? INFINITE_CARDINALITY : product;
}

int64_t cardinality_of_part(int64_t elements, int64_t start, int64_t step, int64_t most) {
  if (elements == UNKNOWN_CARDINALITY) return most == 0 ? 0 : UNKNOWN_CARDINALITY;
  if (elements == INFINITE_CARDINALITY) return most < 0 ? INFINITE_CARDINALITY : most;
  const int64_t left = std::max<int64_t>(0, elements - start);
  const int64_t count = left / step + (left % step != 0);
  return most < 0 ? count : std::min(count, most);
}

int64_t sum_of_cardinalities(std::span<const int64_t> cardinalities) {
  int64_t sum = 0;
  for (int64_t count : cardinalities) {
    if (count == INFINITE_CARDINALITY) return INFINITE_CARDINALITY;
  }
  for (int64_t count : cardinalities) {
    if (count < 0 || __builtin_add_overflow(sum, count, &sum)) return UNKNOWN_CARDINALITY;
  }
  return sum;
}

int64_t least_cardinality(std::span<const int64_t> cardinalities) {
  int64_t least = INFINITE_CARDINALITY;
  for (int64_t count : cardinalities) {
    if (count == UNKNOWN_CARDINALITY) return UNKNOWN_CARDINALITY;
    if (count >= 0 && (least < 0 || count < least)) least = count;
  }
  return least;
}

int64_t num_windows(int64_t elements, const WindowShape& shape) {
  if (elements < 0) return elements;
  const int64_t span = shape.drops ? (shape.size - 1) * shape.stride + 1 : 1;
  return elements < span ? 0 : (elements - span) / shape.shift + 1;
}

namespace {

void add_new(std::vector<ElementSpec>& specs, ElementSpec spec) {
  if (std::ranges::find(specs, spec) == specs.end()) specs.push_back(std::move(spec));
}

/// Adds the extents that batches have; false if they are not known.
bool batch_extents(int64_t elements, int64_t size, bool drops, std::vector<int64_t>& extents) {
  if (elements == UNKNOWN_CARDINALITY && !drops) return false;
  if (drops || elements < 0 || elements >= size) extents.push_back(size);
  if (!drops && elements >= 0 && elements % size != 0) extents.push_back(elements % size);
  return true;
}

std::vector<ElementSpec> with_first_extents(const std::vector<ElementSpec>& specs,
                                            const std::vector<int64_t>& extents) {
  std::vector<ElementSpec> batches;
  for (int64_t extent : extents) {
    for (const ElementSpec& spec : specs) {
      ElementSpec batch = spec;
      for (TensorSpec& tensor : batch.tensors) {
        if (tensor.shape.rank() == kMaxRank) return {};
        tensor.shape.insert(0, extent);
      }
      add_new(batches, std::move(batch));
    }
  }
  return batches;
}

}  // namespace

std::vector<ElementSpec> batched_spec(const std::vector<ElementSpec>& specs, int64_t elements, int64_t size,
                                      bool drops) {
  std::vector<int64_t> extents;
  if (!batch_extents(elements, size, drops, extents)) return {};
  return with_first_extents(specs, extents);
}

std::vector<ElementSpec> padded_spec(const std::vector<ElementSpec>& specs, const Padding& padding, int64_t elements,
                                     int64_t size, bool drops) {
  std::vector<int64_t> extents;
  if (!batch_extents(elements, size, drops, extents)) return {};
  std::vector<ElementSpec> padded = specs;
  const bool are_alike = specs.size() == 1;  // then the longest of a batch is known
  for (ElementSpec& spec : padded) {
    for (size_t i = 0; i < spec.tensors.size(); ++i) {
      Shape& shape = spec.tensors[i].shape;
      for (int axis = 0; axis < shape.rank(); ++axis) {
        const bool is_stated =
            i < padding.shapes.size() && axis < padding.shapes[i].rank() && padding.shapes[i][axis] >= 0;
        if (is_stated) shape[axis] = padding.shapes[i][axis];
        if (!is_stated && !are_alike) return {};
      }
    }
  }
  std::vector<ElementSpec> unique;
  for (ElementSpec& spec : padded) add_new(unique, std::move(spec));
  return with_first_extents(unique, extents);
}

std::vector<ElementSpec> unbatched_spec(const std::vector<ElementSpec>& specs) {
  std::vector<ElementSpec> rows;
  for (ElementSpec spec : specs) {
    for (TensorSpec& tensor : spec.tensors) {
      if (tensor.shape.rank() == 0) return {};
      tensor.shape.erase(0);
    }
    add_new(rows, std::move(spec));
  }
  return rows;
}

std::vector<ElementSpec> zipped_spec(const std::vector<ElementSpec>& a, const std::vector<ElementSpec>& b) {
  std::vector<ElementSpec> pairs;
  for (const ElementSpec& x : a) {
    for (const ElementSpec& y : b) {
      ElementSpec pair = x;
      pair.tensors.insert(pair.tensors.end(), y.tensors.begin(), y.tensors.end());
      pairs.push_back(std::move(pair));
    }
  }
  return pairs;
}

// ---- padded_batch

namespace {

/// What a tensor of padded rows is filled up to.
Shape padded_shape(std::span<const Tensor> rows, const Padding& padding, size_t tensor) {
  Shape shape = rows[0].shape();
  const bool is_stated = tensor < padding.shapes.size();
  if (is_stated && padding.shapes[tensor].rank() != shape.rank()) {
    throw Error(cat("padded_batch: the shape ", to_string(padding.shapes[tensor]), " is stated for tensor ", tensor,
                    ", but an element has ", to_string(shape)));
  }
  for (const Tensor& row : rows) {
    const Shape& extents = row.shape();
    if (row.dtype() != rows[0].dtype() || extents.rank() != shape.rank()) {
      throw Error(cat("padded_batch: an element has ", to_string(Type{row.dtype(), extents}),
                      " where the first of its batch has ", to_string(Type{rows[0].dtype(), rows[0].shape()}),
                      "; only extents may differ"));
    }
    for (int axis = 0; axis < shape.rank(); ++axis) shape[axis] = std::max(shape[axis], extents[axis]);
  }
  for (int axis = 0; is_stated && axis < shape.rank(); ++axis) {
    const int64_t stated = padding.shapes[tensor][axis];
    if (stated < 0) continue;
    if (stated < shape[axis]) {
      throw Error(cat("padded_batch: an extent of ", shape[axis], " is beyond that of the stated shape ",
                      to_string(padding.shapes[tensor])));
    }
    shape[axis] = stated;
  }
  return shape;
}

void copy_into(const TensorImpl& row, const Shape& shape, std::byte* to) {
  const auto size = static_cast<size_t>(size_of(row.dtype));
  if (row.bytes() == 0) return;
  if (row.shape == shape) {
    std::memcpy(to, row.data, static_cast<size_t>(row.bytes()));
    return;
  }
  const int rank = shape.rank();
  const size_t run = static_cast<size_t>(row.shape[rank - 1]) * size;
  const Dims strides = row_major_strides(shape);
  Dims index = Dims::filled(rank, 0);
  const auto* from = static_cast<const std::byte*>(row.data);
  while (true) {
    int64_t offset = 0;
    for (int axis = 0; axis + 1 < rank; ++axis) offset += index[axis] * strides[axis];
    std::memcpy(to + static_cast<size_t>(offset) * size, from, run);
    from += run;
    int axis = rank - 2;
    for (; axis >= 0 && ++index[axis] == row.shape[axis]; --axis) index[axis] = 0;
    if (axis < 0) return;
  }
}

void fill(std::byte* to, int64_t count, uint64_t bits, int64_t size) {
  if (bits == 0) {
    std::memset(to, 0, static_cast<size_t>(count * size));
    return;
  }
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * size, &bits, static_cast<size_t>(size));
}

}  // namespace

Tensor pad_rows(std::span<const Tensor> rows, const Padding& padding, size_t tensor) {
  const Shape row = padded_shape(rows, padding, tensor);
  if (row.rank() == kMaxRank)
    throw Error(cat("padded_batch: elements have ", kMaxRank, " axes, a batch would have one more"));
  Shape shape = row;
  shape.insert(0, static_cast<int64_t>(rows.size()));
  Tensor batch = etch::detail::allocate(rows[0].dtype(), shape, {}, "padded_batch");
  const TensorImpl& impl = *TensorAccess::get(batch);
  const int64_t size = size_of(impl.dtype), count = row.product();
  const bool is_stated = tensor < padding.numbers.size();
  const uint64_t bits =
      is_stated ? etch::detail::number_bits(padding.numbers[tensor], impl.dtype, {}, "padded_batch") : uint64_t{0};
  auto* to = static_cast<std::byte*>(impl.data);
  for (const Tensor& one : rows) {
    if (one.shape() != row) fill(to, count, bits, size);
    copy_into(*TensorAccess::get(one), row, to);
    to += count * size;
  }
  return batch;
}

// ---- Buckets, windows, choices.

int64_t integer_of(const Tensor& key) {
  return dispatch(key.dtype(), [&]<class T>() -> int64_t {
    if constexpr (std::is_integral_v<T>) return static_cast<int64_t>(key.item<T>());
    throw Error(cat("group_by_window: a key is ", name(key.dtype()), "; it must be an integer"));
  });
}

void fail_window_size(int64_t key, int64_t size) {
  throw Error(cat("group_by_window: the window of key ", key, " has ", size, " elements; it must have 1 or more"));
}

int64_t bucket_of(int64_t length, const std::vector<int64_t>& boundaries) {
  return std::ranges::upper_bound(boundaries, length) - boundaries.begin();
}

void check_buckets(const std::vector<int64_t>& boundaries, const std::vector<int64_t>& batch_sizes, Location where) {
  if (batch_sizes.size() != boundaries.size() + 1) {
    fail(where, cat("bucket_by_sequence_length: there are ", boundaries.size(), " boundaries and ", batch_sizes.size(),
                    " batch sizes; there must be one more of these"));
  }
  if (std::ranges::adjacent_find(boundaries, std::greater_equal()) != boundaries.end()) {
    fail(where, "bucket_by_sequence_length: each boundary must be larger than the one before");
  }
  for (int64_t size : batch_sizes) check_positive("bucket_by_sequence_length", "a batch size", size, where);
}

void pad_to_boundary(Padding& padding, int64_t bucket, const std::vector<int64_t>& boundaries,
                     const std::vector<ElementSpec>& specs) {
  if (bucket >= static_cast<int64_t>(boundaries.size())) {
    throw Error(cat("bucket_by_sequence_length: an element is as long as the last boundary, ",
                    boundaries.empty() ? 0 : boundaries.back(),
                    ", or longer, so that it cannot be filled up to one; filter it out or add a boundary"));
  }
  const int64_t extent = boundaries[static_cast<size_t>(bucket)] - 1;
  if (padding.shapes.empty() && !specs.empty()) {  // the first axis is the sequence's
    for (const TensorSpec& tensor : specs[0].tensors) {
      Shape shape = Shape::filled(tensor.shape.rank(), -1);
      if (shape.rank() > 0) shape[0] = extent;
      padding.shapes.push_back(shape);
    }
    return;
  }
  for (Shape& shape : padding.shapes) {
    for (int64_t& stated : shape) {
      if (stated < 0) stated = extent;
    }
  }
}

namespace {

class RandomChooser final : public Chooser {
 public:
  RandomChooser(std::vector<double> weights, uint64_t key) : weights_(std::move(weights)), key_(key) {}
  int64_t next(const std::vector<char>& is_open) override {
    double sum = 0;
    int64_t last = -1;
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (!is_open[i] || weights_[i] <= 0) continue;
      sum += weights_[i];
      last = static_cast<int64_t>(i);
    }
    if (last < 0) return -1;
    double x = random_unit(key_, draws_++) * sum;
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (!is_open[i] || weights_[i] <= 0) continue;
      if (x < weights_[i]) return static_cast<int64_t>(i);
      x -= weights_[i];
    }
    return last;
  }
  void save(SavedState& state) const override { state.set("draws", draws_); }
  void restore(const SavedState& state) override { draws_ = state.get<uint64_t>("draws"); }

 private:
  const std::vector<double> weights_;
  const uint64_t key_;
  uint64_t draws_ = 0;
};

}  // namespace

std::unique_ptr<Chooser> random_chooser(std::vector<double> weights, uint64_t key) {
  return std::make_unique<RandomChooser>(std::move(weights), key);
}

void check_weights(const std::vector<double>& weights, size_t count, Location where) {
  if (count == 0) fail(where, "sample_from_datasets: there are no data sets");
  if (weights.size() != count) {
    fail(where, cat("sample_from_datasets: there are ", weights.size(), " weights for ", count, " data sets"));
  }
  for (double weight : weights) {
    if (!(weight >= 0) || std::isinf(weight)) fail(where, "sample_from_datasets: a weight is negative or not finite");
  }
  if (std::accumulate(weights.begin(), weights.end(), 0.0) <= 0) fail(where, "sample_from_datasets: all weights are 0");
}

void fail_choice(int64_t choice, size_t count) {
  throw Error(cat("choose_from_datasets: the choice ", choice, " is not one of 0 .. ", count - 1));
}

int64_t count_of_range(int64_t start, int64_t stop, int64_t step, Location where) {
  if (step == 0) fail(where, "range: the step is 0");
  if (step > 0 ? start >= stop : start <= stop) return 0;
  const uint64_t distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                     : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  const uint64_t count = (distance - 1) / stride + 1;
  if (count > static_cast<uint64_t>(INT64_MAX)) fail(where, "range: it has more numbers than an int64_t can count");
  return static_cast<int64_t>(count);
}

// ---- Indices in states.

Tensor indices_tensor(const std::vector<int64_t>& indices) { return Tensor(indices); }

std::vector<int64_t> tensor_indices(const Tensor& tensor) { return tensor.to_vector<int64_t>(); }

}  // namespace etch::data::detail
