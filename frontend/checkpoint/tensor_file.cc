// Safetensors files: eight bytes of length, a header, elements.
#include "frontend/checkpoint/tensor_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "compiler/ir/cat.h"
#include "etch/safetensors.h"
#include "frontend/checkpoint/saved_file.h"
#include "frontend/files/crc32c.h"
#include "frontend/files/file.h"
#include "frontend/tensor_impl.h"

namespace etch {
namespace detail {
namespace {

constexpr size_t kChunk = size_t{1} << 18;  // what is read or written at once: it stays in a cache for its checksum
constexpr size_t kSmallTensor = size_t{1} << 14;  // bytes; smaller ones are gathered

// ---- Writing -------------------------------------------------------------------------------------------------------

/// Writes elements one after the other. Small tensors are gathered, so that they take no call each.
class ElementWriter {
 public:
  ElementWriter(SavedFile& file, uint64_t offset) : file_(file), offset_(offset) {}

  /// Their checksum.
  uint32_t write(const void* data, size_t bytes) {
    if (bytes < kSmallTensor) {
      gathered_.append(static_cast<const char*>(data), bytes);
      if (gathered_.size() >= kChunk) flush();
      return crc32c(data, bytes);
    }
    flush();
    uint32_t crc = 0;
    const auto* from = static_cast<const char*>(data);
    for (size_t done = 0; done < bytes; done += kChunk) {
      const size_t size = std::min(kChunk, bytes - done);
      crc = extend_crc32c(crc, from + done, size);
      write_now(from + done, size);
    }
    return crc;
  }
  void flush() {
    write_now(gathered_.data(), gathered_.size());
    gathered_.clear();
  }

 private:
  void write_now(const void* data, size_t bytes) {
    if (bytes > 0) file_.write(data, bytes, offset_);
    offset_ += bytes;
  }

