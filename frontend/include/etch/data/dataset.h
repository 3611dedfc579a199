// Dataset: a sequence of elements that is made while it is consumed.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/data/batch_stages.h"
#include "etch/data/cache_stages.h"
#include "etch/data/combine_stages.h"
#include "etch/data/element_stages.h"
#include "etch/data/iterator.h"
#include "etch/data/order_stages.h"
#include "etch/data/source_stages.h"
#include "etch/data/stage.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {

struct MapOptions {
  int parallel = 1;                 // threads; 1: none, the consumer calls; or AUTOTUNE
  std::vector<ElementSpec> spec{};  // all types that a host callable's results have; each is checked
};

struct BatchOptions {
  bool drop_remainder = false;  // the last batch is left out if it is not full
};

struct PaddedBatchOptions {
  bool drop_remainder = false;
  std::vector<Shape> shapes{};    // that tensors of an element are filled up to; -1: the batch's longest; empty: all so
  std::vector<Number> padding{};  // what they are filled with, in order; empty: zeros
};

struct WindowOptions {
  int64_t shift = 0;   // from the first element of a window to that of the next; 0: the window's size
  int64_t stride = 1;  // from an element of a window to the next
  bool drop_remainder = false;
};

struct ShuffleOptions {
  std::optional<uint64_t> seed{};  // by default random::next_seed()
  bool reshuffle_each_iteration = true;  // another order in each epoch
};

struct InterleaveOptions {
  int64_t cycle_length = 4;   // data sets that are open at a time
  int64_t block_length = 1;   // elements of one before the next one's turn
  int parallel = 1;           // of those, how many are read ahead by a thread each; 1: none; or AUTOTUNE, all
  std::vector<ElementSpec> spec{};  // all types that elements have, where that is to be known
};

struct BucketOptions {
  bool pad_to_bucket_boundary = false;  // to the boundary - 1, not the longest; Error for an element beyond the last
  bool no_padding = false;              // elements of one bucket have one shape already
  bool drop_remainder = false;
  std::vector<Shape> shapes{};    // as in PaddedBatchOptions
  std::vector<Number> padding{};
};

struct CacheOptions {
  std::string path{};                         // of a file; empty: in memory
  int64_t max_bytes = int64_t{4} << 30;  // in memory, roughly; Error beyond
};

struct SampleOptions {
  std::vector<double> weights{};   // one for each data set; empty: all alike
  std::optional<uint64_t> seed{};  // by default random::next_seed()
  bool stop_on_empty_dataset = false;  // true: the first one that ends ends all; false: the others go on
};

struct ChooseOptions {
  bool stop_on_empty_dataset = true;
};

struct GeneratorOptions {
  std::vector<ElementSpec> spec{};  // all types that elements have, where that is to be known; each element is checked
  int64_t cardinality = UNKNOWN_CARDINALITY;
};

namespace detail {
uint64_t seed_or_next(std::optional<uint64_t> seed);
/// Error unless it is 1 or more.
void check_positive(std::string_view op, std::string_view what, int64_t value, Location where);
void check_not_negative(std::string_view op, std::string_view what, int64_t value, Location where);
void check_spec_of_tensors(std::string_view op, const std::vector<ElementSpec>& spec, int num_tensors, Location where);

template <class T>
inline constexpr bool kIsDataset = false;
template <class T>
inline constexpr bool kIsDataset<Dataset<T>> = true;
}  // namespace detail

