// Pictures against what PIL reads, and folders of them.
#include "etch/data/images.h"

#include <sys/stat.h>

#include <set>

#include "etch/data/files.h"
#include "etch/npy.h"
#include "etch/ops.h"
#include "tests/files/files.h"

namespace etch::data {
namespace {

using testing::ElementsAre;

class Pictures : public Files {};

TEST_F(Pictures, ArePixelsAsPilReadsThem) {
  for (const std::string name :
       {"bits.png", "deep.png", "grey.png", "grey_alpha.png", "interlaced.png", "palette.png", "palette_alpha.png",
        "rgb.png", "rgba.png", "full.jpg", "grey.jpg", "progressive.jpg", "rgb.jpg"}) {
    EXPECT_TRUE(same_bits(decode_image(read_file(kMade + name)), load_npy(kMade + name + ".npy"))) << name;
  }
}

TEST_F(Pictures, HaveTheChannelsThatAreAskedFor) {
  const Tensor rgba = load_npy(kMade + "rgba.png.npy");
  const std::string png = read_file(kMade + "rgba.png");
  const Tensor rgb = rgba[{ellipsis, Slice(0, 3)}];
  EXPECT_TRUE(same_bits(decode_png(png, {.channels = 3}), rgb));
  const Tensor grey = load_npy(kMade + "grey.jpg.npy");
  EXPECT_TRUE(same_bits(decode_jpeg(read_file(kMade + "grey.jpg"), {.channels = 3}), concat({grey, grey, grey}, 2)));
  const Tensor one =
      decode_png(encode_png(Tensor::from(std::vector<uint8_t>{255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9}, {2, 2, 3})),
                 {.channels = 1});
  EXPECT_EQ(one.to_vector<uint8_t>(), (std::vector<uint8_t>{76, 150, 29, 9}));
  EXPECT_EQ(decode_png(read_file(kMade + "grey.png"), {.channels = 4}).to_vector<uint8_t>().at(3), 255);
}

TEST_F(Pictures, ThatWeWriteAreReadBack) {
  for (const std::string name : {"grey.png", "grey_alpha.png", "rgb.png", "rgba.png"}) {
    const Tensor pixels = load_npy(kMade + name + ".npy");
    EXPECT_TRUE(same_bits(decode_png(encode_png(pixels)), pixels)) << name;
  }
  EXPECT_THAT(
      error_of([] { static_cast<void>(encode_png(Tensor({{1.0f}}))); }),
      testing::EndsWith("encode_png: a picture is u8[height, width, channels] with 1 to 4 channels, not f32[1,1]"));
}

TEST_F(Pictures, ThatAreBrokenAreErrors) {
  const auto error = [](const std::string& bytes, DecodeImageOptions options = {}) {
    const std::string text = error_of([&] { decode_image(bytes, options); });
    return text.substr(text.find("decode_image"));
  };
  const std::string png = read_file(kMade + "rgb.png");
  const std::string jpeg = read_file(kMade + "rgb.jpg");
  EXPECT_EQ(error("GIF89a"), "decode_image: it begins neither as a PNG nor as a JPEG");
  EXPECT_EQ(error(png.substr(0, png.size() / 2)), "decode_image: the PNG is corrupt: read beyond end of data");
  EXPECT_EQ(error(jpeg.substr(0, jpeg.size() - 2)), "decode_image: the JPEG is corrupt: Premature end of JPEG file");
  EXPECT_EQ(error(jpeg.substr(0, 100)), "decode_image: the JPEG is corrupt: Premature end of JPEG file");
  EXPECT_EQ(error(read_file(kMade + "cmyk.jpg")), "decode_image: the JPEG is CMYK; save it as RGB");
  EXPECT_EQ(error(jpeg, {.channels = 2}), "decode_image: a JPEG has 1, 3 or 4 channels, not 2");
}

TEST_F(Pictures, ThatAreBrokenDoNotSpoilTheNext) {
  for (const std::string name : {"rgb.png", "rgb.jpg"}) {
    const std::string bytes = read_file(kMade + name);
    for (size_t size = 8; size < bytes.size(); size += 61) {
      EXPECT_THROW(decode_image(bytes.substr(0, size)), Error);
      EXPECT_TRUE(same_bits(decode_image(bytes), load_npy(kMade + name + ".npy"))) << name << " " << size;
    }
  }
}

TEST_F(Pictures, PixelsAreCountedBeforeTheyAreDecoded) {
  const auto error = [](const std::string& bytes, DecodeImageOptions options = {}) {
    const std::string text = error_of([&] { decode_image(bytes, options); });
    return text.substr(text.find("decode_image"));
  };
  for (const std::string name : {"rgb.png", "rgb.jpg"}) {
    EXPECT_EQ(error(read_file(kMade + name), {.most_pixels = 100}),
              "decode_image: the picture has 18 x 13 pixels, more than the limit of 100 (most_pixels)");
  }
  // Extents of 65,280 in the frame header of a JPEG, behind its marker, length and precision.
  std::string jpeg = read_file(kMade + "rgb.jpg");
  const size_t frame = jpeg.find("\xff\xc0");
  jpeg.replace(frame + 5, 4, std::string("\xff\x00\xff\x00", 4));
  EXPECT_EQ(error(jpeg),
            "decode_image: the picture has 65280 x 65280 pixels, more than the limit of 134217728 (most_pixels)");
}

/// Two classes of three pictures each, of one colour; and what is no picture.
class ImageFolder : public Files {
 protected:
  ImageFolder() {
    for (const std::string name : {"cat/a.png", "cat/b.PNG", "cat/deep/c.png", "dog/a.png", "dog/b.png", "dog/c.png"}) {
      add(name, static_cast<uint8_t>(10 * ++count_));
    }
    write("cat/notes.txt", "no picture");
    write("loose.png", "no picture of a class");
  }
  void add(const std::string& name, uint8_t grey) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    write(name, encode_png(Tensor::from(std::vector<uint8_t>(4 * 6 * 3, grey), {4, 6, 3})));
  }
  std::vector<std::string> names(const ImageDataset& images) const {
    std::vector<std::string> names;
    for (const std::string& file : images.file_paths) names.push_back(file.substr(folder_.string().size() + 1));
    return names;
  }

