// A buffer of records that a count, a clock or a call flushes.
#include "frontend/summary/writer.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include "absl/strings/str_format.h"
#include "compiler/ir/cat.h"
#include "frontend/files/record_writer.h"
#include "frontend/flags.h"
#include "frontend/summary/events.h"
#include "runtime/fork.h"

namespace etch::detail {
namespace {

using Clock = std::chrono::steady_clock;

struct Writers {
  std::mutex mutex;
  std::map<int64_t, std::weak_ptr<SummaryWriter>> by_number;

  static Writers& all() {
    static Writers* const writers = new Writers;
    return *writers;
  }

 private:
  const ForkHandler fork_handler_{ForkOrder::function, this,
                                  [](void* self) { return lock_soon(static_cast<Writers*>(self)->mutex); },
                                  [](void* self) { static_cast<Writers*>(self)->mutex.unlock(); },
                                  [](void* self) { static_cast<Writers*>(self)->mutex.unlock(); }};
};

std::string host_name() {
  char name[256] = "host";
  gethostname(name, sizeof name - 1);
  return name;
}

std::string new_path(const std::string& directory, const std::string& suffix, int64_t number) {
  const auto seconds = static_cast<int64_t>(wall_time());
  return absl::StrFormat("%s/events.out.tfevents.%010d.%s.%d.%d%s", directory, seconds, host_name(), getpid(), number,
                         suffix);
}

int64_t next_number() {
  static std::atomic<int64_t> next{0};
  return next.fetch_add(1, std::memory_order_relaxed);
}

std::string make_directory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) fail_writing(directory, error.message());
  return directory;
}

std::string events_text(int64_t count) { return cat(count, count == 1 ? " event" : " events"); }

}  // namespace

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// What waits to be written. A thread sleeps until the oldest of it has waited long enough.
struct SummaryWriter::Queue {
  Queue(const std::string& path, const summary::FileWriterOptions& options)
      : most(options.max_queue),
        interval(std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(std::min(options.flush_every_seconds, kLongest)))),
        records(path, OutputFile::Mode::create),
        flusher([this] { flush_in_time(); }) {}

  ~Queue() {
    {
      const std::lock_guard lock(mutex);
      is_over = true;
    }
    changed.notify_all();
    flusher.join();
  }

  void add(std::string_view event) {
    const std::lock_guard lock(mutex);
    if (is_closed) throw Error(cat("the writer of ", records.path(), " is closed"));
    try {
      records.write(event);
    } catch (const Error& error) {
      failure = error.what();
      ++lost;
      return;
    }
    if (waiting++ == 0) {
      due = Clock::now() + interval;
      changed.notify_all();
    }
    if (waiting > most) try_flush();
  }

  /// What fails is told by the next flush that somebody asks for.
  void try_flush() {
    due = Clock::now() + interval;
    try {
      records.flush();
      waiting = 0;
      if (lost == 0) failure.clear();
    } catch (const Error& error) {
      failure = error.what();
    }
  }

  void flush() {
    const std::lock_guard lock(mutex);
    if (is_closed) throw Error(cat("the writer of ", records.path(), " is closed"));
    try_flush();
    tell_failure();
  }

  void close() {
    const std::lock_guard lock(mutex);
    if (std::exchange(is_closed, true)) return;
    try_flush();
    lost += std::exchange(waiting, 0);
    try {
      if (lost == 0) records.close();
    } catch (const Error& error) {
      failure = error.what();
    }
    tell_failure();
  }

  /// Events that wait are written by a flush that succeeds; then only those that were lost are worth an Error.
  void tell_failure() {
    const std::string reason = std::exchange(failure, {});
    const int64_t gone = std::exchange(lost, 0);
    if (waiting == 0 && gone == 0 && (!is_closed || reason.empty())) return;
    std::string text = reason;
    if (waiting > 0) text += cat("; ", events_text(waiting), waiting == 1 ? " waits" : " wait", " for the next flush");
    if (gone > 0) text += cat("; ", events_text(gone), gone == 1 ? " is lost" : " are lost");
    throw Error(text);
  }

  void flush_in_time() {
    std::unique_lock lock(mutex);
    while (!is_over) {
      if (waiting == 0 || is_closed) {
        changed.wait(lock);
      } else if (changed.wait_until(lock, due) == std::cv_status::timeout && waiting > 0 && !is_closed &&
                 Clock::now() >= due) {
        try_flush();
      }
    }
  }

  static constexpr double kLongest = 1e8;  // seconds: later there is no time

  const int64_t most;
  const Clock::duration interval;
  std::mutex mutex;  // guards all below
  std::condition_variable changed;
  RecordWriter records;
  int64_t waiting = 0;      // events that were not flushed
  int64_t lost = 0;         // events that the disk refused when the buffer was full, since somebody was told
  std::string failure;      // the last one, which nobody was told
  Clock::time_point due{};  // when what waits is to be flushed
  bool is_closed = false, is_over = false;
  std::thread flusher;
};

SummaryWriter::SummaryWriter(const std::string& directory, const summary::FileWriterOptions& options)
    : number_(next_number()),
      path_(new_path(make_directory(directory), options.filename_suffix, number_)),
      process_(getpid()),
      queue_(std::make_unique<Queue>(path_, options)) {
  add(version_event(wall_time()));
  flush();
}

SummaryWriter::~SummaryWriter() {
  if (getpid() != process_) {
    (void)queue_.release();
    return;
  }
  Writers& writers = Writers::all();
  {
    const std::lock_guard lock(writers.mutex);
    writers.by_number.erase(number_);
  }
  try {
    close();
  } catch (const Error& error) {
    warn(cat("summary: ", error.what()));
  }
}

std::shared_ptr<SummaryWriter> SummaryWriter::make(const std::string& directory,
                                                   const summary::FileWriterOptions& options) {
  auto writer = std::make_shared<SummaryWriter>(directory, options);
  Writers& writers = Writers::all();
  const std::lock_guard lock(writers.mutex);
  writers.by_number.emplace(writer->number(), writer);
  return writer;
}

std::shared_ptr<SummaryWriter> SummaryWriter::find(int64_t number) {
  Writers& writers = Writers::all();
  const std::lock_guard lock(writers.mutex);
  const auto known = writers.by_number.find(number);
  return known == writers.by_number.end() ? nullptr : known->second.lock();
}

void SummaryWriter::check_process() const {
  if (getpid() == process_) return;
  throw Error(
      cat("the writer of ", path_, " was made before a fork; only the parent writes to it: make another one here"));
}

void SummaryWriter::add(std::string_view event) {
  check_process();
  queue_->add(event);
}

void SummaryWriter::flush() {
  check_process();
  queue_->flush();
}

void SummaryWriter::close() {
  check_process();
  queue_->close();
}

}  // namespace etch::detail
