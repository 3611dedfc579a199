// Data sets of files: text lines, fixed-length records, TFRecord, .npy, idx; lists of files.
//
// Sources of several files read them in order. Their iterators save the file's number and the byte, and go on there
// without reading what came before; only gzip files are unpacked anew. A file that cannot be read is one error, and
// the next file follows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "etch/data.h"
#include "etch/data/file_stage.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {

enum class Compression : uint8_t { none, gzip };

struct TextLineOptions {
  Compression compression = Compression::none;
  uint64_t most_line_bytes = uint64_t{1} << 24;  // a longer line is an Error
};
/// The lines of text files without their ends, which are \n or \r\n; the last one may have none. (TensorFlow's
/// TextLineDataset also takes \r out of the middle of lines.)
Dataset<std::string> text_lines(Paths paths, TextLineOptions options = {});

struct FixedLengthOptions {
  uint64_t header_bytes = 0;  // before the first record of each file
  uint64_t footer_bytes = 0;  // behind the last one
};
/// The bytes of files in records of equal length (TensorFlow's FixedLengthRecordDataset). A file that holds no whole
/// number of records is an Error. `decode_raw` makes tensors of them.
Dataset<std::string> fixed_length_records(Paths paths, Integer record_bytes, FixedLengthOptions options = {},
                                          Location where = Location::current());

struct TFRecordOptions {
  Compression compression = Compression::none;
  uint64_t most_record_bytes = uint64_t{1} << 30;  // a longer record is an Error, before memory is taken for it
};
/// The records of TFRecord files, whose checksums are verified. A corrupt record is an Error, after which the next one
/// follows; behind a corrupt length or at a cut-off end, an Error with the byte, there is no next one. TensorBoard's
/// event files have the same frame. Format: https://www.tensorflow.org/tutorials/load_data/tfrecord
Dataset<std::string> tfrecord(Paths paths, TFRecordOptions options = {});

/// Writes a TFRecord file (tf.io.TFRecordWriter). The file is begun anew.
class TFRecordWriter {
 public:
  /// Error if the file cannot be opened.
  explicit TFRecordWriter(std::string path, Compression compression = Compression::none);
  TFRecordWriter(TFRecordWriter&&) noexcept;
  TFRecordWriter& operator=(TFRecordWriter&&) noexcept;
  /// Closes; an error at that is lost, so that close() is better called before.
  ~TFRecordWriter();

  /// Adds a record. It is on its way to the disk when a buffer is full, at flush() and at close(). Error if the buffer
  /// could not be written: the record was not taken then, and the file ends with a whole one.
  void write(std::string_view record);
  /// Hands all records to the system. Error if it does not take them, for one on a full disk.
  void flush();
  /// Flushes and closes. Errors as flush().
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The sub-tensors along the first axis of a .npy file (see load_npy) that is read as they are taken. They can be had
/// by index: shuffles keep indices. The header is read at once. Error for a file that load_npy refuses, for rank 0 and
/// for Fortran order.
Dataset<Tensor> npy_rows(const std::string& path, Location where = Location::current());

/// The sub-tensors along the first axis of a file in MNIST's idx format, such as the pictures or the labels of
/// `train-images-idx3-ubyte`; of u8, i8, i16, i32, f32 or f64, big endian in the file. Files packed with gzip are
/// unpacked; of others the elements can be had by index. The header is read at once.
/// Format: http://yann.lecun.com/exdb/mnist
Dataset<Tensor> idx(const std::string& path);
/// The whole tensor of such a file.
Tensor load_idx(const std::string& path);

struct ListFilesOptions {
  /// A seed: the order is random, another one in each epoch. None: sorted by bytes.
  std::optional<uint64_t> shuffle{};
};
/// The paths of the regular files that match patterns with `*`, `?` and `[...]` (as glob(7); `*` does not match `/`).
/// They are looked up at once. Error if a pattern matches none. (TensorFlow's list_files shuffles by default.)
Dataset<std::string> list_files(Paths patterns, ListFilesOptions options = {}, Location where = Location::current());

/// The bytes of a file. Error for more than `most_bytes`.
std::string read_file(const std::string& path, uint64_t most_bytes = uint64_t{1} << 32);

/// Bytes as the elements of a tensor, little endian: one axis, or a shape. Error if their number is another one.
Tensor decode_raw(std::string_view bytes, DType dtype, std::optional<Shape> shape = {},
                  Location where = Location::current());

}  // namespace data
}  // namespace etch
