// ElementWalks: the walks over data sets that a call of a compiled function has begun.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "etch/data/element_loop.h"

namespace etch::detail {

/// While one stands, calls of this thread keep their walks in it; whatever they did not end, it ends.
class ElementWalks {
 public:
  ElementWalks();
  ~ElementWalks();
  ElementWalks(const ElementWalks&) = delete;
  ElementWalks& operator=(const ElementWalks&) = delete;

  /// The innermost one of this thread. Error if there is none.
  static ElementWalks& current();

  struct Walk {
    std::string path;
    std::unique_ptr<TensorSource> source;
    int64_t given = 0;   // elements so far
    std::vector<Tensor> tensors{};   // of the last one
  };
  int64_t add(Walk walk);
  Walk& at(int64_t number) { return walks_.at(number); }
  /// Ends one; nothing happens if it has ended.
  void end(int64_t number);

  /// How far the walks went that have not ended, and where iterators stand: ` (behind 17 elements of range > map)`; empty if there
  /// are none.
  std::string progress() const;

 private:
  ElementWalks* const outer_;
  int64_t next_ = 0;
  std::map<int64_t, Walk> walks_;
  std::map<std::string, int64_t> positions_;   // of iterators, by their paths
};

}  // namespace etch::detail
