// Pictures: PNG and JPEG decoded and encoded, and folders of them as data sets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "etch/data.h"
#include "etch/nn.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {

struct DecodeImageOptions {
  /// 1 grey, 3 red, green and blue, 4 with alpha; 0 as many as the file has (2 for grey with alpha).
  int channels = 0;
  /// A picture of more pixels is an Error, before memory is taken for it.
  uint64_t most_pixels = uint64_t{1} << 27;
};

/// A PNG as u8[height, width, channels] in sRGB, by libpng's simplified interface: palettes are looked up, 16 bits
/// become 8 (rounded), a gamma chunk is applied, alpha is not multiplied in. Where there are other channels than those
/// asked for, grey is repeated, (19595 r + 38470 g + 7471 b + 32768) / 65536 is grey (ITU-R 601), alpha is dropped or
/// 255. Error for what is no PNG or a corrupt one.
Tensor decode_png(std::string_view bytes, DecodeImageOptions options = {}, Location where = Location::current());
/// A JPEG as u8[height, width, channels], by TurboJPEG with the accurate inverse transform; 2 channels are an Error,
/// alpha is 255. Error for what is no JPEG or a corrupt one, also where other decoders warn and go on, such as at a
/// missing end; for CMYK.
Tensor decode_jpeg(std::string_view bytes, DecodeImageOptions options = {}, Location where = Location::current());
/// decode_png or decode_jpeg, as the bytes begin.
Tensor decode_image(std::string_view bytes, DecodeImageOptions options = {}, Location where = Location::current());
/// The PNG of u8[height, width, channels] with 1 to 4 channels.
std::string encode_png(const Tensor& picture, Location where = Location::current());

/// What the pictures of a folder become (Keras' color_mode).
enum class ColorMode : uint8_t { grayscale, rgb, rgba };
/// What the labels become: i32[batch]; f32[batch, classes], 1 at the class; f32[batch, 1] of 0 and 1 for two classes.
enum class LabelMode : uint8_t { integer, categorical, binary };
enum class Subset : uint8_t { training, validation };

struct ImageDatasetOptions {
  LabelMode label_mode = LabelMode::integer;
  ColorMode color_mode = ColorMode::rgb;
  Dims image_size = {256, 256};  // rows and columns, to which pictures are resized
  ResizeMethod interpolation = ResizeMethod::bilinear;
  int64_t batch_size = 32;  // 0: elements are single pictures, without the axis of the batch
  /// Random order, another one in each epoch; if not, sorted by class and name.
  bool shuffle = true;
  std::optional<uint64_t> seed{};
  /// The part of the pictures that is `Subset::validation`. With shuffle it asks for a seed, so that both subsets are
  /// drawn alike.
  double validation_split = 0;
  std::optional<Subset> subset{};
  uint64_t most_pixels = uint64_t{1} << 27;
};

/// What image_dataset_from_directory gives.
struct ImageDataset {
  /// Pictures f32[batch, rows, columns, channels] of 0 to 255 and labels.
  Dataset<std::tuple<Tensor, Tensor>> dataset;
  std::vector<std::string> class_names;  // the folders, sorted: label i is class_names[i]
  std::vector<std::string> file_paths;   // of this subset, in the order without shuffle or, with it, in the drawn one
};

/// The pictures in a folder whose sub-folders are the classes (tf.keras.utils.image_dataset_from_directory): files with
/// the endings .png, .jpg and .jpeg, in small or capital letters, at any depth below `directory`/class. The folder is
/// listed at once; pictures are read as elements are taken, a corrupt one is an Error that names it. Nothing outside of
/// the directory is opened: a symbolic link that leads there is an Error.
ImageDataset image_dataset_from_directory(const std::string& directory, ImageDatasetOptions options = {},
                                          Location where = Location::current());

}  // namespace data
}  // namespace etch
