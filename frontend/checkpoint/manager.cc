// CheckpointManager: what a folder of checkpoints holds, and what is kept of it.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <limits>

#include "compiler/ir/cat.h"
#include "etch/checkpoint.h"
#include "frontend/checkpoint/checkpoint_state.h"
#include "frontend/checkpoint/file_system.h"
#include "frontend/files/file.h"
#include "frontend/flags.h"
#include "frontend/tensor_impl.h"

namespace etch {
namespace {

using detail::FileSystem;

constexpr std::string_view kPrefix = "ckpt-", kSuffix = ".safetensors";
/// The number in a name such as `ckpt-7.safetensors`; 0 for other names.
int64_t number_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) || name.size() <= kPrefix.size() + kSuffix.size()) {
    return 0;
  }
  const std::string_view digits = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool is_number =
      error == std::errc() && end == digits.data() + digits.size() && digits[0] != '0' && digits[0] != '-';
  return is_number ? number : 0;
}

/// Where a metric stands in the host's state.
std::string metric_key(std::string_view name) { return cat(detail::kOfFile, "metrics/", name); }

/// A file whose head is whole.
struct Kept {
  int64_t number = 0;
  std::string path;
  std::optional<double> metric{};
};

}  // namespace

struct [[gnu::visibility("hidden")]] CheckpointManager::State {
  Checkpoint checkpoint;
  std::string folder;
  CheckpointManagerOptions options;
  PendingSave pending;
  int64_t last_number = 0;  // that was given

  std::string path_of(int64_t number) const { return cat(folder, "/", kPrefix, number, kSuffix); }

  /// Of the files in the folder; none if it is not there. Error if it cannot be read.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    const int error = detail::list_folder(folder, names);
    if (error != 0 && error != ENOENT) detail::fail_reading(folder, detail::errno_text(error));
    return names;
  }

  int64_t highest_number() const {
    int64_t highest = last_number;
    for (const std::string& name : names()) highest = std::max(highest, number_of(name));
    return highest;
  }

  /// Files that are half-written, damaged or another program's are passed over.
  std::vector<Kept> scan(bool warns = false) const {
    std::vector<Kept> kept;
    for (const std::string& name : names()) {
      const int64_t number = number_of(name);
      if (number == 0) continue;
      Kept one{number, path_of(number)};
      try {
        const detail::FileHead head = detail::read_file_head(one.path, {});
        const std::string key = metric_key(options.best_by);
        if (!options.best_by.empty() && head.metadata.host.contains(key)) {
          one.metric = head.metadata.host.get<double>(key);
        }
      } catch (const Error& error) {
        if (warns) detail::warn(cat(error.what(), "; it is passed over"));
        continue;
      }
      kept.push_back(std::move(one));
    }
    std::ranges::sort(kept, {}, &Kept::number);
    return kept;
  }

  /// Whether a is better than b. A file without the metric, or with a NaN, is the worst; of equal ones the newer is
  /// better.
  bool is_better(const Kept& a, const Kept& b) const {
    const auto rank = [&](const Kept& one) {
      const double worst = -std::numeric_limits<double>::infinity();
      if (!one.metric || std::isnan(*one.metric)) return std::pair(0, worst);
      return std::pair(1, options.best_is_max ? *one.metric : -*one.metric);
    };
    const auto rank_a = rank(a), rank_b = rank(b);
    return rank_a == rank_b ? a.number > b.number : rank_a > rank_b;
  }

  /// Removes what is not to be kept, beside the newest.
  void remove_old() const {
    if (options.max_to_keep == 0) return;
    std::vector<Kept> kept = scan();
    if (kept.empty()) return;
    const int64_t newest = kept.back().number;
    if (options.best_by.empty()) std::ranges::reverse(kept);
    else std::ranges::sort(kept, [&](const Kept& a, const Kept& b) { return is_better(a, b); });
    for (size_t i = static_cast<size_t>(options.max_to_keep); i < kept.size(); ++i) {
      if (kept[i].number == newest) continue;
      const int error = FileSystem::current().remove(kept[i].path);
      if (error != 0 && error != ENOENT) {
        detail::warn(cat("cannot remove ", kept[i].path, ": ", detail::errno_text(error)));
      }
    }
  }
};

CheckpointManager::CheckpointManager(Checkpoint checkpoint, std::string folder, CheckpointManagerOptions options,
                                     Location where)
    : state_(new State{std::move(checkpoint), std::move(folder), std::move(options), {}}) {
  if (state_->options.max_to_keep < 0) {
    detail::fail(where,
                 cat("CheckpointManager: max_to_keep is ", state_->options.max_to_keep, "; it is 0 for all, or more"));
  }
  if (state_->folder.empty()) detail::fail(where, "CheckpointManager: the folder has no name");
}

CheckpointManager::CheckpointManager(CheckpointManager&&) noexcept = default;
CheckpointManager& CheckpointManager::operator=(CheckpointManager&&) noexcept = default;
CheckpointManager::~CheckpointManager() = default;

std::string CheckpointManager::save(const Metrics& metrics, Location where) {
  State& state = *state_;
  const bool has_best = state.options.best_by.empty() || std::ranges::any_of(metrics, [&](const auto& metric) {
                          return metric.first == state.options.best_by;
                        });
  if (!has_best) {
    detail::fail(where, cat("CheckpointManager: the best is found by ", state.options.best_by,
                            ", which is not among the metrics of this save"));
  }
  wait();
  const int64_t number = state.highest_number() + 1;
  state.last_number = number;
  const std::string path = state.path_of(number);
  detail::TensorFile file = detail::take_snapshot(*state.checkpoint.state_, where);
  for (const auto& [name, value] : metrics) file.metadata.host.set(metric_key(name), value);
  const auto write = [&state, path, where, file = std::move(file)] {
    detail::write_tensor_file(path, file, where);
    state.remove_old();
  };
  if (state.options.asynchronous) state.pending = detail::Saving::start(path, write, where);
  else write();
  return path;
}

void CheckpointManager::wait() { state_->pending.wait(); }

std::vector<std::string> CheckpointManager::checkpoints() const {
  std::vector<std::string> paths;
  for (Kept& kept : state_->scan()) paths.push_back(std::move(kept.path));
  return paths;
}

std::optional<std::string> CheckpointManager::latest() const {
  std::vector<Kept> kept = state_->scan();
  if (kept.empty()) return {};
  return std::move(kept.back().path);
}

std::optional<std::string> CheckpointManager::best(Location where) const {
  if (state_->options.best_by.empty()) detail::fail(where, "CheckpointManager: there is no best one without best_by");
  const std::vector<Kept> kept = state_->scan();
  const auto best =
      std::ranges::min_element(kept, [&](const Kept& a, const Kept& b) { return state_->is_better(a, b); });
  if (best == kept.end()) return {};
  return best->path;
}

std::optional<RestoreStatus> CheckpointManager::restore_latest(Location where) {
  wait();
  std::vector<Kept> kept = state_->scan(true);
  std::ranges::reverse(kept);
  for (const Kept& one : kept) {
    detail::TensorFile file;
    try {
      file = detail::read_checkpoint_file(one.path, where);
    } catch (const Error& error) {
      detail::warn(cat(error.what(), "; the one before is restored"));
      continue;
    }
    return RestoreStatus(detail::restore_values(state_->checkpoint.state_, one.path, std::move(file), where));
  }
  return {};
}

}  // namespace etch