/// A sequence of elements of type T (Tensor; tuples, pairs, arrays and plain structs of tensors and host values;
/// numbers; strings; anything that can be default-made and moved) that is made while it is consumed: lazy, streaming,
/// in memory bounded by the buffers of its stages. A value: copies share the description, each walk is on its own.
/// TensorFlow's names and semantics (tf.data), with these differences:
///
/// - Elements are typed, so numbers stay numbers of C++: range gives int64_t, which convert to Tensor; as_tensors()
///   makes tensors of them. batch makes tensors of numbers and std::vectors of strings.
/// - Which epoch a walk is, is said: `for (auto [x, y] : dataset.epoch(2))`; a plain `for` is epoch 0. In TensorFlow a
///   data set counts its walks.
/// - Nothing depends on threads: results keep their order, random numbers are made of (seed, epoch, element's index).
/// - Callables are called as const. A host callable may not read a Variable; an etch::function is compiled, reads
///   variables as they stood when the iterator was made, and may not assign any.
///
///   auto rows = data::from_tensor_slices(std::pair(images, labels));
///   for (auto [x, y] : rows.shuffle(1000, {.seed = 1}).batch(32).prefetch(2)) step(x, y);
template <class T>
class Dataset {
 public:
  using value_type = T;
  static_assert(std::is_default_constructible_v<T> && std::is_move_assignable_v<T>,
                "etch: an element of a data set is a type that can be default-made and moved");

  /// Holds nothing: takes assignments, and all else is an Error.
  Dataset() = default;
  /// Of a source or transform of one's own (etch/data/stage.h).
  explicit Dataset(StageRef<T> stage) : stage_(std::move(stage)) {}
  const StageRef<T>& stage(Location where = Location::current()) const {
    if (!stage_) [[unlikely]] detail::fail_empty_dataset(where);
    return stage_;
  }

  /// As an argument of a traced function, or a member of its object, a data set is known by its identity: with another one the
  /// function is traced again.
  uint64_t etch_identity() const { return stage_ ? stage_->number() : 0; }

  // ---- Consuming.

  /// A walk. Functions of the pipeline take variables as they stand now; threads start at the first element. Error inside of a
  /// traced function, where it would be made once: make it outside, or loop by `for`.
  Iterator<T> iterator(IteratorOptions options = {}, Location where = Location::current()) const {
    etch::detail::fail_if_recorded("making an iterator", where);
    return Iterator<T>(stage(where), options);
  }
  /// `for (auto [x, y] : dataset)` goes over epoch 0. In a traced function it is one loop of the compiled function, whose walk begins
  /// and ends with the loop, at each call; nothing is read while the function is traced. Elements must be of tensors alone there, and
  /// their types be known: see element_spec. Functions of the pipeline must not read variables that the traced one assigns.
  auto begin(Location where = Location::current()) const { return detail::ForIterator<T>(stage(where), 0, where); }
  std::default_sentinel_t end() const { return {}; }

  /// The same data set as a range whose walks are epoch `epoch`; in a traced function that may be a tensor of one integer.
  auto epoch(uint64_t epoch, Location where = Location::current()) const { return detail::EpochOf<T>(stage(where), epoch); }
  auto epoch(const Tensor& epoch, Location where = Location::current()) const {
    return detail::EpochOf<T>(stage(where), detail::Epoch(epoch, where));
  }
  /// `state = f(state, element)` for each element of an epoch, from `initial` on; gives the last state.
  template <class State, class F>
  State reduce(State initial, F&& f, IteratorOptions options = {}, Location where = Location::current()) const {
    for (detail::ForIterator<T> walk(stage(where), options.epoch, where); walk != std::default_sentinel; ++walk) {
      initial = f(std::move(initial), std::as_const(*walk));
    }
    return initial;
  }
  /// All elements of an epoch.
  std::vector<T> to_vector(IteratorOptions options = {}, Location where = Location::current()) const {
    Iterator<T> walk = iterator(options, where);
    std::vector<T> elements;
    T element{};
    while (walk.next(element)) elements.push_back(std::move(element));
    return elements;
  }

  // ---- What is known without reading anything.

