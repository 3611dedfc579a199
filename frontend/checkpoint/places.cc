// The walk over the objects of a checkpoint.
#include "frontend/checkpoint/places.h"

#include <algorithm>
#include <set>

#include "compiler/ir/cat.h"
#include "frontend/path_visitor.h"
#include "runtime/flat_map.h"

namespace etch::detail {
namespace {

class PlaceFinder final : public PathVisitor<SlotVisitor> {
 public:
  explicit PlaceFinder(bool with_random_states) : with_random_states_(with_random_states) {}

  void walk(const NamedObject& object) {
    object_ = object.name;
    object.walk(object.object, *this);
  }

  void variable(const Variable& variable, bool is_random_state) override {
    const VariableCell* cell = VariableAccess::get(variable);
    if (cell == nullptr || (is_random_state && !with_random_states_)) return;
    const auto [known, is_new] = known_.emplace(cell, places.variables.size());
    if (is_new) places.variables.push_back({{}, path(), variable});
    std::string name = joined(object_, path());
    if (names_.insert(name).second) places.variables[known->second].names.push_back(std::move(name));
  }
  void optimizer(const optimizers::Optimizer& optimizer) override {
    places.optimizers.push_back({joined(object_, path()), optimizer});
  }
  void begin_module(std::string_view, bool) override {}
  void end_module() override {}

  Places places;

 private:
  const bool with_random_states_;
  std::string object_;
  FlatMap<const VariableCell*, size_t> known_;
  std::set<std::string> names_;
};

}  // namespace

std::string joined(std::string_view name, std::string_view inner) {
  return cat(name, name.empty() || inner.empty() ? "" : "/", inner);
}

Places find_places(const std::vector<NamedObject>& objects, bool with_random_states) {
  PlaceFinder finder(with_random_states);
  for (const NamedObject& object : objects) {
    if (object.walk) finder.walk(object);
  }
  return std::move(finder.places);
}

const VariablePlace* Places::find(std::string_view name) const {
  const auto found = std::ranges::find_if(
      variables, [&](const VariablePlace& place) { return std::ranges::find(place.names, name) != place.names.end(); });
  return found == variables.end() ? nullptr : &*found;
}

std::vector<SlotPlace> Places::slots() const {
  std::vector<SlotPlace> all;
  std::set<const VariableCell*> seen;
  for (const auto& [name, optimizer] : optimizers) {
    struct Owned {
      const VariablePlace* owner;
      std::vector<OptimizerSlot> slots;
    };
    std::vector<Owned> owned;
    std::map<std::string_view, int> count;  // of the owners by their inner path
    for (const VariablePlace& place : variables) {
      std::vector<OptimizerSlot> slots = find_slots(optimizer, place.variable);
      if (slots.empty()) continue;
      ++count[place.inner];
      owned.push_back({&place, std::move(slots)});
    }
    const auto add = [&](const OptimizerSlot& slot, std::string_view path, std::string_view owner) {
      if (!seen.insert(VariableAccess::get(slot.variable)).second) return;
      all.push_back({cat(name, "/", slot.name, "/", path), std::string(owner), slot.variable});
    };
    for (const Owned& one : owned) {
      const bool is_unique = !one.owner->inner.empty() && count[one.owner->inner] == 1;
      const std::string& path = is_unique ? one.owner->inner : one.owner->name();
      for (const OptimizerSlot& slot : one.slots) add(slot, path, one.owner->name());
    }
    // Those of variables that the checkpoint does not have are told apart by their order.
    const auto rest = all_slots(optimizer);
    for (size_t i = 0; i < rest.size(); ++i) {
      for (const OptimizerSlot& slot : rest[i]) add(slot, cat("[", i, "]"), {});
    }
  }
  return all;
}

}  // namespace etch::detail
