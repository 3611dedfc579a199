// The unpacked bytes of a gzip file, by zlib.
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "compiler/ir/cat.h"
#include "frontend/files/file.h"

namespace etch::detail {

struct GzipFile::Inflater {
  z_stream stream{};
  bool within_member = false;

  Inflater() = default;
  Inflater(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream); }
};

GzipFile::GzipFile(std::string path) : ByteSource(path), packed_(std::move(path)) { begin(); }

GzipFile::~GzipFile() = default;

void GzipFile::begin() {
  inflater_ = std::make_unique<Inflater>();
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  if (inflateInit2(&inflater_->stream, kGzipOnly) != Z_OK) fail_reading(path(), "no memory to unpack it");
}

size_t GzipFile::pull(char* to, size_t bytes) {
  z_stream& stream = inflater_->stream;
  const auto room = static_cast<uInt>(std::min<size_t>(bytes, std::numeric_limits<uInt>::max()));
  stream.next_out = reinterpret_cast<Bytef*>(to);
  stream.avail_out = room;
  while (stream.avail_out == room) {
    const std::string_view packed = packed_.peek(1);
    if (packed.empty()) {
      if (!inflater_->within_member) return 0;
      fail_reading(path(), cat("its gzip stream ends unfinished at byte ", packed_.position()));
    }
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    inflater_->within_member = true;
    const int result = inflate(&stream, Z_NO_FLUSH);
    packed_.consume(packed.size() - stream.avail_in);
    if (result == Z_STREAM_END) {
      inflater_->within_member = false;
      inflateReset(&stream);
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      fail_reading(path(), cat("its gzip stream is corrupt near byte ", packed_.position(),
                               stream.msg != nullptr ? cat(" (", stream.msg, ")") : std::string()));
    }
  }
  return room - stream.avail_out;
}

void GzipFile::seek(uint64_t position) {
  if (position < this->position()) {
    packed_.seek(0);
    restart(0);
    begin();
  }
  const uint64_t ahead = position - this->position();
  if (skip(ahead) < ahead) {
    fail_reading(path(), cat("byte ", position, " is beyond its unpacked end at ", this->position()));
  }
}

uint64_t GzipFile::most_left() const {
  constexpr uint64_t kMostPerByte = 1032;  // of deflate: 258 bytes for two bits
  constexpr uint64_t kWindow = 1 << 16;    // what zlib may still hold
  return buffered().size() + kWindow + packed_.most_left() * kMostPerByte;
}

}  // namespace etch::detail
