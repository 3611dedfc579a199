// A bar is a line that is written over.
#include "frontend/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "absl/strings/str_format.h"

namespace etch::detail {
namespace {

constexpr double kBetweenDrawings = 0.1;  // seconds
constexpr int64_t kBarWidth = 20;

std::string duration(double seconds) {
  if (seconds < 60) return absl::StrFormat("%.*f s", seconds < 10 ? 1 : 0, seconds);
  const auto whole = static_cast<int64_t>(seconds);
  if (whole < 3600) return absl::StrFormat("%d:%02d min", whole / 60, whole % 60);
  return absl::StrFormat("%d:%02d h", whole / 3600, whole / 60 % 60);
}

std::string rate(double samples_a_second) {
  if (samples_a_second < 10'000) return absl::StrFormat("%.0f/s", samples_a_second);
  if (samples_a_second < 10'000'000) return absl::StrFormat("%.0fk/s", samples_a_second / 1000);
  return absl::StrFormat("%.0fM/s", samples_a_second / 1'000'000);
}

std::string text_of(const Logs& logs) {
  std::string text;
  for (const auto& [name, value] : logs) {
    const bool is_small = value != 0 && value < 1e-3 && value > -1e-3;
    text += is_small ? absl::StrFormat("  %s: %.4e", name, value) : absl::StrFormat("  %s: %.4f", name, value);
  }
  return text;
}

int terminal_columns() {
  winsize size{};
  const bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return is_known ? size.ws_col : 80;
}

}  // namespace

bool is_terminal() { return isatty(STDOUT_FILENO) == 1; }

ProgressTarget standard_output(bool is_bar) {
  return {.write =
              [](std::string_view text) {
                std::fwrite(text.data(), 1, text.size(), stdout);
                std::fflush(stdout);
              },
          .now =
              [] {
                return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
              },
          .is_bar = is_bar,
          .columns = terminal_columns()};
}

Progress::Progress(ProgressTarget target, std::string title, int64_t steps)
    : target_(std::move(target)), title_(std::move(title)), steps_(steps) {
  if (target_.write) begin_ = stepped_ = drawn_ = target_.now();
}

void Progress::step(int64_t samples, const Logs& logs) {
  ++done_;
  samples_ += samples;
  if (!target_.write) return;
  stepped_ = target_.now();
  if (!target_.is_bar || stepped_ - drawn_ < kBetweenDrawings) return;
  drawn_ = stepped_;
  draw(line(logs, false));
}

void Progress::end(const Logs& logs) {
  if (!target_.write) return;
  if (target_.is_bar) draw(line(logs, true));
  else target_.write(line(logs, true));
  target_.write("\n");
}

std::string Progress::line(const Logs& logs, bool is_over) const {
  const double seconds = std::max(stepped_ - begin_, 1e-9);
  const bool is_known = steps_ >= 0;
  std::string text = is_known ? absl::StrFormat("%s  %d/%d", title_, done_, steps_)
                              : absl::StrFormat(is_over ? "%s  %d/%d" : "%s  %d/?", title_, done_, done_);
  if (target_.is_bar && is_known) {
    const int64_t filled = steps_ == 0 ? kBarWidth : kBarWidth * done_ / steps_;
    const std::string done(static_cast<size_t>(filled), '='), left(static_cast<size_t>(kBarWidth - filled), '.');
    text += "  [" + done + left + "]";
  }
  text += "  " + rate(static_cast<double>(samples_) / seconds) + "  ";
  if (is_over || !is_known) return text + duration(seconds) + text_of(logs);
  const double to_go = seconds / static_cast<double>(done_) * static_cast<double>(steps_ - done_);
  return text + "ETA " + duration(to_go) + text_of(logs);
}

/// A line that is too long would not be written over: it is cut; what the one before was longer is blanked.
void Progress::draw(const std::string& text) {
  std::string shown = text.substr(0, static_cast<size_t>(std::max(target_.columns - 1, 1)));
  const size_t width = shown.size();
  if (width < drawn_width_) shown.append(drawn_width_ - width, ' ');
  drawn_width_ = width;
  target_.write("\r" + shown);
}

}  // namespace etch::detail
