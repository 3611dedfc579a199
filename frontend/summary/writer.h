// SummaryWriter: an event file, its buffer and who flushes it in time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "etch/summary.h"

namespace etch::detail {

/// Used from any thread. Records reach the file whole and in the order in which they were added.
class [[gnu::visibility("hidden")]] SummaryWriter {
 public:
  /// Makes the directory and the file. Error if that cannot be.
  SummaryWriter(const std::string& directory, const summary::FileWriterOptions& options);
  /// Closes; an Error then is a warning.
  ~SummaryWriter();
  SummaryWriter(const SummaryWriter&) = delete;
  SummaryWriter& operator=(const SummaryWriter&) = delete;

  const std::string& path() const { return path_; }
  /// Unlike that of any other writer of this process.
  int64_t number() const { return number_; }
  /// The writer of that number, or nullptr if there is none any more.
  static std::shared_ptr<SummaryWriter> find(int64_t number);
  static std::shared_ptr<SummaryWriter> make(const std::string& directory, const summary::FileWriterOptions& options);

  /// Adds a serialised Event. Error if it is closed; what the disk refuses is told by flush().
  void add(std::string_view event);
  /// Hands to the system what waits. Error if that fails, or if events were lost since the last one said so.
  void flush();
  /// Flushes and closes, also where that is an Error. Does nothing a second time.
  void close();

 private:
  struct Queue;

  /// Error in a child of fork(): the parent has the file.
  void check_process() const;

  const int64_t number_;
  const std::string path_;
  const pid_t process_;
  std::unique_ptr<Queue> queue_;  // left alone in another process: its locks and threads are the parent's
};

/// Seconds since 1970.
double wall_time();

struct [[gnu::visibility("hidden")]] FileWriterAccess {
  static const std::shared_ptr<SummaryWriter>& get(const summary::FileWriter& writer) { return writer.writer_; }
  static summary::FileWriter make(std::shared_ptr<SummaryWriter> writer) {
    summary::FileWriter handle;
    handle.writer_ = std::move(writer);
    return handle;
  }
};

}  // namespace etch::detail