  SavedFile& file_;
  uint64_t offset_;
  std::string gathered_;
};

/// The tensors of a file, of which none is a value of a trace, by their places.
std::vector<StoredTensor> stored_tensors(const NamedTensors& tensors, const std::string& path, Location where) {
  std::vector<StoredTensor> stored;
  for (const auto& [name, tensor] : tensors) {
    const TensorImpl& impl = impl_of(tensor, where);
    if (impl.kind != TensorImpl::Kind::eager) {
      fail(where, cat("cannot write ", path, ": ", in_quotes(name), " belongs to a trace and has no elements"));
    }
    stored.push_back({name, impl.type()});
  }
  place_tensors(stored);
  return stored;
}

}  // namespace

void write_tensor_file(const std::string& path, TensorFile file, Location where) {
  FileMetadata& metadata = file.metadata;
  file.tensors.merge(take_host_tensors(metadata));
  FileLayout layout{stored_tensors(file.tensors, path, where), {}};
  metadata.layout = crc32c(text_of_places(layout.tensors));
  for (const StoredTensor& tensor : layout.tensors) metadata.checksums[tensor.name] = 0;
  const auto header = [&] {
    try {
      layout.metadata[std::string(FileMetadata::kKey)] = write_metadata(metadata);
      return write_layout(layout);
    } catch (const Error& error) {
      fail(where, cat("cannot write ", path, ": ", error.what()));
    }
  };
  const uint64_t begin = header().size();  // whatever the checksums are
  SavedFile saved(path, where);
  ElementWriter writer(saved, begin);
  for (const StoredTensor& tensor : layout.tensors) {
    const TensorImpl& impl = *TensorAccess::get(file.tensors.find(tensor.name)->second);
    metadata.checksums[tensor.name] = writer.write(impl.data, static_cast<size_t>(impl.bytes()));
  }
  writer.flush();
  const std::string head = header();
  saved.write(head.data(), head.size(), 0);
  saved.commit();
}

// ---- Reading -------------------------------------------------------------------------------------------------------

FileReader::FileReader(const std::string& path, Location where) : path_(path), where_(where) {
  naming_place([&] { file_ = open_file(path_); });
  if (file_.size < kLengthBytes) fail(cat("it has ", file_.size, " bytes, too few for the length of its header"));
  uint8_t length_bytes[kLengthBytes];
  read(length_bytes, sizeof length_bytes, 0);
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= uint64_t{length_bytes[i]} << (8 * i);
  if (length > kMaxHeaderBytes) {
    fail(cat("its header of ", length, " bytes is too long; ", kMaxHeaderBytes, " are the most"));
  }
  if (length > file_.size - kLengthBytes) {
    fail(cat("its header has ", length, " bytes, but the file only ", file_.size));
  }
  std::string header(length, '\0');
  read(header.data(), header.size(), kLengthBytes);
  begin_ = kLengthBytes + length;
  naming_path([&] { layout_ = read_layout(header, file_.size - begin_); });
  const auto ours = layout_.metadata.find(std::string(FileMetadata::kKey));
  if (ours == layout_.metadata.end()) return;
  naming_path([&] { metadata_ = read_metadata(ours->second); });
  is_ours_ = true;
  layout_.metadata.clear();
  check_metadata();
}

Tensor FileReader::read_tensor(const StoredTensor& stored) const {
  Tensor tensor = allocate(stored.type.dtype, stored.type.shape, where_, cat("the elements of ", path_));
  auto* to = static_cast<uint8_t*>(TensorAccess::get(tensor)->data);
  const uint64_t bytes = stored.end - stored.begin;
  uint32_t crc = 0;
  bool are_bools = true;
  for (uint64_t done = 0; done < bytes; done += kChunk) {
    const auto size = static_cast<size_t>(std::min<uint64_t>(kChunk, bytes - done));
    read(to + done, size, begin_ + stored.begin + done);
    if (is_ours_) crc = extend_crc32c(crc, to + done, size);
    if (stored.type.dtype == DType::boolean) {
      are_bools = are_bools && std::all_of(to + done, to + done + size, [](uint8_t value) { return value <= 1; });
    }
  }
  if (is_ours_ && crc != metadata_.checksums.find(stored.name)->second) {
    fail(cat("the elements of ", in_quotes(stored.name), ", from byte ", begin_ + stored.begin, " to ",
             begin_ + stored.end, ", are damaged: their checksum is another one"));
  }
  if (!are_bools) fail(cat("a BOOL of ", in_quotes(stored.name), " is neither 0 nor 1"));
  return tensor;
}

void FileReader::fail(std::string_view reason) const { detail::fail(where_, cat("cannot read ", path_, ": ", reason)); }

template <class F>
void FileReader::naming_place(const F& f) const {
  try {
    f();
  } catch (const Error& error) {
    detail::fail(where_, error.what());
  }
}

template <class F>
void FileReader::naming_path(const F& f) const {
  try {
    f();
  } catch (const Error& error) {
    fail(error.what());
  }
}

void FileReader::read(void* to, size_t bytes, uint64_t offset) const {
  auto* next = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t count = pread(file_.descriptor.get(), next, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(cat("at byte ", offset, ": ", errno_text(errno)));
    if (count == 0) fail(cat("it ends at byte ", offset, " now; when it was opened it had ", file_.size));
    next += count;
    bytes -= static_cast<size_t>(count);
    offset += static_cast<uint64_t>(count);
  }
}

void FileReader::check_metadata() const {
  if (metadata_.layout != crc32c(text_of_places(layout_.tensors))) {
    fail("its header is damaged: the checksum of names, types and places is another one");
  }
  for (const StoredTensor& tensor : layout_.tensors) {
    if (!metadata_.checksums.contains(tensor.name)) fail(cat("there is no checksum of ", in_quotes(tensor.name)));
  }
}

TensorFile read_tensor_file(const std::string& path, Location where) {
  FileReader reader(path, where);
  TensorFile file;
  for (const StoredTensor& stored : reader.layout().tensors) {
    file.tensors.emplace(stored.name, reader.read_tensor(stored));
  }
  file.metadata = std::move(reader.metadata());
  file.is_ours = reader.is_ours();
  return file;
}

TensorFile read_checkpoint_file(const std::string& path, Location where) {
  TensorFile file = read_tensor_file(path, where);
  try {
    put_host_tensors(file.metadata, file.tensors);
  } catch (const Error& error) {
    fail(where, cat("cannot read ", path, ": ", error.what()));
  }
  return file;
}

FileHead read_file_head(const std::string& path, Location where) {
  FileReader reader(path, where);
  if (!reader.is_ours()) fail(where, cat("cannot read ", path, ": it is a safetensors file, but not one of Etch"));
  return {std::move(reader.layout()), std::move(reader.metadata())};
}

}  // namespace detail

NamedTensors load_safetensors(const std::string& path, Location where) {
  return detail::read_tensor_file(path, where).tensors;
}

void save_safetensors(const std::string& path, const NamedTensors& tensors, Location where) {
  detail::write_tensor_file(path, {tensors, {}}, where);
}

}  // namespace etch
