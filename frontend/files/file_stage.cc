// A walk over the elements of files, one file after the other.
#include "etch/data/file_stage.h"

#include "compiler/ir/cat.h"
#include "etch/error.h"

namespace etch::data::detail {

ElementReader::~ElementReader() = default;
FileFormat::~FileFormat() = default;

/// An element is assigned, never changed in place: what readers fill is the caller's own object, whose tensors they replace.
bool FilesWalk::next(void* element) {
  while (true) {
    if (reader_ == nullptr && !open_next()) return false;
    if (reader_->next(element)) return true;
    reader_ = nullptr;
  }
}

int64_t FilesWalk::skip(int64_t n) {
  int64_t done = 0;
  while (done < n) {
    if (reader_ == nullptr && !open_next()) break;
    const int64_t skipped = reader_->skip(n - done);
    done += skipped;
    if (done < n) reader_ = nullptr;
  }
  return done;
}

bool FilesWalk::open_next() {
  if (next_ == paths_.size()) return false;
  reader_ = format_.open(paths_[next_++]);
  return true;
}

void FilesWalk::save(SavedState& state) const {
  state.set("next_file", static_cast<int64_t>(next_));
  if (reader_ == nullptr) return;
  SavedState reader;
  reader_->save(reader);
  state.set_part("file", reader);
}

void FilesWalk::restore(const SavedState& state) {
  const auto next = state.get<int64_t>("next_file");
  if (next < 0 || static_cast<size_t>(next) > paths_.size()) {
    throw Error(cat(format_.name(), ": the saved state stands in file ", next, " of a data set of ", paths_.size()));
  }
  const SavedState reader = state.part("file");
  next_ = static_cast<size_t>(next);
  reader_ = nullptr;
  if (reader.empty()) return;
  if (next_ == 0) throw Error(cat(format_.name(), ": the saved state stands in no file of the data set"));
  reader_ = format_.open(paths_[next_ - 1]);
  reader_->restore(reader);
}

}  // namespace etch::data::detail