  int count_ = 0;
};

TEST_F(ImageFolder, HasItsClassesInOrder) {
  const auto images =
      image_dataset_from_directory(folder_.string(), {.image_size = {4, 6}, .batch_size = 4, .shuffle = false});
  EXPECT_THAT(images.class_names, ElementsAre("cat", "dog"));
  EXPECT_THAT(names(images),
              ElementsAre("cat/a.png", "cat/b.PNG", "cat/deep/c.png", "dog/a.png", "dog/b.png", "dog/c.png"));
  const auto batches = images.dataset.to_vector();
  ASSERT_EQ(batches.size(), 2u);
  const auto& [x, y] = batches[0];
  EXPECT_EQ(to_string(x.shape()), "[4,4,6,3]");
  EXPECT_EQ(x.dtype(), DType::f32);
  EXPECT_EQ((x[{Slice(), 0, 0, 0}].to_vector<float>()), (std::vector<float>{10, 20, 30, 40}));
  EXPECT_EQ(y.to_vector<int32_t>(), (std::vector<int32_t>{0, 0, 0, 1}));
  EXPECT_EQ(std::get<1>(batches[1]).to_vector<int32_t>(), (std::vector<int32_t>{1, 1}));
}

TEST_F(ImageFolder, SaysItsTypesAndHowManyThereAre) {
  const auto images =
      image_dataset_from_directory(folder_.string(), {.image_size = {4, 6}, .batch_size = 4, .shuffle = false});
  const auto spec = images.dataset.element_spec();
  ASSERT_EQ(spec.size(), 2u);
  EXPECT_EQ(to_string(spec[0]), "f32[4,4,6,3], i32[4]");
  EXPECT_EQ(to_string(spec[1]), "f32[2,4,6,3], i32[2]");
  EXPECT_EQ(images.dataset.cardinality(), 2);
}

TEST_F(ImageFolder, LabelsAreNumbersOrTruths) {
  const auto labels = [&](LabelMode mode) {
    const auto images = image_dataset_from_directory(
        folder_.string(), {.label_mode = mode, .image_size = {4, 6}, .batch_size = 6, .shuffle = false});
    return std::get<1>(images.dataset.to_vector().at(0));
  };
  const Tensor categorical = labels(LabelMode::categorical);
  EXPECT_EQ(to_string(categorical.shape()), "[6,2]");
  EXPECT_EQ(categorical.to_vector<float>(), (std::vector<float>{1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1}));
  const Tensor binary = labels(LabelMode::binary);
  EXPECT_EQ(to_string(binary.shape()), "[6,1]");
  EXPECT_EQ(binary.to_vector<float>(), (std::vector<float>{0, 0, 0, 1, 1, 1}));
}

TEST_F(ImageFolder, PicturesAreResizedAndHaveTheMode) {
  write("cat/a.png", read_file(kMade + "rgb.png"));
  const auto images = image_dataset_from_directory(
      folder_.string(), {.color_mode = ColorMode::rgba, .image_size = {5, 7}, .batch_size = 0, .shuffle = false});
  const auto [x, y] = images.dataset.to_vector().at(0);
  const Tensor pixels = cast(decode_png(read_file(kMade + "rgb.png"), {.channels = 4}), DType::f32);
  EXPECT_TRUE(same_bits(x, reshape(resize(reshape(pixels, {1, 13, 18, 4}), {5, 7}), {5, 7, 4})));
  EXPECT_EQ(y.rank(), 0);
}

TEST_F(ImageFolder, SubsetsShareNoPicture) {
  const auto subset = [&](Subset subset) {
    return image_dataset_from_directory(folder_.string(), {.seed = 3, .validation_split = 0.4, .subset = subset});
  };
  const auto training = names(subset(Subset::training));
  const auto validation = names(subset(Subset::validation));
  EXPECT_EQ(training.size(), 4u);
  EXPECT_EQ(validation.size(), 2u);
  std::set<std::string> all(training.begin(), training.end());
  all.insert(validation.begin(), validation.end());
  EXPECT_EQ(all.size(), 6u);
  EXPECT_EQ(names(subset(Subset::training)), training);
}

TEST_F(ImageFolder, TheOrderDependsOnSeedAndEpoch) {
  const auto greys = [&](uint64_t seed, uint64_t epoch) {
    const auto images =
        image_dataset_from_directory(folder_.string(), {.image_size = {4, 6}, .batch_size = 6, .seed = seed});
    return std::get<0>(images.dataset.to_vector({.epoch = epoch}).at(0))[{Slice(), 0, 0, 0}].to_vector<float>();
  };
  EXPECT_EQ(greys(1, 0), greys(1, 0));
  EXPECT_NE(greys(1, 0), greys(1, 1));
  EXPECT_NE(greys(1, 0), greys(2, 0));
}

TEST_F(ImageFolder, ACorruptPictureIsAnErrorWithItsPath) {
  write("dog/b.png", read_file(path("dog/b.png")).substr(0, 40));
  const auto images = image_dataset_from_directory(folder_.string(), {.shuffle = false});
  EXPECT_EQ(first_error(images.dataset).substr(0, 55), "cannot read b.png: the PNG is corrupt: read beyond end ");
}

TEST_F(ImageFolder, APictureThatVanishedIsAnError) {
  const auto images = image_dataset_from_directory(folder_.string(), {.shuffle = false});
  std::filesystem::remove(path("dog/b.png"));
  EXPECT_THAT(first_error(images.dataset), testing::StartsWith("cannot read b.png: No such file or directory"));
}

TEST_F(ImageFolder, ALinkThatLeadsOutsideIsNotOpened) {
  const std::filesystem::path outside =
      std::filesystem::temp_directory_path() / ("etch_outside_" + std::to_string(getpid()));
  std::filesystem::create_directories(outside);
  std::filesystem::copy_file(path("dog/a.png"), outside / "x.png");
  const auto error = [&] { return short_text(error_of([&] { image_dataset_from_directory(folder_.string()); })); };
  std::filesystem::create_symlink(outside / "x.png", path("dog/link.png"));
  EXPECT_EQ(error(), "cannot read link.png: it is a symbolic link that leads outside of " + folder_.string());
  std::filesystem::remove(path("dog/link.png"));
  std::filesystem::create_symlink(outside, path("horse"));
  EXPECT_EQ(error(), "cannot read horse: it is a symbolic link that leads outside of " + folder_.string());
  std::filesystem::remove(path("horse"));
  // A picture that becomes a link after the folder was listed.
  const auto images = image_dataset_from_directory(folder_.string(), {.shuffle = false});
  std::filesystem::remove(path("cat/a.png"));
  std::filesystem::create_symlink(outside / "x.png", path("cat/a.png"));
  EXPECT_THAT(first_error(images.dataset),
              testing::StartsWith("cannot read a.png: it is a symbolic link that leads outside of "));
  std::filesystem::remove_all(outside);
}

TEST_F(ImageFolder, LinksWithinItAreFollowedToFilesOnly) {
  std::filesystem::create_symlink("a.png", path("dog/link.png"));
  EXPECT_EQ(image_dataset_from_directory(folder_.string()).file_paths.size(), 7u);
  std::filesystem::create_symlink("../cat", path("dog/cats"));
  EXPECT_EQ(short_text(error_of([&] { image_dataset_from_directory(folder_.string()); })),
            "cannot read cats: it is a symbolic link to a folder; links are followed to files only");
}

TEST_F(ImageFolder, OptionsThatCannotBeAreErrors) {
  const auto error = [&](ImageDatasetOptions options) {
    const std::string text = error_of([&] { image_dataset_from_directory(folder_.string(), options); });
    return text.substr(text.find("image_dataset_from_directory: ") + 30);
  };
  EXPECT_EQ(error({.image_size = {4}}), "image_size is [4], but pictures have rows and columns, 1 or more of each");
  EXPECT_EQ(error({.validation_split = 0.5}), "validation_split and subset go together: state both or neither");
  EXPECT_EQ(error({.validation_split = 0.5, .subset = Subset::training}),
            "a subset of shuffled pictures needs a seed, so that training and validation do not share any");
  EXPECT_EQ(error({.seed = 1, .validation_split = 0.01, .subset = Subset::validation}),
            "the subset has no pictures; change validation_split");
  std::filesystem::create_directories(path("horse"));
  EXPECT_EQ(error({.label_mode = LabelMode::binary}),
            "binary labels tell two classes apart, but " + folder_.string() + " has 3 folders");
  EXPECT_EQ(short_text(error_of([&] { image_dataset_from_directory(path("none")); })),
            "cannot read none: No such file or directory");
}

}  // namespace
}  // namespace etch::data
