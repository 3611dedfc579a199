// Files: opened, read and written with Errors that name the path and the system's reason.
#include "frontend/files/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "compiler/ir/cat.h"
#include "etch/error.h"

namespace etch::detail {

void fail_reading(std::string_view path, std::string_view reason) {
  throw Error(cat("cannot read ", path, ": ", reason));
}

void fail_writing(std::string_view path, std::string_view reason) {
  throw Error(cat("cannot write ", path, ": ", reason));
}

std::string errno_text(int error) { return std::generic_category().message(error); }

Descriptor::~Descriptor() {
  if (is_open()) ::close(number_);
}

int Descriptor::close() { return ::close(std::exchange(number_, -1)) == 0 ? 0 : errno; }

OpenedFile open_file(const std::string& path) {
  OpenedFile file{Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))};
  struct stat status;
  if (!file.descriptor.is_open() || fstat(file.descriptor.get(), &status) != 0) fail_reading(path, errno_text(errno));
  if (!S_ISREG(status.st_mode))
    fail_reading(path, S_ISDIR(status.st_mode) ? "it is a directory" : "it is not a regular file");
  file.size = static_cast<uint64_t>(status.st_size);
  return file;
}

size_t read_fully(const Descriptor& file, void* to, size_t bytes, std::string_view path) {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t count = ::read(file.get(), static_cast<char*>(to) + done, bytes - done);
    if (count == 0) break;
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      fail_reading(path, errno_text(errno));
    }
  }
  return done;
}

int write_fully(const Descriptor& file, const void* data, size_t bytes, size_t* written) {
  size_t done = 0;
  int error = 0;
  while (done < bytes && error == 0) {
    const ssize_t count = ::write(file.get(), static_cast<const char*>(data) + done, bytes - done);
    if (count >= 0) {
      done += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (written != nullptr) *written = done;
  return error;
}

std::string read_all(const std::string& path, uint64_t limit) {
  const OpenedFile file = open_file(path);
  if (file.size > limit) fail_reading(path, cat("it has ", file.size, " bytes, more than the limit of ", limit));
  std::string bytes(file.size, '\0');
  bytes.resize(read_fully(file.descriptor, bytes.data(), bytes.size(), path));
  return bytes;
}

ByteSource::ByteSource(std::string path)
    : path_(std::move(path)), buffer_(std::make_unique_for_overwrite<char[]>(kBuffer)) {}

size_t ByteSource::pull_or_end(char* to, size_t bytes) {
  if (has_failed_) return 0;
  try {
    return pull(to, bytes);
  } catch (...) {
    begin_ = end_;  // what is buffered is the beginning of something that never comes
    has_failed_ = true;
    throw;
  }
}

void ByteSource::refill(size_t bytes) {
  std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  while (end_ < bytes) {
    const size_t count = pull_or_end(buffer_.get() + end_, kBuffer - end_);
    if (count == 0) return;
    end_ += count;
    end_position_ += count;
  }
}

size_t ByteSource::read(void* to, size_t bytes) {
  size_t done = std::min(bytes, end_ - begin_);
  if (done > 0) std::memcpy(to, buffer_.get() + begin_, done);
  begin_ += done;
  while (done < bytes) {
    char* next = static_cast<char*>(to) + done;
    if (bytes - done >= kBuffer) {
      const size_t count = pull_or_end(next, bytes - done);
      if (count == 0) break;
      end_position_ += count;
      done += count;
    } else {
      const std::string_view part = peek(1).substr(0, bytes - done);
      if (part.empty()) break;
      std::memcpy(next, part.data(), part.size());
      consume(part.size());
      done += part.size();
    }
  }
  return done;
}

uint64_t ByteSource::skip(uint64_t bytes) {
  uint64_t done = 0;
  while (done < bytes) {
    const size_t part = std::min<uint64_t>(peek(1).size(), bytes - done);
    if (part == 0) break;
    consume(part);
    done += part;
  }
  return done;
}

InputFile::InputFile(std::string path) : ByteSource(std::move(path)), file_(open_file(this->path())) {}

size_t InputFile::pull(char* to, size_t bytes) {
  while (true) {
    const ssize_t count = ::read(file_.descriptor.get(), to, bytes);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) fail_reading(path(), errno_text(errno));
  }
}

uint64_t InputFile::skip(uint64_t bytes) {
  if (bytes <= buffered().size()) {
    consume(static_cast<size_t>(bytes));
    return bytes;
  }
  const uint64_t done = std::min(bytes, most_left());
  seek(position() + done);
  return done;
}

void InputFile::seek(uint64_t position) {
  if (position > file_.size) {
    fail_reading(path(), cat("byte ", position, " is beyond its end at ", file_.size));
  }
  if (::lseek(file_.descriptor.get(), static_cast<off_t>(position), SEEK_SET) < 0) {
    fail_reading(path(), errno_text(errno));
  }
  restart(position);
}

OutputFile::OutputFile(std::string path, Mode mode) : path_(std::move(path)) {
  const int how = mode == Mode::replace ? O_TRUNC : mode == Mode::append ? O_APPEND : O_EXCL;
  file_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | how, 0666));
  struct stat status;
  if (!file_.is_open() || fstat(file_.get(), &status) != 0) fail_writing(path_, errno_text(errno));
  if (mode == Mode::append) flushed_ = static_cast<uint64_t>(status.st_size);
}

void OutputFile::flush() {
  if (buffer_.empty()) return;
  if (!file_.is_open()) fail_writing(path_, "it is closed");
  const int error = write_fully(file_, buffer_.data(), buffer_.size());
  if (error != 0) {
    // What was written of the buffer goes, so that the file ends where a flush ended.
    if (::ftruncate(file_.get(), static_cast<off_t>(flushed_)) == 0)
      ::lseek(file_.get(), static_cast<off_t>(flushed_), SEEK_SET);
    fail_writing(path_, errno_text(error));
  }
  flushed_ += buffer_.size();
  buffer_.clear();
}

void OutputFile::sync() {
  flush();
  if (::fsync(file_.get()) != 0) fail_writing(path_, errno_text(errno));
}

void OutputFile::close() {
  flush();
  if (!file_.is_open()) return;
  if (const int error = file_.close(); error != 0) fail_writing(path_, errno_text(error));
}

}  // namespace etch::detail
