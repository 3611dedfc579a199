// The files of cache: a header, then for each element its length, its checksum and its bytes, then a count.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "compiler/ir/cat.h"
#include "etch/data/cache_stages.h"
#include "frontend/tensor_impl.h"

namespace etch::data::detail {
namespace {

constexpr std::string_view kMagic = "ETCHDATA";
constexpr uint32_t kVersion = 1;
constexpr uint64_t kEnd = UINT64_MAX;                  // in the place of a length: what follows is the count
constexpr uint64_t kMaxElement = uint64_t{1} << 34;  // a longer one is not read

struct Head {
  char magic[8];
  uint32_t version;
  uint32_t type_bytes;
};

struct ElementHead {
  uint64_t bytes;
  uint32_t checksum;
  uint32_t head_checksum;  // of the 12 bytes before
};

uint32_t checksum_of(const void* data, size_t bytes) {
  return static_cast<uint32_t>(crc32_z(0, static_cast<const Bytef*>(data), bytes));
}

ElementHead head_of(uint64_t bytes, uint32_t checksum) {
  ElementHead head{bytes, checksum, 0};
  head.head_checksum = checksum_of(&head, offsetof(ElementHead, head_checksum));
  return head;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? "." : path.substr(0, slash + 1);
}

}  // namespace

void fail_cache_type(Location where) {
  etch::detail::fail(
      where, "cache: a file holds tensors, numbers, std::strings, and tuples, vectors and plain structs of these");
}

void fail_cache_size(int64_t elements, int64_t max_bytes) {
  throw Error(cat("cache: ", elements, " elements take more than ", max_bytes,
                  " bytes of memory; cache them in a file, .path = ..., or allow more, .max_bytes = ..."));
}

struct CacheWriter::State {
  std::string path, temporary;
  std::FILE* file = nullptr;
  uint64_t count = 0;

  [[noreturn]] void fail() const { throw Error(cat("cache: cannot write ", path, ": ", std::strerror(errno))); }
  void write(const void* data, size_t bytes) const {
    if (bytes > 0 && std::fwrite(data, 1, bytes, file) != bytes) fail();
  }
};

CacheWriter::CacheWriter(std::string path, std::string_view type) : state_(std::make_unique<State>()) {
  static std::atomic<int> counter{0};
  state_->path = std::move(path);
  const size_t slash = state_->path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : state_->path.substr(0, slash + 1);
  state_->temporary = cat(folder, ".etch-", getpid(), "-cache-", counter.fetch_add(1), ".tmp");
  state_->file = std::fopen(state_->temporary.c_str(), "wbxe");
  if (state_->file == nullptr) state_->fail();
  Head head{};
  std::memcpy(head.magic, kMagic.data(), sizeof head.magic);
  head.version = kVersion;
  head.type_bytes = static_cast<uint32_t>(type.size());
  state_->write(&head, sizeof head);
  state_->write(type.data(), type.size());
}

CacheWriter::~CacheWriter() {
  if (state_->file == nullptr) return;
  std::fclose(state_->file);
  unlink(state_->temporary.c_str());
}

void CacheWriter::add(const Encoder& element) {
  const std::string& bytes = element.bytes();
  const ElementHead head = head_of(bytes.size(), checksum_of(bytes.data(), bytes.size()));
  state_->write(&head, sizeof head);
  state_->write(bytes.data(), bytes.size());
  ++state_->count;
}

void CacheWriter::finish() {
  const ElementHead head = head_of(kEnd, 0);
  state_->write(&head, sizeof head);
  state_->write(&state_->count, sizeof state_->count);
  const bool is_written = std::fflush(state_->file) == 0 && fsync(fileno(state_->file)) == 0;
  const bool is_closed = std::fclose(std::exchange(state_->file, nullptr)) == 0;
  if (is_written && is_closed && std::rename(state_->temporary.c_str(), state_->path.c_str()) == 0) {
    const int folder = open(folder_of(state_->path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
      fsync(folder);
      close(folder);
    }
    return;
  }
  const int error = errno;
  unlink(state_->temporary.c_str());
  errno = error;
  state_->fail();
}

struct CacheReader::State {
  std::string path;
  std::FILE* file = nullptr;
  int64_t size = 0, offset = 0;
  uint64_t count = 0;
  bool has_ended = false;
  std::string bytes;

  [[noreturn]] void fail(std::string_view why) const {
    throw Error(cat("cache: ", path, ", byte ", offset, ": ", why, "; delete the file"));
  }
  void read(void* data, size_t bytes) {
    if (static_cast<uint64_t>(size - offset) < bytes) fail("the file ends too early");
    if (bytes > 0 && std::fread(data, 1, bytes, file) != bytes) {
      fail(std::ferror(file) ? std::strerror(errno) : "the file ends too early");
    }
    offset += static_cast<int64_t>(bytes);
  }
  /// The next element's head; false at the end.
  bool begin(ElementHead& head) {
    if (has_ended) return false;
    read(&head, sizeof head);
    if (head_of(head.bytes, head.checksum).head_checksum != head.head_checksum)
      fail("the checksum of a length is wrong");
    if (head.bytes == kEnd) {
      uint64_t stated = 0;
      read(&stated, sizeof stated);
      if (stated != count) fail("the number of elements is wrong");
      has_ended = true;
      return false;
    }
    if (head.bytes > kMaxElement || head.bytes > static_cast<uint64_t>(size - offset))
      fail("an element is longer than the file");
    ++count;
    return true;
  }
};

bool CacheReader::exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

CacheReader::CacheReader(const std::string& path, std::string_view type) : state_(std::make_unique<State>()) {
  state_->path = path;
  state_->file = std::fopen(path.c_str(), "rbe");
  struct stat status;
  if (state_->file == nullptr || fstat(fileno(state_->file), &status) != 0) {
    throw Error(cat("cache: cannot read ", path, ": ", std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) throw Error(cat("cache: ", path, " is not a regular file"));
  state_->size = status.st_size;
  Head head;
  state_->read(&head, sizeof head);
  if (std::string_view(head.magic, sizeof head.magic) != kMagic || head.version != kVersion) {
    state_->offset = 0;
    state_->fail("it is no cache of a data set");
  }
  std::string found(std::min<size_t>(head.type_bytes, static_cast<size_t>(state_->size)), '\0');
  state_->read(found.data(), found.size());
  if (found != type)
    throw Error(cat("cache: ", path, " holds other elements: ", found, " and not ", type, "; delete the file"));
}

CacheReader::~CacheReader() {
  if (state_->file) std::fclose(state_->file);
}

bool CacheReader::next(std::string_view& element) {
  ElementHead head;
  if (!state_->begin(head)) return false;
  state_->bytes.resize(head.bytes);
  state_->read(state_->bytes.data(), head.bytes);
  if (checksum_of(state_->bytes.data(), head.bytes) != head.checksum)
    state_->fail("the checksum of an element is wrong");
  element = state_->bytes;
  return true;
}

bool CacheReader::skip() {
  ElementHead head;
  if (!state_->begin(head)) return false;
  if (fseeko(state_->file, static_cast<off_t>(head.bytes), SEEK_CUR) != 0) state_->fail(std::strerror(errno));
  state_->offset += static_cast<int64_t>(head.bytes);
  return true;
}

}  // namespace etch::data::detail
