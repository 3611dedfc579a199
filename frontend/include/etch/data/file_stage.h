// What sources of files are made of: a format reads the elements of one file, a stage walks over several files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "etch/data/stage.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {

/// One path or several, as sources of files take them.
class Paths {
 public:
  Paths(std::string path) : list_{std::move(path)} {}  // NOLINT: converts
  Paths(const char* path) : list_{path} {}             // NOLINT: converts
  Paths(std::vector<std::string> list) : list_(std::move(list)) {}  // NOLINT: converts
  Paths(std::initializer_list<std::string> list) : list_(list) {}

  std::vector<std::string> take() && { return std::move(list_); }

 private:
  std::vector<std::string> list_;
};

namespace detail {

/// A walk over the elements of one file, whose type the caller knows. The rules are those of CursorBase.
class ElementReader {
 public:
  ElementReader() = default;
  virtual ~ElementReader();
  ElementReader(const ElementReader&) = delete;
  ElementReader& operator=(const ElementReader&) = delete;

  virtual bool next(void* element) = 0;
  virtual int64_t skip(int64_t n) = 0;
  virtual void save(SavedState& state) const = 0;
  virtual void restore(const SavedState& state) = 0;
};

/// How files are read. Any number of threads may open files at once.
class FileFormat {
 public:
  FileFormat() = default;
  virtual ~FileFormat();
  FileFormat(const FileFormat&) = delete;
  FileFormat& operator=(const FileFormat&) = delete;

  virtual std::string_view name() const = 0;
  virtual std::unique_ptr<ElementReader> open(const std::string& path) const = 0;
};

/// Error for a state that stands in no file of the data set.
[[noreturn]] void fail_file_number(std::string_view name, int64_t number, size_t files);

/// A walk over files, one after the other. A file that cannot be opened is one error; the next file follows. `Format`
/// is FileFormat, or a class like it whose readers are known here.
template <class Format>
class FilesWalk {
 public:
  FilesWalk(const std::vector<std::string>& paths, const Format& format) : paths_(paths), format_(format) {}

  bool next(void* element) {
    while (reader_ != nullptr || open_next()) {
      if (reader_->next(element)) [[likely]] return true;
      reader_ = nullptr;
    }
    return false;
  }
  int64_t skip(int64_t n) {
    int64_t done = 0;
    while (done < n && (reader_ != nullptr || open_next())) {
      done += reader_->skip(n - done);
      if (done < n) reader_ = nullptr;
    }
    return done;
  }
  void save(SavedState& state) const {
    state.set("next_file", static_cast<int64_t>(next_));
    if (reader_ == nullptr) return;
    SavedState reader;
    reader_->save(reader);
    state.set_part("file", reader);
  }
  void restore(const SavedState& state) {
    const auto next = state.get<int64_t>("next_file");
    const SavedState reader = state.part("file");
    if (next < (reader.empty() ? 0 : 1) || static_cast<uint64_t>(next) > paths_.size()) {
      fail_file_number(format_.name(), next, paths_.size());
    }
    next_ = static_cast<size_t>(next);
    reader_ = nullptr;
    if (reader.empty()) return;
    reader_ = format_.open(paths_[next_ - 1]);
    reader_->restore(reader);
  }

 private:
  bool open_next() {
    if (next_ == paths_.size()) return false;
    reader_ = format_.open(paths_[next_++]);
    return true;
  }

  const std::vector<std::string>& paths_;
  const Format& format_;
  decltype(std::declval<const Format&>().open(std::string())) reader_;  // of the file before next_; null at its end
  size_t next_ = 0;
};

/// The elements of files in order.
template <class T, class Format = FileFormat>
class FilesStage final : public Stage<T> {
 public:
  FilesStage(Paths paths, std::unique_ptr<const Format> format, std::vector<ElementSpec> spec = {})
      : paths_(std::move(paths).take()), format_(std::move(format)), spec_(std::move(spec)) {}

  std::string_view name() const override { return format_->name(); }
  std::vector<ElementSpec> element_spec() const override { return spec_; }
  std::unique_ptr<Cursor<T>> open(const OpenContext&) const override {
    return std::make_unique<FilesCursor>(paths_, *format_);
  }

 private:
  class FilesCursor final : public Cursor<T> {
   public:
    FilesCursor(const std::vector<std::string>& paths, const Format& format) : walk_(paths, format) {}
    bool next(T& out) override { return walk_.next(&out); }
    int64_t skip(int64_t n) override { return walk_.skip(n); }
    void save(SavedState& state) const override { walk_.save(state); }
    void restore(const SavedState& state) override { walk_.restore(state); }

   private:
    FilesWalk<Format> walk_;
  };

  std::vector<std::string> paths_;
  std::unique_ptr<const Format> format_;
  std::vector<ElementSpec> spec_;
};

}  // namespace detail
}  // namespace data
}  // namespace etch
