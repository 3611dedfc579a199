// Progress: what a training prints while it goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "etch/callbacks.h"

namespace etch::detail {

/// Where progress is printed and how.
struct ProgressTarget {
  std::function<void(std::string_view)> write;
  std::function<double()> now;  // seconds
  bool is_bar = false;          // draws a bar over and over in one line; else a line at the end
  int columns = 80;
};

/// The standard output.
ProgressTarget standard_output(bool is_bar);
bool is_terminal();

/// One walk over samples: an epoch, an evaluation.
class Progress {
 public:
  /// Prints nothing if there is no `write`. @param steps how many there will be; negative if nobody knows.
  Progress(ProgressTarget target, std::string title, int64_t steps);

  /// After a step over so many samples.
  void step(int64_t samples, const Logs& logs);
  void end(const Logs& logs);

 private:
  std::string line(const Logs& logs, bool is_over) const;
  void draw(const std::string& text);

  ProgressTarget target_;
  std::string title_;
  int64_t steps_;
  int64_t done_ = 0;
  int64_t samples_ = 0;
  double begin_ = 0;
  double stepped_ = 0;      // when the last step was over
  double drawn_ = 0;        // when it was drawn last
  size_t drawn_width_ = 0;  // and how long it was
};

}  // namespace etch::detail
