// What is done with the variables of a module, whose type is erased.
#include "etch/module.h"

#include <algorithm>
#include <map>

#include "compiler/ir/cat.h"
#include "frontend/path_visitor.h"
#include "frontend/trace.h"
#include "frontend/variable_cell.h"
#include "runtime/flat_map.h"

namespace etch::detail {

struct [[gnu::visibility("hidden")]] Cloner::State {
  FlatMap<const VariableCell*, Variable> variables;
  FlatMap<const void*, std::shared_ptr<void>> shared;
  std::shared_ptr<std::map<int64_t, int64_t>> originals = std::make_shared<std::map<int64_t, int64_t>>();
};

Cloner::Cloner() : state_(std::make_unique<State>()) {}
Cloner::~Cloner() = default;

Variable Cloner::variable(const Variable& original) {
  VariableCell* cell = VariableAccess::get(original);
  if (cell == nullptr) return {};
  Variable& copy = state_->variables[cell];
  if (copy.defined()) return copy;
  const VariableOptions& options = cell->options();
  copy = original.built() ? Variable(init_scope([&] { return original.value(); }), options) : Variable::deferred(options);
  VariableAccess::get(copy)->set_frozen(cell->is_frozen());
  state_->originals->emplace(VariableAccess::get(copy)->number(), cell->number());
  return copy;
}

std::shared_ptr<void> Cloner::find_shared(const void* original) const {
  const auto known = state_->shared.find(original);
  return known == state_->shared.end() ? nullptr : known->second;
}

std::shared_ptr<const std::map<int64_t, int64_t>> Cloner::originals() const { return state_->originals; }

void Cloner::add_shared(const void* original, std::shared_ptr<void> copy) {
  state_->shared.emplace(original, std::move(copy));
}

namespace {

/// A variable as it was found.
struct Found {
  std::string name;
  Variable variable;
  VariableCell* cell;
  bool is_random_state;
};

/// A module as it was found, the outermost one first.
struct FoundModule {
  std::string name;
  std::string_view type;
  bool is_callable;
  int outer;                // index of the module around it, or -1
  std::vector<Found> own;   // variables that stand in no module inside of it
};

/// `Dense` of `etch::layers::Dense`.
std::string short_type(std::string_view type) {
  const std::string_view head = type.substr(0, type.find('<'));
  const size_t colon = head.rfind("::");
  return std::string(colon == std::string_view::npos ? type : type.substr(colon + 2));
}

/// Lists the modules and the variables of a module, each variable once.
class Lister final : public PathVisitor<> {
 public:
  explicit Lister(const AnyModule& module) {
    modules.push_back({"", module.type, false, -1, {}});
    module.walk(module.object, *this);
  }

  void variable(const Variable& variable, bool is_random_state) override {
    VariableCell* cell = VariableAccess::get(variable);
    if (cell == nullptr || !seen_.insert(cell).second) return;
    modules[innermost_].own.push_back({path(), variable, cell, is_random_state});
    order_.emplace_back(innermost_, modules[innermost_].own.size() - 1);
  }
  void begin_module(std::string_view type, bool is_callable) override {
    if (path().empty()) return;  // the module itself
    modules.push_back({path(), type, is_callable, static_cast<int>(innermost_), {}});
    innermost_ = modules.size() - 1;
    open_.push_back(innermost_);
  }
  void end_module() override {
    if (path().empty()) return;
    open_.pop_back();
    innermost_ = open_.empty() ? 0 : open_.back();
  }

  /// In the order of the members.
  std::vector<Found*> all() {
    std::vector<Found*> all;
    for (const auto& [module, index] : order_) all.push_back(&modules[module].own[index]);
    return all;
  }
  /// True for what counts as a module of its own.
  bool is_module(size_t i) const {
    return i > 0 && (modules[i].is_callable || !modules[i].own.empty());
  }
  bool is_inside(size_t i, size_t outer) const {
    for (int at = static_cast<int>(i); at >= 0; at = modules[at].outer) {
      if (at == static_cast<int>(outer)) return true;
    }
    return false;
  }

  std::vector<FoundModule> modules;