  /// The number of elements of an epoch, INFINITE_CARDINALITY or UNKNOWN_CARDINALITY.
  int64_t cardinality(Location where = Location::current()) const { return stage(where)->cardinality(); }
  /// All types that elements may have, a closed list; empty if it is not known, and for elements with host values. A
  /// host callable's results are known if its options state them; those of an etch::function are found by tracing it.
  std::vector<ElementSpec> element_spec(Location where = Location::current()) const {
    return stage(where)->element_spec();
  }
  /// `range > map > batch`.
  std::string path(Location where = Location::current()) const { return stage(where)->path(); }

  // ---- Elements one by one.

  /// f of each element; of a tuple or pair f may take the parts. A host callable runs once per element; with
  /// `parallel` threads it must be safe to call from several at once, and the order of results stays. An
  /// etch::function is compiled. Error, with the element's index, where f throws.
  template <class F>
  auto map(F f, MapOptions options = {}, Location where = Location::current()) const {
    using Stage = detail::MapStage<T, F, false>;
    check_map<typename Stage::R>("map", options, where);
    return Dataset<typename Stage::R>(std::make_shared<const Stage>(stage(where), std::move(f), options.parallel,
                                                                    std::move(options.spec), 0, where));
  }
  /// f(element, seed), where the seed of etch::random, u64[3], is made of (seed, epoch, index of the element):
  ///
  ///   dataset.map_random([](Tensor x, Tensor seed) { return x + random::normal(seed, x.shape()); }, 42)
  template <class F>
  auto map_random(F f, uint64_t seed, MapOptions options = {}, Location where = Location::current()) const {
    using Stage = detail::MapStage<T, F, true>;
    check_map<typename Stage::R>("map_random", options, where);
    return Dataset<typename Stage::R>(std::make_shared<const Stage>(stage(where), std::move(f), options.parallel,
                                                                    std::move(options.spec), seed, where));
  }
  /// The elements for which f gives true, or a tensor of one element that is true.
  template <class F>
  Dataset filter(F f, Location where = Location::current()) const {
    return Dataset(std::make_shared<const detail::FilterStage<T, F>>(stage(where), std::move(f), false, where));
  }
  /// The elements before the first one for which f does not give true.
  template <class F>
  Dataset take_while(F f, Location where = Location::current()) const {
    return Dataset(std::make_shared<const detail::FilterStage<T, F>>(stage(where), std::move(f), true, where));
  }
  /// `(state, y) = f(state, element)`, a std::pair, from `initial` on; gives each y. The state is a part of
  /// iterators' states.
  template <class State, class F>
  auto scan(State initial, F f, Location where = Location::current()) const {
    using Stage = detail::ScanStage<T, State, F>;
    return Dataset<typename Stage::R>(
        std::make_shared<const Stage>(stage(where), std::move(initial), std::move(f), where));
  }
  /// Each element with its number, from `start` on.
  Dataset<std::tuple<int64_t, T>> enumerate(int64_t start = 0, Location where = Location::current()) const {
    const StageRef<T>& input = stage(where);
    if (input->random_access()) {
      const StageRef<int64_t> numbers = std::make_shared<const detail::RangeStage>(start, 1, input->cardinality());
      return Dataset<std::tuple<int64_t, T>>(detail::zip_of<int64_t, T>(numbers, input));
    }
    return Dataset<std::tuple<int64_t, T>>(std::make_shared<const detail::EnumerateStage<T>>(input, start));
  }
  /// The same with numbers as tensors of rank 0, which a traced function can take.
  auto as_tensors(Location where = Location::current()) const {
    return map([](T element) { return detail::tensored(std::move(element)); }, {}, where);
  }
  /// States the types of all elements, where they are not known; an element of another type is an Error that names it
  /// and both.
  Dataset with_spec(std::vector<ElementSpec> spec, Location where = Location::current()) const {
    static_assert(detail::kIsTensors<T>, "etch: with_spec takes a data set whose elements are tensors");
    detail::check_spec_of_tensors("with_spec", spec, detail::count_tensors<T>(), where);
    return Dataset(std::make_shared<const detail::StatedStage<T>>(stage(where), std::move(spec), std::nullopt));
  }
  /// States the cardinality, where it is not known; another number of elements is an Error.
  Dataset assert_cardinality(Integer cardinality, Location where = Location::current()) const {
    return Dataset(std::make_shared<const detail::StatedStage<T>>(stage(where), std::nullopt, cardinality));
  }
  /// Leaves out elements that are Errors. Those of a source that cannot go on end the data set.
  Dataset ignore_errors(bool log_warning = false, Location where = Location::current()) const {
    return Dataset(std::make_shared<const detail::IgnoreErrorsStage<T>>(stage(where), log_warning));
  }

