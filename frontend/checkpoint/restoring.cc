// How the values of a file find their variables.
#include <algorithm>
#include <set>

#include "compiler/ir/cat.h"
#include "frontend/checkpoint/checkpoint_state.h"
#include "frontend/checkpoint/places.h"
#include "frontend/flags.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {
namespace detail {
namespace {

/// The values of the host that an object has in a file.
SavedState part_of(const SavedState& host, const std::string& name) {
  SavedState part = host.part(name);
  for (const auto& [key, value] : host) {
    if (key == name) part.set("", value);
  }
  return part;
}

bool belongs_to(std::string_view name, std::string_view object) {
  return name == object || (name.starts_with(object) && name.substr(object.size()).starts_with('/'));
}

/// What one match is about to change.
class Plan {
 public:
  Plan(Restoring& restoring, Location where) : restoring_(restoring), where_(where) {}

  void find_variables(const Places& places) {
    for (const VariablePlace& place : places.variables) {
      if (is_used(place.names)) continue;
      for (const std::string& name : place.names) {
        if (take(name, place.names, place.variable, nullptr)) break;
      }
    }
  }

  void find_slots(const Places& places) {
    std::multimap<std::string_view, std::string_view> slots_by_owner;
    for (const auto& [slot, owner] : restoring_.file.metadata.slots) slots_by_owner.emplace(owner, slot);
    for (const auto& [prefix, optimizer] : places.optimizers) {
      const std::vector<std::string> names = slot_names(optimizer);
      std::set<std::string_view> seen;
      for (const VariablePlace& place : places.variables) {
        const bool is_first = seen.insert(place.inner).second;
        for (size_t i = 0; i < names.size(); ++i) {
          const std::string begin = cat(prefix, "/", names[i], "/");
          const std::string found = find_slot(begin, place, slots_by_owner, is_first);
          if (!found.empty()) take(found, {found}, make_slots(optimizer, place.variable)[i].variable, &place);
        }
      }
    }
    for (const SlotPlace& slot : places.slots()) {
      if (slot.owner.empty()) take(slot.name, {slot.name}, slot.variable, nullptr);
    }
  }

  void find_objects() {
    for (const NamedObject& object : restoring_.state->objects) {
      if (!object.host.restore || restoring_.used.contains(object.name)) continue;
      SavedState part = part_of(restoring_.file.metadata.host, object.name);
      if (!part.empty()) objects_.push_back({&object, std::move(part)});
    }
  }

  /// What would be used then.
  void apply() {
    restore_objects();
    std::vector<VariableCell*> cells;
    std::vector<Tensor> values;
    for (Assignment& assignment : assignments_) {
      const Variable& variable = assignment.variable;
      if (!variable.built()) variable.build([&] { return assignment.value; }, where_);
      VariableCell& cell = *VariableAccess::get(variable);
      if (cell.type() != TensorAccess::get(assignment.value)->type()) {
        fail_type(assignment.name, cell.type(), assignment.value);
      }
      cells.push_back(&cell);
      values.push_back(std::move(assignment.value));
    }
    assign_together(cells, std::move(values));
  }

  /// Notes what is used.
  void note() {
    for (const Assignment& assignment : assignments_) {
      const auto found = restoring_.file.tensors.find(assignment.stored);
      if (found == restoring_.file.tensors.end()) continue;  // another name of what was used just now
      restoring_.file.tensors.erase(found);
    }
    for (const Assignment& assignment : assignments_) {
      for (const std::string& name : assignment.names) restoring_.used.emplace(name, assignment.type);
    }
    if (objects_.empty()) return;
    SavedState rest;
    for (const auto& [name, value] : restoring_.file.metadata.host) {
      const bool is_taken =
          std::ranges::any_of(objects_, [&](const ObjectState& one) { return belongs_to(name, one.object->name); });
      if (!is_taken) rest.set(name, value);
    }
    restoring_.file.metadata.host = std::move(rest);
    for (const ObjectState& one : objects_) restoring_.used.emplace(one.object->name, "host");
  }

 private:
  struct Assignment {
    std::string name, stored;
    std::vector<std::string> names;
    Variable variable;
    Tensor value;
    std::string type;
  };
  struct ObjectState {
    const NamedObject* object;
    SavedState state;
  };

  bool is_used(const std::vector<std::string>& names) const {
    return std::ranges::any_of(names, [&](const std::string& name) { return restoring_.used.contains(name); });
  }

  [[noreturn]] void fail_type(const std::string& name, const Type& type, const Tensor& value) const {
    fail(where_, cat("cannot restore ", restoring_.path, ": ", name, " is ", to_string(type), ", but in the file ",
                     to_string(TensorAccess::get(value)->type()), "; nothing was restored"));
  }

