// TFRecordWriter: records in files that are packed or not.
#include <zlib.h>

#include <limits>

#include "etch/data/files.h"
#include "frontend/files/file.h"
#include "frontend/files/record_writer.h"
#include "frontend/tensor_impl.h"

namespace etch::data {
namespace {

using etch::detail::OutputFile;

/// Packs what is given to it into a file, as one gzip member.
class Packer {
 public:
  explicit Packer(OutputFile& file) : file_(file) {
    constexpr int kGzip = 16 + MAX_WBITS;
    constexpr int kMemory = 8;
    if (deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, kMemory, Z_DEFAULT_STRATEGY) != Z_OK) {
      etch::detail::fail_writing(file_.path(), "no memory to pack it");
    }
  }
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;
  ~Packer() { deflateEnd(&stream_); }

  void write(std::string_view bytes, int flush) {
    char packed[1 << 14];
    do {
      const auto part = static_cast<uInt>(std::min<size_t>(bytes.size(), std::numeric_limits<uInt>::max()));
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream_.avail_in = part;
      const int how = part == bytes.size() ? flush : Z_NO_FLUSH;
      do {
        stream_.next_out = reinterpret_cast<Bytef*>(packed);
        stream_.avail_out = sizeof packed;
        deflate(&stream_, how);
        file_.append({packed, sizeof packed - stream_.avail_out});
      } while (stream_.avail_out == 0);
      bytes.remove_prefix(part);
    } while (!bytes.empty());
  }

 private:
  OutputFile& file_;
  z_stream stream_{};
};

}  // namespace

struct TFRecordWriter::State {
  OutputFile file;
  std::unique_ptr<Packer> packer;
  bool is_open = true;
  std::string frame;  // a record with its frame, on its way to be packed

  void check_open() const {
    if (!is_open) etch::detail::fail_writing(file.path(), "the writer is closed");
  }
};

TFRecordWriter::TFRecordWriter(std::string path, Compression compression)
    : state_(std::make_unique<State>(State{OutputFile(std::move(path)), nullptr, true, {}})) {
  if (compression == Compression::gzip) state_->packer = std::make_unique<Packer>(state_->file);
}

TFRecordWriter::TFRecordWriter(TFRecordWriter&&) noexcept = default;

TFRecordWriter& TFRecordWriter::operator=(TFRecordWriter&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

TFRecordWriter::~TFRecordWriter() {
  if (state_ == nullptr || !state_->is_open) return;
  try {
    close();
  } catch (const Error&) {
    // Said of the destructor: who wants to know calls close().
  }
}

void TFRecordWriter::write(std::string_view record) {
  state_->check_open();
  if (state_->file.is_full()) state_->file.flush();
  if (state_->packer == nullptr) {
    etch::detail::append_record(state_->file, record);
    return;
  }
  state_->frame.clear();
  etch::detail::append_record(state_->frame, record);
  state_->packer->write(state_->frame, Z_NO_FLUSH);
}

void TFRecordWriter::flush() {
  state_->check_open();
  if (state_->packer != nullptr) state_->packer->write({}, Z_SYNC_FLUSH);
  state_->file.flush();
}

void TFRecordWriter::close() {
  if (!state_->is_open) return;
  if (state_->packer != nullptr) {
    state_->packer->write({}, Z_FINISH);
    state_->packer = nullptr;
  }
  state_->file.close();
  state_->is_open = false;
}

}  // namespace etch::data
