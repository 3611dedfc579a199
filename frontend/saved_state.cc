// SavedState: names and the parts that they make.
#include "etch/saved_state.h"

#include "compiler/ir/cat.h"

namespace etch {

void SavedState::set_part(std::string_view name, const SavedState& part) {
  for (const auto& [inner, value] : part) set(cat(name, "/", inner), value);
}

SavedState SavedState::part(std::string_view name) const {
  const std::string prefix = cat(name, "/");
  SavedState part;
  for (auto i = values_.lower_bound(prefix); i != values_.end() && i->first.starts_with(prefix); ++i) {
    part.set(i->first.substr(prefix.size()), i->second);
  }
  return part;
}

const SavedState::Value& SavedState::at(std::string_view name) const {
  const auto found = values_.find(name);
  if (found != values_.end()) return found->second;
  throw Error(cat("a saved state holds no `", name, "`"));
}

void SavedState::refuse(std::string_view name) {
  throw Error(cat("a saved state holds `", name, "` as a value of another type"));
}

}  // namespace etch
