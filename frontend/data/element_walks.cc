// ElementWalks: one stack of them for each thread.
#include "frontend/data/element_walks.h"

#include <utility>

#include "compiler/ir/cat.h"

namespace etch::detail {
namespace {

thread_local ElementWalks* innermost = nullptr;

}  // namespace

ElementWalks::ElementWalks() : outer_(std::exchange(innermost, this)) {}
ElementWalks::~ElementWalks() { innermost = outer_; }

ElementWalks& ElementWalks::current() {
  if (innermost) return *innermost;
  throw Error("a loop over a data set runs as a part of a call only");
}

int64_t ElementWalks::add(Walk walk) {
  walks_.emplace(next_, std::move(walk));
  return next_++;
}

void ElementWalks::end(int64_t number) {
  const auto walk = walks_.find(number);
  if (walk == walks_.end()) return;
  if (const auto position = walk->second.source->position()) positions_[walk->second.path] = *position;
  walks_.erase(walk);
}

std::string ElementWalks::progress() const {
  std::map<std::string, int64_t> behind = positions_;
  for (const auto& [number, walk] : walks_) behind[walk.path] = walk.source->position().value_or(walk.given);
  std::string text;
  for (const auto& [path, count] : behind) {
    text += cat(text.empty() ? " (" : ", ", "behind ", count, count == 1 ? " element of " : " elements of ", path);
  }
  return text.empty() ? text : text + ")";
}

}  // namespace etch::detail
