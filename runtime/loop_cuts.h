// How the work of a step is cut into what threads take: of one launch, of a group of launches, of blocks of rows.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/executable.h"
#include "runtime/product_loops.h"
#include "runtime/rounding.h"

namespace etch {

inline int64_t grain_of(const Launch& launch, const RunOptions& options) {
  return options.grain > 0 ? options.grain : launch.grain;
}

/// How a launch is cut where it shares a loop with others: in parts, of which so many are a task.
struct Cut {
  Cut(const Launch& launch, const RunOptions& options)
      : grain(grain_of(launch, options)), task(task_parts(options)), iterations(launch.iterations) {}
  static int64_t task_parts(const RunOptions& options) { return options.grain > 0 ? 1 : kTaskParts; }

  int64_t parts() const { return ceil_div(iterations * task, grain); }
  /// The iteration with which a part begins, or the last one ends: where a grain is whole cache lines, at the end of one.
  int64_t edge(int64_t part) const {
    if (part == parts()) return iterations;
    constexpr int64_t kLine = 64;
    const int64_t multiple = task > 1 && grain % kLine == 0 ? kLine : 1;
    return std::min(iterations, part * grain / task / multiple * multiple);
  }

  int64_t grain, task, iterations;
};

/// The loop over all launches of a group: its length in parts, and the fewest that one task takes of them.
struct GroupLoop {
  GroupLoop(const LaunchGroup& group, const Launch* launches, const RunOptions& options) : parts(group.parts) {
    const int64_t task = Cut::task_parts(options);
    if (task != kTaskParts) {
      parts = 0;
      for (int32_t i = 0; i < group.count; ++i) parts += Cut(launches[group.first + i], options).parts();
    }
    const int64_t tasks = std::max<int64_t>(1, ceil_div(parts, task));
    grain = std::max<int64_t>(1, ceil_div(parts, tasks));
  }
  int64_t parts, grain;
};

/// How stripes are cut: blocks of about one size for each segment, and the fewest of them that are a task.
struct BlockLoop {
  BlockLoop(const Stripes& stripes, const RunOptions& options) : rows(stripes.rows), segment(stripes.segment) {
    int64_t most = options.grain > 0 ? std::min(stripes.block, options.grain) : stripes.block;
    // Where there are few blocks, as many for each thread.
    constexpr int64_t kManyBlocks = 8;
    if (options.threads > 1 && ceil_div(rows, most) < kManyBlocks * options.threads) {
      const int64_t whole = round_up(ceil_div(rows, most), options.threads);
      most = std::min(most, std::max(stripes.grain, ceil_div(rows, whole)));
    }
    block = std::min(most, round_up(ceil_div(segment, ceil_div(segment, most)), kProductRows));
    per_segment = ceil_div(segment, block);
    blocks = ceil_div(rows, segment) * per_segment;
    grain = options.grain > 0 ? 1 : ceil_div(stripes.grain, block);
  }

  struct Rows {
    int64_t begin, end;
  };
  Rows rows_of(int64_t number) const {
    const int64_t first = number / per_segment * segment, end = std::min(rows, first + segment);
    const int64_t begin = std::min(end, first + number % per_segment * block);
    return {begin, std::min(end, begin + block)};
  }


  int64_t rows, segment, block, per_segment, blocks, grain;
};

}  // namespace etch
