// From a folder of pictures to a trained model, through everything that a training needs: pictures are read by a data set, training is
// seen in TensorBoard, files keep the best weights, and a process that is killed goes on where it was.
//   digits_pipeline pictures DIGITS FOLDER            writes the digits of DIGITS/*.npy as PNG files, a folder for each class
//   digits_pipeline train FOLDER RUN [DIE_AFTER]      trains; kills itself after so many batches, if that is said
//   digits_pipeline evaluate FOLDER RUN               tells how many unseen digits are read
#include <etch/checkpoint.h>
#include <etch/data.h>
#include <etch/data/images.h>
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/model.h>
#include <etch/summary.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>

using namespace etch;

namespace {

struct Net {
  layers::Conv2D first{.filters = 16, .kernel_size = 3, .activation = activations::relu, .padding = Padding::same};
  layers::MaxPooling2D pool;
  layers::Flatten flat;
  layers::Dense hidden{64, activations::relu};
  layers::Dropout drop{0.2};
  layers::Dense logits{10};

  Tensor operator()(const Tensor& x, bool training) const { return logits(drop(hidden(flat(pool(first(x)))), training)); }
};

Model make_model() {
  Model model(Net{});
  model.compile(optimizers::Adam(2e-3), {losses::sparse_categorical_crossentropy, {.from_logits = true}},
                {.metrics = {metrics::SparseCategoricalAccuracy()}});
  return model;
}

/// Batches of pictures with values in 0..1, and labels.
auto pictures_of(const std::string& folder, bool shuffle) {
  data::ImageDataset pictures = data::image_dataset_from_directory(
      folder, {.color_mode = data::ColorMode::grayscale, .image_size = {8, 8}, .batch_size = 32, .shuffle = shuffle, .seed = 5});
  return pictures.dataset.map([](const Tensor& x, const Tensor& y) { return std::tuple(x / 255.0f, y); }).prefetch(2);
}

void write_pictures(const std::string& digits, const std::string& folder) {
  const auto write = [&](const Tensor& images, const Tensor& labels, const std::string& part) {
    const Tensor grey = cast(reshape(images, {-1, 8, 8, 1}) * 15, DType::u8);
    const std::vector<int64_t> classes = cast(labels, DType::i64).to_vector<int64_t>();
    for (size_t i = 0; i < classes.size(); ++i) {
      const std::string place = folder + "/" + part + "/" + std::to_string(classes[i]);
      std::filesystem::create_directories(place);
      std::ofstream(place + "/" + std::to_string(i) + ".png", std::ios::binary) << data::encode_png(grey[static_cast<int64_t>(i)]);
    }
    std::printf("%d pictures in %s/%s\n", static_cast<int>(classes.size()), folder.c_str(), part.c_str());
  };
  write(cast(load_npy(digits + "/train_images.npy"), DType::f32), load_npy(digits + "/train_labels.npy"), "train");
  write(load_npy(digits + "/images.npy") * 16, load_npy(digits + "/labels.npy"), "test");
}

/// Ends the process as a power failure would, once it has trained so many batches.
struct DieAfter {
  int64_t batches = 0;  // 0: never

  void on_train_batch_end(Model&, int64_t, const Logs&) {
    if (--batches == 0) std::raise(SIGKILL);
  }
};

void train(const std::string& folder, const std::string& run, int64_t die_after) {
  random::set_seed(1);
  Model model = make_model();
  std::vector<Callback> callbacks{
      callbacks::TensorBoard{.log_dir = run + "/logs", .histogram_freq = 2},
      callbacks::EarlyStopping{.monitor = "val_loss", .patience = 4},
      callbacks::ModelCheckpoint{.filepath = run + "/best.safetensors", .save_best_only = true, .save_weights_only = true},
      callbacks::BackupAndRestore{.backup_dir = run + "/backup", .save_freq = 10},
      DieAfter{die_after}};
  const History history = model.fit(pictures_of(folder + "/train", true), {.epochs = 8,
                                                                           .verbose = Verbose::lines,
                                                                           .callbacks = callbacks,
                                                                           .validation_data = pictures_of(folder + "/test", false)});
  save_weights(model, run + "/last.safetensors");
  std::printf("%d epochs, loss %.4f\n", static_cast<int>(history.epoch.size()), history["loss"].back());
}

bool evaluate(const std::string& folder, const std::string& run) {
  Model model = make_model();
  load_weights(model, run + "/best.safetensors");
  const Logs scores = model.evaluate(pictures_of(folder + "/test", false), {.verbose = Verbose::silent});
  std::printf("%.1f %% of the unseen digits are right\n", 100 * scores["sparse_categorical_accuracy"]);
  return scores["sparse_categorical_accuracy"] >= 0.95;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 3 ? argv[1] : "";
  try {
    if (what == "pictures" && argc == 4) {
      write_pictures(argv[2], argv[3]);
    } else if (what == "train" && (argc == 4 || argc == 5)) {
      train(argv[2], argv[3], argc == 5 ? std::stoll(argv[4]) : 0);
    } else if (what == "evaluate" && argc == 4) {
      return evaluate(argv[2], argv[3]) ? 0 : 1;
    } else {
      std::fprintf(stderr, "usage: digits_pipeline pictures DIGITS FOLDER | train FOLDER RUN [DIE_AFTER] | evaluate FOLDER RUN\n");
      return 2;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