  // ---- Batches.

  /// `size` elements together: their tensors and numbers stacked along a new first axis, strings and other values as
  /// std::vectors. The last one has what is left. Error that names the element and both types where they differ.
  auto batch(Integer size, BatchOptions options = {}, Location where = Location::current()) const {
    detail::check_positive("batch", "size", size, where);
    return Dataset<detail::BatchedOf<T>>(
        std::make_shared<const detail::BatchStage<T>>(stage(where), size, options.drop_remainder));
  }
  /// The same of tensors that have one rank but different extents: they are filled up.
  auto padded_batch(Integer size, PaddedBatchOptions options = {}, Location where = Location::current()) const {
    detail::check_positive("padded_batch", "size", size, where);
    return Dataset<detail::TensoredOf<T>>(std::make_shared<const detail::PaddedBatchStage<T>>(
        stage(where), size, options.drop_remainder,
        detail::Padding{std::move(options.shapes), std::move(options.padding)}));
  }
  /// The rows of each element: of tensors along the first axis, of std::vectors their elements.
  auto unbatch(Location where = Location::current()) const {
    return Dataset<detail::UnbatchedOf<T>>(std::make_shared<const detail::UnbatchStage<T>>(stage(where)));
  }
  /// Batches of another size.
  auto rebatch(Integer size, BatchOptions options = {}, Location where = Location::current()) const {
    detail::check_positive("rebatch", "size", size, where);
    return unbatch(where).batch(size, options, where);
  }
  /// Windows over the elements, each a data set of `size` of them, fewer at the end.
  Dataset<Dataset<T>> window(Integer size, WindowOptions options = {}, Location where = Location::current()) const {
    detail::check_positive("window", "size", size, where);
    if (options.shift == 0) options.shift = size;
    detail::check_positive("window", "shift", options.shift, where);
    detail::check_positive("window", "stride", options.stride, where);
    const detail::WindowShape shape{size, options.shift, options.stride, options.drop_remainder};
    return Dataset<Dataset<T>>(std::make_shared<const detail::WindowStage<T>>(stage(where), shape));
  }
  /// Puts elements of one `key(element)`, an integer, together; of each `window_size` of them `reduce(key, window)`,
  /// which gets a data set, makes a data set whose elements follow. What is left at the end comes by ascending keys.
  template <class Key, class Reduce>
  auto group_by_window(Key key, Reduce reduce, Integer window_size, Location where = Location::current()) const {
    detail::check_positive("group_by_window", "window_size", window_size, where);
    return group(
        "group_by_window", std::move(key), std::move(reduce), [n = int64_t{window_size}](int64_t) { return n; }, where);
  }
  /// The same with a window's size for each key.
  template <class Key, class Reduce, class Size>
    requires(std::is_invocable_r_v<int64_t, const Size&, int64_t> && !std::is_convertible_v<Size, Integer>)
  auto group_by_window(Key key, Reduce reduce, Size window_size_of, Location where = Location::current()) const {
    return group("group_by_window", std::move(key), std::move(reduce), std::move(window_size_of), where);
  }
  /// Padded batches of elements of similar length: `length(element)` below boundaries[0], from there to below
  /// boundaries[1], ... with a batch size for each, one more than boundaries.
  template <class Length>
  Dataset<detail::TensoredOf<T>> bucket_by_sequence_length(Length length, std::vector<int64_t> boundaries,
                                                           std::vector<int64_t> batch_sizes, BucketOptions options = {},
                                                           Location where = Location::current()) const {
    detail::check_buckets(boundaries, batch_sizes, where);
    auto key = [length = std::move(length), boundaries](const T& element) {
      return detail::bucket_of(detail::key_of(detail::call(length, element)), boundaries);
    };
    auto size = [batch_sizes](int64_t bucket) { return batch_sizes[static_cast<size_t>(bucket)]; };
    auto reduce = [=](int64_t bucket, const Dataset& window) -> Dataset<detail::TensoredOf<T>> {
      const int64_t batch_size = batch_sizes[static_cast<size_t>(bucket)];
      if constexpr (std::is_same_v<detail::BatchedOf<T>, detail::TensoredOf<T>>) {
        if (options.no_padding) return window.batch(batch_size, {.drop_remainder = options.drop_remainder});
      }
      detail::Padding padding{options.shapes, options.padding};
      if (options.pad_to_bucket_boundary)
        detail::pad_to_boundary(padding, bucket, boundaries, window.stage_->element_spec());
      return Dataset<detail::TensoredOf<T>>(std::make_shared<const detail::PaddedBatchStage<T>>(
          window.stage_, batch_size, options.drop_remainder, std::move(padding)));
    };
    return group("bucket_by_sequence_length", std::move(key), std::move(reduce), std::move(size), where);
  }

