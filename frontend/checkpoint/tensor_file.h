// Safetensors files as a whole: how they are written and read.
#pragma once

#include <string>
#include <string_view>

#include "frontend/checkpoint/layout.h"
#include "frontend/checkpoint/metadata.h"
#include "frontend/files/file.h"

namespace etch::detail {

/// What a file of Etch holds.
struct TensorFile {
  NamedTensors tensors;
  FileMetadata metadata;
  bool is_ours = false;  // it has metadata of Etch; else nothing is known but tensors
};

/// Writes a file (see SavedFile and save_safetensors). Checksums are computed while the elements are handed to the
/// system.
void write_tensor_file(const std::string& path, TensorFile file, Location where);

/// An open file whose header is read and checked. Errors name the path.
class FileReader {
 public:
  FileReader(const std::string& path, Location where);

  FileLayout& layout() { return layout_; }
  FileMetadata& metadata() { return metadata_; }
  /// True if Etch wrote it: there are checksums.
  bool is_ours() const { return is_ours_; }
  /// A tensor in a new buffer. Its checksum is computed as its bytes arrive.
  Tensor read_tensor(const StoredTensor& stored) const;

 private:
  [[noreturn]] void fail(std::string_view reason) const;
  template <class F>
  void naming_place(const F& f) const;
  template <class F>
  void naming_path(const F& f) const;
  void read(void* to, size_t bytes, uint64_t offset) const;
  void check_metadata() const;

  const std::string path_;
  const Location where_;
  OpenedFile file_;
  uint64_t begin_ = 0;  // of the elements
  FileLayout layout_;
  FileMetadata metadata_;
  bool is_ours_ = false;
};

/// Reads a file into new buffers. Nothing is given unless all is there and all checksums are right. Error with the
/// path.
TensorFile read_tensor_file(const std::string& path, Location where);
/// The same with the tensors that belong to the state of the host put into that.
TensorFile read_checkpoint_file(const std::string& path, Location where);

/// What the head of a file says: its length is right, and its metadata, which Etch wrote, is whole. Error with the
/// path.
struct FileHead {
  FileLayout layout;
  FileMetadata metadata;
};
FileHead read_file_head(const std::string& path, Location where);

}  // namespace etch::detail
