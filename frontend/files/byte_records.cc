// Sources whose elements are bytes: text lines, fixed-length records, TFRecord.
#include <algorithm>
#include <cstring>

#include "compiler/ir/cat.h"
#include "etch/data/files.h"
#include "frontend/files/line_reader.h"
#include "frontend/files/open_packed.h"
#include "frontend/files/record_elements.h"
#include "frontend/tensor_impl.h"

namespace etch::data {
namespace {

using detail::ElementReader;
using detail::FilesStage;
using detail::RecordElements;
using etch::detail::ByteSource;
using etch::detail::fail_reading;
using etch::detail::InputFile;

/// Puts bytes into an element. Many records have the size of the one before.
inline void assign(void* element, std::string_view bytes) {
  auto& text = *static_cast<std::string*>(element);
  if (text.size() == bytes.size() && !bytes.empty()) {
    std::memcpy(text.data(), bytes.data(), bytes.size());
  } else {
    text.assign(bytes);
  }
}

/// A format that is a name, options and a reader made of a path and them. Its readers are known, so that no call on the
/// way of an element is virtual but the cursor's.
template <class Reader, class Options>
class SimpleFormat {
 public:
  SimpleFormat(std::string_view name, Options options) : name_(name), options_(options) {}
  std::string_view name() const { return name_; }
  std::unique_ptr<Reader> open(const std::string& path) const { return std::make_unique<Reader>(path, options_); }

 private:
  std::string_view name_;
  Options options_;
};

template <class Reader, class Options>
Dataset<std::string> dataset_of(std::string_view name, Paths paths, Options options) {
  using Format = SimpleFormat<Reader, Options>;
  return Dataset<std::string>(std::make_shared<const FilesStage<std::string, Format>>(
      std::move(paths), std::make_unique<const Format>(name, options), std::vector<ElementSpec>{}));
}

class TextReader final : public ElementReader {
 public:
  TextReader(const std::string& path, const TextLineOptions& options)
      : lines_(etch::detail::open_packed(path, options.compression), options.most_line_bytes) {}

  bool next(void* element) override {
    std::string_view line;
    if (!lines_.next(line)) return false;
    assign(element, etch::detail::without_end(line));
    return true;
  }
  int64_t skip(int64_t n) override {
    int64_t done = 0;
    for (std::string_view line; done < n && lines_.next(line);) ++done;
    return done;
  }
  void save(SavedState& state) const override {
    state.set("byte", lines_.position());
    state.set("line", lines_.line());
  }
  void restore(const SavedState& state) override {
    lines_.seek(state.get<uint64_t>("byte"), state.get<uint64_t>("line"));
  }

 private:
  etch::detail::LineReader lines_;
};

struct FixedLength {
  uint64_t record;
  FixedLengthOptions options;
};

class FixedReader final : public ElementReader {
 public:
  FixedReader(const std::string& path, const FixedLength& format) : format_(format), file_(path) {
    const auto& [header, footer] = format_.options;
    if (file_.size() < header || file_.size() - header < footer) {
      fail_reading(
          path, cat("its ", file_.size(), " bytes are fewer than header and footer take, ", header, " and ", footer));
    }
    const uint64_t body = file_.size() - header - footer;
    if (body % format_.record != 0) {
      fail_reading(path, cat("its body of ", body, " bytes holds no whole number of records of ", format_.record));
    }
    end_ = header + body;
    file_.seek(header);
  }

  bool next(void* element) override {
    if (file_.position() >= end_) return false;
    auto& record = *static_cast<std::string*>(element);
    const uint64_t at = file_.position();
    record.resize(format_.record);
    if (file_.read(record.data(), record.size()) == record.size()) return true;
    end_ = 0;
    fail_reading(file_.path(), cat("it became shorter: it ends within the record at byte ", at));
  }
  int64_t skip(int64_t n) override {
    const uint64_t at = file_.position();
    const auto left = static_cast<int64_t>(at >= end_ ? 0 : (end_ - at) / format_.record);
    const int64_t done = std::min(n, left);
    file_.seek(at + static_cast<uint64_t>(done) * format_.record);
    return done;
  }
  void save(SavedState& state) const override { state.set("byte", file_.position()); }
  void restore(const SavedState& state) override { file_.seek(state.get<uint64_t>("byte")); }

 private:
  FixedLength format_;
  InputFile file_;
  uint64_t end_ = 0;  // of the last record
};

class RecordTexts final : public RecordElements {
 public:
  using RecordElements::RecordElements;

 private:
  void make(std::string_view record, uint64_t, void* element) override { assign(element, record); }
};

}  // namespace

Dataset<std::string> text_lines(Paths paths, TextLineOptions options) {
  return dataset_of<TextReader>("text_lines", std::move(paths), options);
}

Dataset<std::string> fixed_length_records(Paths paths, Integer record_bytes, FixedLengthOptions options,
                                          Location where) {
  if (record_bytes <= 0)
    etch::detail::fail(where, cat("fixed_length_records: records of ", int64_t{record_bytes}, " bytes"));
  return dataset_of<FixedReader>("fixed_length_records", std::move(paths),
                                 FixedLength{static_cast<uint64_t>(int64_t{record_bytes}), options});
}

Dataset<std::string> tfrecord(Paths paths, TFRecordOptions options) {
  return dataset_of<RecordTexts>("tfrecord", std::move(paths), options);
}

std::string read_file(const std::string& path, uint64_t most_bytes) { return etch::detail::read_all(path, most_bytes); }

Tensor decode_raw(std::string_view bytes, DType dtype, std::optional<Shape> shape, Location where) {
  etch::detail::check_dtype(dtype, "decode_raw", where);
  const auto size = static_cast<size_t>(size_of(dtype));
  if (bytes.size() % size != 0) {
    etch::detail::fail(where,
                       cat("decode_raw: ", bytes.size(), " bytes are no whole number of elements of ", name(dtype)));
  }
  const Shape wanted = shape.value_or(Shape{static_cast<int64_t>(bytes.size() / size)});
  etch::detail::check_type({dtype, wanted}, "decode_raw", where);
  const Type type{dtype, wanted};
  if (static_cast<uint64_t>(type.bytes()) != bytes.size()) {
    etch::detail::fail(
        where, cat("decode_raw: ", to_string(type), " takes ", type.bytes(), " bytes, but there are ", bytes.size()));
  }
  if (dtype == DType::boolean && bytes.find_first_not_of(std::string_view("\0\1", 2)) != bytes.npos) {
    etch::detail::fail(where, "decode_raw: a bool is neither 0 nor 1");
  }
  Tensor tensor = etch::detail::allocate(dtype, wanted, where, "decode_raw");
  if (!bytes.empty()) std::memcpy(etch::detail::TensorAccess::get(tensor)->data, bytes.data(), bytes.size());
  return tensor;
}

}  // namespace etch::data