  // ---- Order and choice.

  /// Elements in random order: each is chosen in a buffer of the next `buffer_size`. A full shuffle needs as many as
  /// there are; over a source with random access the buffer holds only their numbers.
  Dataset shuffle(Integer buffer_size, ShuffleOptions options = {}, Location where = Location::current()) const {
    detail::check_positive("shuffle", "buffer_size", buffer_size, where);
    return Dataset(std::make_shared<const detail::ShuffleStage<T>>(
        stage(where), buffer_size, detail::seed_or_next(options.seed), options.reshuffle_each_iteration));
  }
  /// The elements `count` times, without end for -1. Each time is an epoch of its own.
  Dataset repeat(Integer count = -1, Location where = Location::current()) const {
    return Dataset(std::make_shared<const detail::RepeatStage<T>>(stage(where), count));
  }
  /// The first `count` elements; all for -1.
  Dataset take(Integer count, Location where = Location::current()) const {
    return Dataset(detail::part_of(stage(where), "take", 0, 1, count < 0 ? -1 : int64_t{count}));
  }
  /// All but the first `count` elements; no element for -1.
  Dataset skip(Integer count, Location where = Location::current()) const {
    return Dataset(detail::part_of(stage(where), "skip", count < 0 ? INT64_MAX : int64_t{count}, 1, -1));
  }
  /// Every num_shards-th element, from number `index` on.
  Dataset shard(Integer num_shards, Integer index, Location where = Location::current()) const {
    detail::check_positive("shard", "num_shards", num_shards, where);
    detail::check_not_negative("shard", "index", index, where);
    if (index >= num_shards) detail::fail_argument("shard", "index, which must be below num_shards,", index, where);
    return Dataset(detail::part_of(stage(where), "shard", index, num_shards, -1));
  }
  /// The elements of this, then those of another one.
  Dataset concatenate(const Dataset& other, Location where = Location::current()) const {
    return Dataset(std::make_shared<const detail::ConcatenateStage<T>>(std::vector{stage(where), other.stage(where)}));
  }
  /// The elements of f(element), a data set, one after the other.
  template <class F>
  auto flat_map(F f, std::vector<ElementSpec> spec = {}, Location where = Location::current()) const {
    using Stage = detail::InterleaveStage<T, F>;
    return Dataset<typename Stage::R>(std::make_shared<const Stage>(
        stage(where), std::move(f), detail::InterleaveShape{1, 1, 1}, "flat_map", std::move(spec), where));
  }
  /// The elements of f(element), data sets, of which `cycle_length` take turns.
  template <class F>
  auto interleave(F f, InterleaveOptions options = {}, Location where = Location::current()) const {
    using Stage = detail::InterleaveStage<T, F>;
    detail::check_positive("interleave", "cycle_length", options.cycle_length, where);
    detail::check_positive("interleave", "block_length", options.block_length, where);
    detail::check_threads("interleave", options.parallel, where);
    return Dataset<typename Stage::R>(std::make_shared<const Stage>(
        stage(where), std::move(f),
        detail::InterleaveShape{options.cycle_length, options.block_length, options.parallel}, "interleave",
        std::move(options.spec), where));
  }

