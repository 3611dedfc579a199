// Folders of pictures as data sets.
#include <algorithm>
#include <cctype>
#include <cmath>

#include "compiler/ir/cat.h"
#include "etch/data/images.h"
#include "etch/ops.h"
#include "etch/random.h"
#include "frontend/files/directory.h"
#include "frontend/files/picture.h"
#include "frontend/tensor_impl.h"

namespace etch::data {
namespace {

using etch::detail::Directory;

constexpr std::string_view kName = "image_dataset_from_directory";
constexpr uint64_t kMostFileBytes = uint64_t{1} << 30;

/// A file below the directory and its class.
struct Sample {
  std::string file;
  int32_t label = 0;
};

class Samples final : public RandomAccess<Sample> {
 public:
  explicit Samples(std::vector<Sample> samples) : samples_(std::move(samples)) {}
  std::string_view name() const override { return kName; }
  int64_t cardinality() const override { return static_cast<int64_t>(samples_.size()); }
  Sample at(int64_t i) const override { return samples_[static_cast<size_t>(i)]; }

 private:
  std::vector<Sample> samples_;
};

bool is_picture(std::string_view name) {
  std::string ending(name.substr(std::min(name.rfind('.'), name.size())));
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

int channels_of(ColorMode mode) { return mode == ColorMode::grayscale ? 1 : mode == ColorMode::rgb ? 3 : 4; }

/// Makes an element of a sample; called from several threads.
class Loader {
 public:
  Loader(std::shared_ptr<const Directory> directory, const ImageDatasetOptions& options, size_t classes)
      : directory_(std::move(directory)), options_(options), classes_(static_cast<int64_t>(classes)) {}

  std::tuple<Tensor, Tensor> operator()(const Sample& sample) const {
    return {picture(sample.file), label(sample.label)};
  }

  ElementSpec spec() const {
    const Dims& size = options_.image_size;
    return {{TensorSpec{DType::f32, {size[0], size[1], channels_of(options_.color_mode)}},
             options_.label_mode == LabelMode::integer ? TensorSpec{DType::i32, {}}
                                                       : TensorSpec{DType::f32, label_shape()}}};
  }

 private:
  Tensor picture(const std::string& file) const {
    const etch::detail::OpenedFile opened = directory_->open(file);
    const std::string path = directory_->path_of(file);
    if (opened.size > kMostFileBytes) {
      etch::detail::fail_reading(path, cat("it has ", opened.size, " bytes, more than the limit of ", kMostFileBytes));
    }
    std::string bytes(opened.size, '\0');
    bytes.resize(etch::detail::read_fully(opened.descriptor, bytes.data(), bytes.size(), path));
    const Tensor pixels = detail::decode_picture(
        bytes, {.channels = channels_of(options_.color_mode), .most_pixels = options_.most_pixels},
        cat("cannot read ", path), {});
    const Tensor floats = cast(pixels, DType::f32);
    const Shape& shape = floats.shape();
    const Dims& size = options_.image_size;
    if (shape[0] == size[0] && shape[1] == size[1]) return floats;
    const Tensor resized = resize(reshape(floats, {1, shape[0], shape[1], shape[2]}), size, options_.interpolation);
    return reshape(resized, {size[0], size[1], shape[2]});
  }

  Shape label_shape() const { return {options_.label_mode == LabelMode::categorical ? classes_ : 1}; }

  Tensor label(int32_t number) const {
    if (options_.label_mode == LabelMode::integer) return Tensor(number);
    std::vector<float> values(static_cast<size_t>(label_shape()[0]), 0.0f);
    if (options_.label_mode == LabelMode::binary) {
      values[0] = static_cast<float>(number);
    } else {
      values[static_cast<size_t>(number)] = 1;
    }
    return Tensor(values);
  }

  std::shared_ptr<const Directory> directory_;
  ImageDatasetOptions options_;
  int64_t classes_;
};

void check(const ImageDatasetOptions& options, Location where) {
  const auto fail = [&](std::string_view reason) { etch::detail::fail(where, cat(kName, ": ", reason)); };
  const Dims& size = options.image_size;
  if (size.rank() != 2 || size[0] < 1 || size[1] < 1) {
    fail(cat("image_size is ", to_string(size), ", but pictures have rows and columns, 1 or more of each"));
  }
  if (options.batch_size < 0) fail(cat("batch_size is ", options.batch_size));
  if (!(options.validation_split >= 0 && options.validation_split < 1)) {
    fail("validation_split is the part that is kept for validation: 0 or more, and below 1");
  }
  if ((options.validation_split > 0) != options.subset.has_value()) {
    fail("validation_split and subset go together: state both or neither");
  }
  if (options.subset && options.shuffle && !options.seed) {
    fail("a subset of shuffled pictures needs a seed, so that training and validation do not share any");
  }
}

/// All pictures in order of class and name.
std::vector<Sample> find_samples(const Directory& directory, const std::vector<std::string>& classes) {
  std::vector<Sample> samples;
  for (size_t i = 0; i < classes.size(); ++i) {
    for (std::string& file : directory.files_below(classes[i], is_picture)) {
      samples.push_back({std::move(file), static_cast<int32_t>(i)});
    }
  }
  return samples;
}

std::vector<Sample> shuffled(std::vector<Sample> samples, uint64_t seed) {
  const Tensor order = random::permutation(Tensor(std::vector<uint64_t>{0, 0, seed}), samples.size());
  std::vector<Sample> result;
  result.reserve(samples.size());
  for (int64_t i : order.data<int64_t>()) result.push_back(std::move(samples[static_cast<size_t>(i)]));
  return result;
}

/// Keras' split: the last ones are for validation.
void take_subset(std::vector<Sample>& samples, const ImageDatasetOptions& options) {
  if (!options.subset) return;
  const auto validation = static_cast<int64_t>(options.validation_split * static_cast<double>(samples.size()));
  const auto split = samples.end() - validation;
  if (*options.subset == Subset::training) {
    samples.erase(split, samples.end());
  } else {
    samples.erase(samples.begin(), split);
  }
}

}  // namespace

ImageDataset image_dataset_from_directory(const std::string& path, ImageDatasetOptions options, Location where) {
  const auto fail = [&](std::string_view reason) { etch::detail::fail(where, cat(kName, ": ", reason)); };
  check(options, where);
  const auto directory = std::make_shared<const Directory>(path);
  std::vector<std::string> classes = directory->folders();
  if (options.label_mode == LabelMode::binary && classes.size() != 2) {
    fail(cat("binary labels tell two classes apart, but ", path, " has ", classes.size(), " folders"));
  }
  std::vector<Sample> samples = find_samples(*directory, classes);
  if (samples.empty()) fail(cat(path, " has no .png, .jpg or .jpeg in its folders"));
  if (options.shuffle && options.seed) samples = shuffled(std::move(samples), *options.seed);
  take_subset(samples, options);
  if (samples.empty()) fail("the subset has no pictures; change validation_split");

  std::vector<std::string> files;
  for (const Sample& sample : samples) files.push_back(directory->path_of(sample.file));
  const auto count = static_cast<int64_t>(samples.size());
  Dataset<Sample> list(std::make_shared<const Samples>(std::move(samples)));
  if (options.shuffle) list = list.shuffle(count, {.seed = options.seed}, where);
  const Loader load(directory, options, classes.size());
  auto pictures = list.map(load, {.parallel = AUTOTUNE, .spec = {load.spec()}}, where);
  if (options.batch_size > 0) pictures = pictures.batch(options.batch_size, {}, where);
  return {std::move(pictures), std::move(classes), std::move(files)};
}

}  // namespace etch::data