  /// Plans the value of a name, which may be an alias. `owner` of a slot that need not be built.
  bool take(const std::string& name, const std::vector<std::string>& names, const Variable& variable,
            const VariablePlace* owner) {
    const NamedTensors& tensors = restoring_.file.tensors;
    auto found = tensors.find(name);
    if (found == tensors.end()) {
      const auto alias = restoring_.file.metadata.aliases.find(name);
      if (alias != restoring_.file.metadata.aliases.end()) found = tensors.find(alias->second);
    }
    if (found == tensors.end() || is_used(names)) return false;
    if (const Type* type = type_of(variable, owner); type && *type != TensorAccess::get(found->second)->type()) {
      fail_type(name, *type, found->second);
    }
    assignments_.push_back(
        {name, found->first, names, variable, found->second, to_string(TensorAccess::get(found->second)->type())});
    return true;
  }

  /// The type that a variable has, or will have; nullptr if that is not known.
  const Type* type_of(const Variable& variable, const VariablePlace* owner) const {
    if (variable.built()) return &VariableAccess::get(variable)->type();
    if (owner == nullptr) return nullptr;
    if (owner->variable.built()) return &owner->cell().type();
    for (const Assignment& assignment : assignments_) {
      if (VariableAccess::get(assignment.variable) != VariableAccess::get(owner->variable)) continue;
      owner_type_ = TensorAccess::get(assignment.value)->type();
      return &owner_type_;
    }
    return nullptr;
  }

  /// The name of a variable's slot in the file: as the file says, or, if that says nothing, by the path.
  std::string find_slot(const std::string& begin, const VariablePlace& place,
                        const std::multimap<std::string_view, std::string_view>& slots_by_owner, bool is_first) const {
    for (const std::string& name : place.names) {
      const auto [first, last] = slots_by_owner.equal_range(name);
      for (auto slot = first; slot != last; ++slot) {
        if (slot->second.starts_with(begin)) return std::string(slot->second);
      }
      if (const std::string whole = begin + name; is_free(whole)) return whole;
    }
    if (const std::string inner = begin + place.inner; is_first && is_free(inner)) return inner;
    return {};
  }
  bool is_free(const std::string& slot) const {
    return restoring_.file.tensors.contains(slot) && !restoring_.file.metadata.slots.contains(slot);
  }

  /// All objects, or none.
  void restore_objects() {
    std::vector<SavedState> before;
    for (const ObjectState& one : objects_) before.push_back(one.object->host.save(one.object->object));
    for (size_t i = 0; i < objects_.size(); ++i) {
      try {
        objects_[i].object->host.restore(objects_[i].object->object, objects_[i].state);
      } catch (const Error& error) {
        for (size_t j = 0; j <= i; ++j) objects_[j].object->host.restore(objects_[j].object->object, before[j]);
        fail(where_, cat("cannot restore ", restoring_.path, ": ", objects_[i].object->name, ": ", error.what(),
                         "; nothing was restored"));
      }
    }
  }