 private:
  size_t innermost_ = 0;
  std::vector<size_t> open_;
  FlatSet<const VariableCell*> seen_;
  std::vector<std::pair<size_t, size_t>> order_;
};

/// Those with a value that get_weights gives.
std::vector<Found> weights_of(const AnyModule& module) {
  std::vector<Found> weights;
  Lister lister(module);
  for (Found* found : lister.all()) {
    if (found->cell->is_built() && !found->is_random_state) weights.push_back(std::move(*found));
  }
  return weights;
}

}  // namespace

std::vector<NamedVariable> named_variables(const AnyModule& module) {
  std::vector<NamedVariable> variables;
  Lister lister(module);
  for (const Found* found : lister.all()) {
    if (found->cell->is_built()) variables.push_back({found->name, found->variable});
  }
  return variables;
}

std::vector<Variable> variables(const AnyModule& module) {
  std::vector<Variable> variables;
  for (NamedVariable& variable : named_variables(module)) variables.push_back(std::move(variable.variable));
  return variables;
}

std::vector<Variable> trainable_variables(const AnyModule& module, bool trainable) {
  std::vector<Variable> chosen = variables(module);
  std::erase_if(chosen, [&](const Variable& variable) {
    return VariableAccess::get(variable)->trainable() != trainable;
  });
  return chosen;
}

std::vector<Submodule> submodules(const AnyModule& module) {
  const Lister lister(module);
  std::vector<Submodule> result;
  for (size_t i = 0; i < lister.modules.size(); ++i) {
    if (!lister.is_module(i)) continue;
    const FoundModule& found = lister.modules[i];
    Submodule submodule{found.name, short_type(found.type), {}};
    for (size_t j = i; j < lister.modules.size(); ++j) {
      if (!lister.is_inside(j, i)) continue;
      for (const Found& own : lister.modules[j].own) {
        if (own.cell->is_built()) submodule.variables.push_back(own.variable);
      }
    }
    result.push_back(std::move(submodule));
  }
  return result;
}

void set_trainable(const AnyModule& module, bool trainable, Location where) {
  if (trace_nesting() > 0) {
    fail(where, "set_trainable inside of a traced function would happen once, while it is traced; call it outside: functions"
                " that depend on it are traced again");
  }
  Lister lister(module);
  for (const Found* found : lister.all()) found->cell->set_frozen(!trainable);
}

std::vector<Tensor> get_weights(const AnyModule& module, Location where) {
  const std::vector<Found> weights = weights_of(module);
  std::vector<Tensor> values;
  if (Trace::current()) {
    for (const Found& found : weights) values.push_back(found.variable.value(where));
    return values;
  }
  std::vector<VariableCell*> cells;
  for (const Found& found : weights) cells.push_back(found.cell);
  return read_together(cells);
}

void set_weights(const AnyModule& module, const std::vector<Tensor>& weights, Location where) {
  const std::vector<Found> variables = weights_of(module);
  if (weights.size() != variables.size()) {
    fail(where, cat("set_weights: ", weights.size(), " tensors are given, but the module has ", variables.size(),
                    " variables", variables.empty() ? "; layers get theirs by their first call" : ""));
  }
  std::vector<VariableCell*> cells;
  for (size_t i = 0; i < weights.size(); ++i) {
    const TensorImpl& impl = impl_of(weights[i], where);
    if (impl.type() != variables[i].cell->type()) {
      fail(where, cat("set_weights: ", variables[i].name, " is ", to_string(variables[i].cell->type()), " and cannot take ",
                      to_string(impl.type()), ", tensor ", i, " of those given"));
    }
    cells.push_back(variables[i].cell);
  }
  if (Trace* trace = Trace::current()) {
    for (size_t i = 0; i < weights.size(); ++i) trace->assign(*cells[i], weights[i], where);
    return;
  }
  for (const Tensor& weight : weights) {
    const TensorImpl& impl = impl_of(weight, where);
    if (impl.kind != TensorImpl::Kind::eager) fail_no_elements(impl, "set_weights", where);
  }
  assign_together(cells, weights);
}

namespace {

/// `1,234,567`.
std::string with_commas(int64_t n) {
  std::string text = std::to_string(n);
  for (auto i = static_cast<int64_t>(text.size()) - 3; i > 0; i -= 3) text.insert(static_cast<size_t>(i), ",");
  return text;
}

/// Columns side by side, the last one to the right.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      text += i + 1 < row.size() ? row[i] + space + "  " : space + row[i] + "\n";
    }
  }
  return text;
}

}  // namespace

std::string summarize(const AnyModule& module) {
  const Lister lister(module);
  std::vector<std::vector<std::string>> rows{{"module", "type", "variables", "parameters"}};
  int64_t total = 0, trainable = 0;
  for (size_t i = 0; i < lister.modules.size(); ++i) {
    const FoundModule& found = lister.modules[i];
    if (!lister.is_module(i) && found.own.empty()) continue;
    std::string variables;
    int64_t parameters = 0;
    for (const Found& own : found.own) {
      if (own.is_random_state) continue;
      const bool is_built = own.cell->is_built();
      std::string_view name = std::string_view(own.name).substr(found.name.size());
      if (name.starts_with('.')) name.remove_prefix(1);
      variables += cat(variables.empty() ? "" : ", ", name, " ", is_built ? to_string(own.cell->type()) : "not built yet");
      if (!is_built) continue;
      const int64_t size = own.cell->type().shape.product();
      parameters += size;
      if (own.cell->trainable()) trainable += size;
    }
    total += parameters;
    rows.push_back({i == 0 ? "(itself)" : found.name, short_type(found.type), variables, with_commas(parameters)});
  }
  return cat(short_type(module.type), "\n", table(rows), "total ", with_commas(total), ", trainable ",
             with_commas(trainable), ", not trainable ", with_commas(total - trainable), "\n");
}

}  // namespace etch::detail
