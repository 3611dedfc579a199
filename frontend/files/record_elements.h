// RecordElements: elements that are made of the records of a TFRecord file, one of each.
#pragma once

#include <string>
#include <string_view>

#include "etch/data/files.h"
#include "frontend/files/open_packed.h"
#include "frontend/files/record_reader.h"

namespace etch::data::detail {

class RecordElements : public ElementReader {
 public:
  RecordElements(const std::string& path, const TFRecordOptions& options)
      : records_(etch::detail::open_packed(path, options.compression), options.most_record_bytes) {}

  bool next(void* element) final {
    const uint64_t at = records_.position();
    std::string_view record;
    if (!records_.next(record)) return false;
    make(record, at, element);
    return true;
  }
  int64_t skip(int64_t n) final {
    int64_t done = 0;
    while (done < n && records_.skip()) ++done;
    return done;
  }
  void save(SavedState& state) const final { state.set("byte", records_.position()); }
  void restore(const SavedState& state) final { records_.seek(state.get<uint64_t>("byte")); }

 protected:
  /// Makes the element of a record, which stands at byte `at`.
  virtual void make(std::string_view record, uint64_t at, void* element) = 0;
  const std::string& path() const { return records_.path(); }

 private:
  etch::detail::RecordReader records_;
};

}  // namespace etch::data::detail