  Restoring& restoring_;
  const Location where_;
  std::vector<Assignment> assignments_;
  std::vector<ObjectState> objects_;
  mutable Type owner_type_;
};

std::string names_of(const std::vector<RestoredValue>& values, RestoredValue::Outcome outcome) {
  constexpr int kMost = 5;
  std::string names;
  int count = 0;
  for (const RestoredValue& value : values) {
    if (value.outcome != outcome) continue;
    if (++count <= kMost) names += cat(names.empty() ? "" : ", ", value.name);
  }
  if (count > kMost) names += cat(" and ", count - kMost, " more");
  return names;
}

}  // namespace

void Restoring::match(Location where, bool is_strict) {
  if (trace_nesting() > 0) fail(where, cat("cannot restore ", path, " inside of a traced function; do it outside"));
  const Places places = find_places(state->objects, state->with_random_states);
  Plan plan(*this, where);
  plan.find_variables(places);
  plan.find_slots(places);
  plan.find_objects();
  if (!is_strict) plan.apply();
  plan.note();
  if (!is_strict) return;
  is_done = true;
  const std::vector<RestoredValue> found = values();
  const bool is_whole = std::ranges::all_of(
      found, [](const RestoredValue& value) { return value.outcome == RestoredValue::Outcome::restored; });
  if (!is_whole) {
    fail(where, cat("cannot load ", path,
                    ": it does not have just the values that there are variables for; nothing was loaded;"
                    " {.partial = true} takes what fits:\n",
                    table_of(found, path)));
  }
  plan.apply();
}

std::vector<RestoredValue> Restoring::values() const {
  using enum RestoredValue::Outcome;
  std::vector<RestoredValue> values;
  for (const auto& [name, type] : used) values.push_back({name, type, restored});
  for (const auto& [name, tensor] : file.tensors) {
    values.push_back({name, to_string(TensorAccess::get(tensor)->type()), unused});
  }
  for (const auto& [name, value] : file.metadata.host) values.push_back({name, "host", unused});
  const Places places = find_places(state->objects, state->with_random_states);
  const auto add_missing = [&](const std::vector<std::string>& names, const VariableCell& cell) {
    const bool is_used = std::ranges::any_of(names, [&](const std::string& name) { return used.contains(name); });
    if (cell.is_built() && !is_used) values.push_back({names[0], to_string(cell.type()), missing});
  };
  for (const VariablePlace& place : places.variables) add_missing(place.names, place.cell());
  for (const SlotPlace& slot : places.slots()) add_missing({slot.name}, slot.cell());
  for (const NamedObject& object : state->objects) {
    if (!object.host.save || used.contains(object.name) || object.host.save(object.object).empty()) continue;
    values.push_back({object.name, "host", missing});
  }
  std::ranges::sort(values, {}, &RestoredValue::name);
  return values;
}

Restoring::~Restoring() {
  if (is_done) return;
  try {
    const std::string unused = names_of(values(), RestoredValue::Outcome::unused);
    if (unused.empty()) return;
    warn(cat("restoring ", path, " left values of it unused: ", unused, "; expect_partial() says that this is meant"));
  } catch (...) {  // a warning is not worth an end of the program
  }
}

std::shared_ptr<Restoring> restore_values(std::shared_ptr<const CheckpointState> state, const std::string& path,
                                          TensorFile file, Location where, bool is_strict) {
  SavedState host;
  for (const auto& [name, value] : file.metadata.host) {
    if (!name.starts_with(kOfFile)) host.set(name, value);
  }
  file.metadata.host = std::move(host);
  auto restoring = std::make_shared<Restoring>(std::move(state), path, std::move(file));
  restoring->is_done = true;  // unless it succeeds
  restoring->match(where, is_strict);
  restoring->is_done = is_strict;
  return restoring;
}

std::string table_of(const std::vector<RestoredValue>& values, std::string_view path) {
  size_t name_width = 5, type_width = 4;
  for (const RestoredValue& value : values) {
    name_width = std::max(name_width, value.name.size());
    type_width = std::max(type_width, value.type.size());
  }
  const auto padded = [](std::string_view text, size_t width) {
    return cat(text, std::string(width + 2 - text.size(), ' '));
  };
  std::string text = cat(padded("value", name_width), padded("type", type_width), path, "\n");
  for (const RestoredValue& value : values) {
    text += cat(padded(value.name, name_width), padded(value.type, type_width));
    switch (value.outcome) {
      case RestoredValue::Outcome::restored: text += "restored\n"; break;
      case RestoredValue::Outcome::missing: text += "not in the file\n"; break;
      case RestoredValue::Outcome::unused: text += "not used: there is nothing of this name\n"; break;
    }
  }
  return text;
}

}  // namespace detail

std::vector<RestoredValue> RestoreStatus::values() const {
  apply();
  return restoring_->values();
}

std::string to_string(const RestoreStatus& status) {
  return detail::table_of(status.values(), status.restoring_->path);
}

void RestoreStatus::apply(Location where) const { restoring_->match(where); }

const RestoreStatus& RestoreStatus::assert_consumed(Location where) const {
  apply(where);
  restoring_->is_done = true;
  const std::vector<RestoredValue> values = restoring_->values();
  for (const RestoredValue& value : values) {
    if (value.outcome == RestoredValue::Outcome::restored) continue;
    detail::fail(where, cat("assert_consumed: ", restoring_->path, " was not restored as a whole:\n",
                            detail::table_of(values, restoring_->path)));
  }
  return *this;
}

const RestoreStatus& RestoreStatus::assert_existing_objects_matched(Location where) const {
  apply(where);
  restoring_->is_done = true;
  const std::vector<RestoredValue> values = restoring_->values();
  for (const RestoredValue& value : values) {
    if (value.outcome != RestoredValue::Outcome::missing) continue;
    detail::fail(where, cat("assert_existing_objects_matched: ", restoring_->path, " has no value for some:\n",
                            detail::table_of(values, restoring_->path)));
  }
  return *this;
}

const RestoreStatus& RestoreStatus::expect_partial() const {
  restoring_->is_done = true;
  return *this;
}

}  // namespace etch