  // ---- Speed.

  /// A thread takes up to `buffer_size` elements ahead of the consumer, or as many as it takes with AUTOTUNE, up to
  /// 256.
  Dataset prefetch(Integer buffer_size = AUTOTUNE, Location where = Location::current()) const {
    if (buffer_size != AUTOTUNE) detail::check_positive("prefetch", "buffer_size", buffer_size, where);
    return Dataset(std::make_shared<const detail::PrefetchStage<T>>(stage(where), buffer_size));
  }
  /// Keeps the elements of the first whole walk, in memory or in a file, for those after it; those of epoch 0,
  /// whichever walk it is. A file is there when it is whole, and is refused by another pipeline; delete it when the
  /// source has changed.
  Dataset cache(CacheOptions options = {}, Location where = Location::current()) const {
    if (options.path.empty()) {
      detail::check_positive("cache", "max_bytes", options.max_bytes, where);
      return Dataset(std::make_shared<const detail::CacheStage<T>>(stage(where), options.max_bytes));
    }
    if constexpr (detail::kSavable<T>) {
      return Dataset(std::make_shared<const detail::FileCacheStage<T>>(stage(where), std::move(options.path)));
    } else {
      detail::fail_cache_type(where);
    }
  }

  /// f(*this): for transforms of one's own.
  template <class F>
  auto apply(F&& f) const {
    return std::invoke(static_cast<F&&>(f), *this);
  }

 private:
  template <class R>
  static void check_map(std::string_view op, const MapOptions& options, Location where) {
    detail::check_threads(op, options.parallel, where);
    detail::check_spec_of_tensors(op, options.spec, detail::count_tensors<R>(), where);
  }
  template <class Key, class Reduce, class Size>
  auto group(std::string_view name, Key key, Reduce reduce, Size size, Location where) const {
    using Stage = detail::GroupStage<T, Key, Reduce, Size>;
    return Dataset<typename Stage::R>(
        std::make_shared<const Stage>(stage(where), std::move(key), std::move(reduce), std::move(size), name, where));
  }

  StageRef<T> stage_;
};

// ---- Sources.

/// One element: the value.
template <class T>
Dataset<T> from_tensors(T value) {
  return Dataset<T>(std::make_shared<const detail::ListStage<T>>(std::vector<T>{std::move(value)}, "from_tensors"));
}

/// The rows of tensors along their first axis, in tuples, pairs and structs side by side; of std::vectors their
/// elements. Random access. Error unless all have the same number of rows.
template <class T>
Dataset<detail::UnbatchedOf<T>> from_tensor_slices(T value) {
  return Dataset<detail::UnbatchedOf<T>>(std::make_shared<const detail::SlicesStage<T>>(std::move(value)));
}

/// start, start + step, ... before stop.
inline Dataset<int64_t> range(Integer start, Integer stop, Integer step = 1, Location where = Location::current()) {
  const int64_t count = detail::count_of_range(start, stop, step, where);
  return Dataset<int64_t>(std::make_shared<const detail::RangeStage>(start, step, count));
}
/// 0, 1, ... before stop.
inline Dataset<int64_t> range(Integer stop, Location where = Location::current()) { return range(0, stop, 1, where); }

