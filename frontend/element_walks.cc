// ElementWalks: one stack of them for each thread.
#include "frontend/element_walks.h"

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

std::string ElementWalks::progress() const {
  std::string text;
  for (const auto& [number, walk] : walks_) {
    text += cat(text.empty() ? " (" : ", ", "behind ", walk.given, walk.given == 1 ? " element of " : " elements of ", walk.path);
  }
  return text.empty() ? text : text + ")";
}

}  // namespace etch::detail
