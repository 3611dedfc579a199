// Files: opened, read and written with Errors that name the path and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace etch::detail {

/// Error `cannot read PATH: reason`.
[[noreturn]] void fail_reading(std::string_view path, std::string_view reason);
/// Error `cannot write PATH: reason`.
[[noreturn]] void fail_writing(std::string_view path, std::string_view reason);
/// The system's words for an error number.
std::string errno_text(int error);

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor();

  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  /// The result of close(2): an error of the system's number, or 0.
  int close();

 private:
  int number_;
};

/// A regular file and its size, opened for reading.
struct OpenedFile {
  Descriptor descriptor;
  uint64_t size = 0;
};
/// Opens without waiting for the other end if it is a pipe. Error unless it is a regular file.
OpenedFile open_file(const std::string& path);

/// Reads up to `bytes`, fewer only where the file ends. Error with the path.
size_t read_fully(const Descriptor& file, void* to, size_t bytes, std::string_view path);
/// Writes all. 0, or the number of the system's error with what was written up to it in `written`.
int write_fully(const Descriptor& file, const void* data, size_t bytes, size_t* written = nullptr);

/// All bytes of a file. Error if they are more than `limit`.
std::string read_all(const std::string& path, uint64_t limit);

/// Bytes that are read in sequence, through a buffer: those of a file, or what is unpacked from one. An Error comes
/// once; behind it is the end.
class ByteSource {
 public:
  static constexpr size_t kBuffer = size_t{1} << 18;

  virtual ~ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  const std::string& path() const { return path_; }
  /// Where the next byte stands.
  uint64_t position() const { return end_position_ - (end_ - begin_); }
  /// The bytes that come next without being taken: at least `bytes`, which is at most kBuffer, unless the end is
  /// nearer.
  std::string_view peek(size_t bytes) {
    if (end_ - begin_ < bytes) refill(bytes);
    return {buffer_.get() + begin_, end_ - begin_};
  }
  /// What of it is in the buffer.
  std::string_view buffered() const { return {buffer_.get() + begin_, end_ - begin_}; }
  /// Takes bytes that peek gave.
  void consume(size_t bytes) { begin_ += bytes; }
  bool at_end() { return peek(1).empty(); }
  /// Takes up to `bytes`, fewer only at the end.
  size_t read(void* to, size_t bytes);
  /// Takes up to `bytes`, fewer only at the end, and drops them.
  virtual uint64_t skip(uint64_t bytes);
  virtual void seek(uint64_t position) = 0;
  /// No more bytes than these can come: a bound for lengths that a file states.
  virtual uint64_t most_left() const = 0;

 protected:
  explicit ByteSource(std::string path);
  /// Reads up to `bytes`, at least one unless the end is reached.
  virtual size_t pull(char* to, size_t bytes) = 0;
  /// Forgets what is buffered; the next byte is at `position`.
  void restart(uint64_t position) {
    begin_ = end_ = 0;
    end_position_ = position;
    has_failed_ = false;
  }
 private:
  void refill(size_t bytes);
  size_t pull_or_end(char* to, size_t bytes);

  std::string path_;
  std::unique_ptr<char[]> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t end_position_ = 0;  // in the source, of the buffer's end
  bool has_failed_ = false;
};

/// A file as it lies on the disk.
class InputFile : public ByteSource {
 public:
  explicit InputFile(std::string path);

  /// When it was opened.
  uint64_t size() const { return file_.size; }
  uint64_t skip(uint64_t bytes) override;
  /// Error if the file is shorter.
  void seek(uint64_t position) override;
  uint64_t most_left() const override { return position() > file_.size ? 0 : file_.size - position(); }

 protected:
  size_t pull(char* to, size_t bytes) override;

 private:
  OpenedFile file_;
};

/// The unpacked bytes of a gzip file (RFC 1952), of all its members one after the other.
class GzipFile : public ByteSource {
 public:
  explicit GzipFile(std::string path);
  ~GzipFile() override;

  /// Backwards it unpacks from the start again. Error if there are fewer bytes.
  void seek(uint64_t position) override;
  uint64_t most_left() const override;

 protected:
  size_t pull(char* to, size_t bytes) override;

 private:
  struct Inflater;
  void begin();
  InputFile packed_;
  std::unique_ptr<Inflater> inflater_;
};

/// A file that is written in sequence, through a buffer. Where a write fails, the file is cut back to what the last
/// flush had written, and what is buffered stays: a later flush tries again.
class OutputFile {
 public:
  enum class Mode { replace, append, create };  // create: Error if it is there

  static constexpr size_t kBuffer = size_t{1} << 18;

  explicit OutputFile(std::string path, Mode mode = Mode::replace);
  OutputFile(OutputFile&&) noexcept = default;
  OutputFile& operator=(OutputFile&&) noexcept = default;
  /// Drops what was not flushed.
  ~OutputFile() = default;

  const std::string& path() const { return path_; }
  /// Where the next byte will stand.
  uint64_t position() const { return flushed_ + buffer_.size(); }
  /// Where the first byte will stand that is not written yet.
  uint64_t flushed() const { return flushed_; }
  /// True if a flush is due.
  bool is_full() const { return buffer_.size() >= kBuffer; }
  void append(std::string_view bytes) { buffer_ += bytes; }
  /// Hands what is buffered to the system. Error with the path and the system's reason.
  void flush();
  /// Flushes, and waits until the disk has it.
  void sync();
  /// Flushes and closes; nothing can be written afterwards.
  void close();

 private:
  std::string path_;
  Descriptor file_;
  std::string buffer_;
  uint64_t flushed_ = 0;
};

}  // namespace etch::detail