/// What a callable gives, a std::optional<T>, until that is empty. Each walk calls a copy of it, from the beginning:
///
///   data::from_generator([i = 0]() mutable { return i < 10 ? std::optional(Tensor(i++)) : std::nullopt; })
///
/// If it has `save_state() const` and `restore_state(const SavedState&)`, iterators save it; else they replay it.
template <class F>
auto from_generator(F f, GeneratorOptions options = {}, Location where = Location::current()) {
  using Given = std::invoke_result_t<F&>;
  static_assert(etch::detail::OptionalLike<Given> && std::is_copy_constructible_v<F>,
                "etch: a generator is a callable that can be copied and gives a std::optional of an element");
  using T = typename Given::value_type;
  detail::check_spec_of_tensors("from_generator", options.spec, detail::count_tensors<T>(), where);
  return Dataset<T>(
      std::make_shared<const detail::GeneratorStage<T, F>>(std::move(f), std::move(options.spec), options.cardinality));
}

/// The elements of a range of C++ that can be walked more than once, which is copied or moved (a view shows what it
/// shows then). Random access where the range has it.
template <std::ranges::viewable_range Range>
auto from_range(Range&& range) {
  using Own = std::remove_cvref_t<Range>;
  static_assert(std::ranges::forward_range<detail::WalkedRange<Own>> && std::is_copy_constructible_v<Own>,
                "etch: from_range takes a range that can be copied and walked more than once; use from_generator");
  using T = std::ranges::range_value_t<detail::WalkedRange<Own>>;
  if constexpr (std::ranges::random_access_range<const Own> && std::ranges::sized_range<const Own>) {
    return Dataset<T>(std::make_shared<const detail::IndexedRangeStage<Own>>(static_cast<Range&&>(range)));
  } else {
    return Dataset<T>(std::make_shared<const detail::RangeOfStage<Own>>(static_cast<Range&&>(range)));
  }
}

/// The elements side by side, until the first one ends.
template <class... T>
Dataset<std::tuple<T...>> zip(const Dataset<T>&... datasets) {
  static_assert(sizeof...(T) > 0, "etch: zip takes data sets");
  return Dataset<std::tuple<T...>>(detail::zip_of<T...>(datasets.stage()...));
}

/// Elements of several data sets, the next one's chosen by chance.
template <class T>
Dataset<T> sample_from_datasets(const std::vector<Dataset<T>>& datasets, SampleOptions options = {},
                                Location where = Location::current()) {
  std::vector<StageRef<T>> stages;
  for (const Dataset<T>& dataset : datasets) stages.push_back(dataset.stage(where));
  if (options.weights.empty()) options.weights.assign(datasets.size(), 1.0);
  detail::check_weights(options.weights, datasets.size(), where);
  return Dataset<T>(std::make_shared<const detail::ChooseStage<T>>(
      std::move(stages), nullptr, std::move(options.weights), detail::seed_or_next(options.seed),
      options.stop_on_empty_dataset));
}

/// Elements of several data sets, the next one's by the numbers of `choices`.
template <class T>
Dataset<T> choose_from_datasets(const std::vector<Dataset<T>>& datasets, const Dataset<int64_t>& choices,
                                ChooseOptions options = {}, Location where = Location::current()) {
  std::vector<StageRef<T>> stages;
  for (const Dataset<T>& dataset : datasets) stages.push_back(dataset.stage(where));
  detail::check_positive("choose_from_datasets", "number of data sets", static_cast<int64_t>(stages.size()), where);
  return Dataset<T>(std::make_shared<const detail::ChooseStage<T>>(
      std::move(stages), choices.stage(where), std::vector<double>(), 0, options.stop_on_empty_dataset));
}

}  // namespace data
}  // namespace etch
