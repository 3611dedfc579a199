// The optimizers, as Keras 3 computes them.
#include "etch/optimizers.h"

#include <map>
#include <mutex>
#include <set>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/optimizer_slots.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"
#include "frontend/variable_cell.h"

namespace etch::optimizers {

using detail::fail_in_op;
using detail::Scope;

namespace {

/// Assigns where an update takes place: with gradient accumulation that is known by the step alone.
struct Assign {
  Tensor applies{};  // bool[]; none for always

  void operator()(const Variable& variable, const Tensor& value) const {
    variable.assign(applies.defined() ? where(applies, value, variable) : value);
  }
};

/// One variable of an update: its value, its gradient, and what all of them share.
struct Update {
  Assign assign;
  Variable variable;
  Tensor gradient;
  Tensor learning_rate;               // of the variable's dtype
  Tensor step;                        // this update's number from 1 on, of that dtype
  std::span<const Variable> slots;    // in the order of Rule::slots
  std::span<const Tensor> shared;     // what Rule::begin gave

  void move(const Tensor& by) const { assign(variable, variable - by); }
};

/// A variable beside each variable that is updated.
struct Slot {
  const char* name;
  double initial = 0;
  const char* saved_name = name;  // in checkpoints
};

/// Moves a slot towards a value and gives it.
Tensor moved(const Update& u, size_t slot, const Tensor& value, double rate) {
  const Tensor next = u.slots[slot] + (value - u.slots[slot]) * (1 - rate);
  u.assign(u.slots[slot], next);
  return next;
}

/// The same, as some rules write it.
Tensor averaged(const Update& u, size_t slot, const Tensor& value, double rate) {
  const Tensor next = u.slots[slot] * rate + value * (1 - rate);
  u.assign(u.slots[slot], next);
  return next;
}

}  // namespace

struct [[gnu::visibility("hidden")]] Optimizer::Rule {
  virtual ~Rule() = default;
  virtual std::vector<Slot> slots() const = 0;
  /// What an update computes once, from its number, f32. Variables of it are made by the first update.
  virtual std::vector<Tensor> begin(const Tensor&, const Assign&) { return {}; }
  virtual void update(const Update& update) const = 0;
  virtual void visit(detail::ModuleVisitor&) const {}
  virtual std::unique_ptr<Rule> clone(detail::Cloner& cloner) const = 0;
};

struct [[gnu::visibility("hidden")]] Optimizer::State {
  LearningRate given;
  Common common;
  std::unique_ptr<Rule> rule;
  Variable learning_rate;  // undefined for a schedule
  Variable iterations;

  std::mutex mutex;  // guards what follows
  std::vector<std::vector<Variable>> slots;  // of each variable, in the order of first use
  std::map<int64_t, size_t> slots_by_number;  // of the variable
  std::shared_ptr<const std::map<int64_t, int64_t>> originals;  // of variables that were cloned with the optimizer

  static State& of(const Optimizer& optimizer) { return *optimizer.state_; }

  bool accumulates() const { return common.gradient_accumulation_steps > 1; }
  bool averages() const { return common.ema.momentum > 0; }
  /// Those of the rule, then the accumulated gradient and the average, if there are such.
  std::vector<Slot> slot_specs() const {
    std::vector<Slot> specs = rule->slots();
    if (accumulates()) specs.push_back({"gradient_accumulator"});
    if (averages()) specs.push_back({"average"});
    return specs;
  }

  /// Where the slots of a variable stand, or where they stood for the one that it was cloned from; with the mutex held.
  std::optional<size_t> find_slots(int64_t number) const {
    if (const auto known = slots_by_number.find(number); known != slots_by_number.end()) return known->second;
    if (!originals) return {};
    const auto original = originals->find(number);
    if (original == originals->end()) return {};
    const auto known = slots_by_number.find(original->second);
    return known == slots_by_number.end() ? std::optional<size_t>() : known->second;
  }

  /// The variables beside a variable; made, if they are not there, but not built.
  std::vector<Variable> slots_of(const Variable& variable) {
    const int64_t number = detail::VariableAccess::get(variable)->number();
    const std::lock_guard lock(mutex);
    if (const std::optional<size_t> known = find_slots(number)) return slots[*known];
    std::vector<Variable> own;
    for (const Slot& slot : slot_specs()) {
      own.push_back(Variable::deferred({cat(variable.name(), "_", slot.name), false}));
    }
    slots_by_number.emplace(number, slots.size());
    slots.push_back(own);
    return own;
  }

  /// The same, built.
  std::vector<Variable> built_slots_of(const Variable& variable) {
    std::vector<Variable> own = slots_of(variable);
    const std::vector<Slot> specs = slot_specs();
    for (size_t i = 0; i < own.size(); ++i) {
      if (!own[i].built()) own[i].build([&] { return full(variable.shape(), specs[i].initial, variable.dtype()); });
    }
    return own;
  }
};

Optimizer::Optimizer(LearningRate learning_rate, const Common& common, std::unique_ptr<Rule> rule, Location where)
    : state_(std::make_shared<State>()) {
  const Clipping& clipping = common.clipping;
  const int count = clipping.value.has_value() + clipping.norm.has_value() + clipping.global_norm.has_value();
  if (count > 1) detail::fail(where, "optimizer: one of clipping's value, norm and global_norm may be set, not several");
  for (const std::optional<double>& bound : {clipping.value, clipping.norm, clipping.global_norm}) {
    if (bound && !(*bound > 0)) {
      detail::fail(where, cat("optimizer: clipping to ", detail::number_text(*bound), "; the bound is above 0"));
    }
  }
  if (!(common.weight_decay >= 0)) {
    detail::fail(where, cat("optimizer: weight_decay is ", detail::number_text(common.weight_decay),
                            "; it may not be below 0"));
  }
  if (!(common.ema.momentum >= 0 && common.ema.momentum < 1)) {
    detail::fail(where, cat("optimizer: ema.momentum is ", detail::number_text(common.ema.momentum),
                            "; it is 0 for none, or below 1"));
  }
  if (common.ema.overwrite_frequency < 0) {
    detail::fail(where, cat("optimizer: ema.overwrite_frequency is ", common.ema.overwrite_frequency,
                            "; it may not be below 0"));
  }
  if (common.gradient_accumulation_steps < 1) {
    detail::fail(where, cat("optimizer: gradient_accumulation_steps is ", common.gradient_accumulation_steps,
                            "; it is 1 or more"));
  }
  state_->given = std::move(learning_rate);
  state_->common = common;
  state_->rule = std::move(rule);
  if (!state_->given.schedule()) {
    state_->learning_rate =
        Variable([&] { return full({}, state_->given.rate(), DType::f32); }, {"learning_rate", false}, where);
  }
  state_->iterations = Variable([] { return Tensor(int64_t{0}); }, {"iterations", false}, where);
}

const Variable& Optimizer::learning_rate(Location where) const {
  if (!state_->learning_rate.defined()) {
    detail::fail(where, "optimizer: the learning rate follows a schedule, so it is no variable");
  }
  return state_->learning_rate;
}

const Variable& Optimizer::iterations() const { return state_->iterations; }

void Optimizer::etch_visit(detail::ModuleVisitor& visitor) const {
  detail::visit_part(std::string_view("iterations"), state_->iterations, visitor);
  detail::visit_part(std::string_view("learning_rate"), state_->learning_rate, visitor);
  state_->rule->visit(visitor);
  if (auto* slots = dynamic_cast<detail::SlotVisitor*>(&visitor)) return slots->optimizer(*this);
  const std::lock_guard lock(state_->mutex);
  visitor.enter(std::string_view("slots"));
  for (size_t i = 0; i < state_->slots.size(); ++i) detail::visit_part(uint64_t{i}, state_->slots[i], visitor);
  visitor.leave();
}

Optimizer::Copy Optimizer::etch_clone(detail::Cloner& cloner) const {
  auto copy = std::make_shared<State>();
  copy->given = state_->given;
  copy->common = state_->common;
  copy->rule = state_->rule->clone(cloner);
  copy->learning_rate = cloner.variable(state_->learning_rate);
  copy->iterations = cloner.variable(state_->iterations);
  copy->originals = cloner.originals();
  const std::lock_guard lock(state_->mutex);
  copy->slots_by_number = state_->slots_by_number;
  for (const std::vector<Variable>& slots : state_->slots) copy->slots.push_back(detail::clone_value(slots, cloner));
  return {*this, std::move(copy)};
}

namespace {

std::string type_text(const Tensor& x) { return to_string(Type{x.dtype(), x.shape()}); }

/// A gradient and its variable.
struct Pair {
  Tensor gradient;
  Variable variable;
};

/// Those that have a gradient. Error for what cannot be applied.
std::vector<Pair> checked_pairs(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables,
                                Location where) {
  if (gradients.size() != variables.size()) {
    fail_in_op(where, cat("apply_gradients: ", gradients.size(), " gradients are given for ", variables.size(), " variables"));
  }
  std::vector<Pair> pairs;
  std::set<const detail::VariableCell*> seen;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Variable& variable = variables[i];
    const std::string name = variable.name(where);
    if (!seen.insert(detail::VariableAccess::get(variable)).second) {
      fail_in_op(where, cat("apply_gradients: variable ", name, " stands twice"));
    }
    if (!is_floating(variable.dtype(where))) {
      fail_in_op(where, cat("apply_gradients: variable ", name, " is of ", etch::name(variable.dtype()), ", not of floats"));
    }
    if (!gradients[i].defined()) continue;
    if (gradients[i].dtype() != variable.dtype() || gradients[i].shape() != variable.shape()) {
      fail_in_op(where, cat("apply_gradients: variable ", name, " is ", to_string(Type{variable.dtype(), variable.shape()}),
                            ", but its gradient ", type_text(gradients[i])));
    }
    pairs.push_back({gradients[i], variable});
  }
  if (pairs.empty()) {
    fail_in_op(where, cat("apply_gradients: ", variables.empty() ? "there are no variables" : "no variable has a gradient",
                          "; layers have variables from their first call on, and frozen ones are not among"
                          " trainable_variables"));
  }
  return pairs;
}

Tensor clipped_by_norm(const Tensor& gradient, double bound) {
  const Tensor squares = sum(square(gradient));
  const Tensor is_zero = squares <= 0;
  const Tensor length = where(is_zero, squares, sqrt(where(is_zero, 1.0, squares)));
  return gradient * bound / maximum(length, bound);
}

void clip_gradients(std::vector<Pair>& pairs, const Clipping& clipping) {
  if (clipping.global_norm) {
    const double bound = *clipping.global_norm;
    Tensor squares = full({}, 0.0, DType::f32);
    for (const Pair& pair : pairs) squares = squares + cast(sum(square(pair.gradient)), DType::f32);
    const Tensor scale = bound * minimum(1 / sqrt(squares), 1 / bound);
    for (Pair& pair : pairs) pair.gradient = pair.gradient * cast(scale, pair.gradient.dtype());
  }
  for (Pair& pair : pairs) {
    if (clipping.norm) pair.gradient = clipped_by_norm(pair.gradient, *clipping.norm);
    if (clipping.value) pair.gradient = clip(pair.gradient, -*clipping.value, *clipping.value);
  }
}

/// Moves the average of a variable, and puts it in its place where it is time.
void move_average(const Variable& variable, const Variable& average, const Tensor& updates, const Ema& ema) {
  const DType dtype = variable.dtype();
  const Tensor momentum = where(updates == int64_t{0}, zeros({}, dtype), full({}, ema.momentum, dtype));
  const Tensor next = momentum * average + (1 - momentum) * variable;
  average.assign(next);
  if (ema.overwrite_frequency == 0) return;
  const Tensor is_time = floor_mod(updates + int64_t{1}, ema.overwrite_frequency) == int64_t{0};
  variable.assign(where(is_time, next, variable));
}

}  // namespace

void Optimizer::apply_gradients(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables,
                                Location where) const {
  const Scope scope("apply_gradients", where);
  std::vector<Pair> pairs = checked_pairs(gradients, variables, where);
  State& state = *state_;
  const int64_t n = state.common.gradient_accumulation_steps;
  const Tensor iterations = state.iterations;
  const Tensor rate = state.given.schedule() ? state.given.schedule()(iterations) : state.learning_rate.value();
  const Tensor updates = n > 1 ? floor_div(iterations, n) : iterations;  // there were so far
  const Tensor step = updates + int64_t{1};
  const Assign assign{n > 1 ? floor_mod(iterations + int64_t{1}, n) == int64_t{0} : Tensor()};

  if (state.accumulates()) {
    for (Pair& pair : pairs) {
      const Variable accumulator = state.built_slots_of(pair.variable)[state.rule->slots().size()];
      const Tensor sum = pair.gradient + accumulator;
      accumulator.assign(etch::where(assign.applies, zeros({}, sum.dtype()), sum));
      pair.gradient = sum / static_cast<double>(n);
    }
  }
  clip_gradients(pairs, state.common.clipping);
  const std::vector<Tensor> shared = state.rule->begin(cast(step, DType::f32), assign);
  for (const Pair& pair : pairs) {
    const Variable& variable = pair.variable;
    const std::vector<Variable> slots = state.built_slots_of(variable);
    const DType dtype = variable.dtype();
    const Update update{assign, variable, pair.gradient, cast(rate, dtype), cast(step, dtype), slots, shared};
    if (state.common.weight_decay > 0) update.move(variable * (update.learning_rate * state.common.weight_decay));
    state.rule->update(update);
    if (state.averages()) move_average(variable, slots.back(), updates, state.common.ema);
    if (const Constraint& constraint = detail::VariableAccess::get(variable)->options().constraint) {
      variable.assign(constraint(variable));
    }
  }
  state.iterations.assign(iterations + int64_t{1});
}

void Optimizer::finalize_variable_values(const std::vector<Variable>& variables) const {
  if (!state_->averages()) return;
  for (const Variable& variable : variables) {
    const Variable average = state_->slots_of(variable).back();
    if (average.built()) variable.assign(average.value());
  }
}

namespace {

struct SGDRule final : Optimizer::Rule {
  explicit SGDRule(const SGDOptions& options) : options(options) {}
  std::vector<Slot> slots() const override {
    if (options.momentum == 0) return {};
    return {{"momentum"}};
  }
  std::unique_ptr<Rule> clone(detail::Cloner&) const override { return std::make_unique<SGDRule>(*this); }
  void update(const Update& u) const override {
    const Tensor change = u.gradient * u.learning_rate;
    if (options.momentum == 0) return u.move(change);
    const Variable& momentum = u.slots[0];
    const Tensor next = momentum * options.momentum - change;
    u.assign(momentum, next);
    u.assign(u.variable, u.variable + (options.nesterov ? next * options.momentum - change : next));
  }
  SGDOptions options;
};

struct AdamRule final : Optimizer::Rule {
  AdamRule(double beta_1, double beta_2, double epsilon) : beta_1(beta_1), beta_2(beta_2), epsilon(epsilon) {}
  std::vector<Slot> slots() const override { return {{"momentum", 0, "m"}, {"velocity", 0, "v"}}; }
  std::unique_ptr<Rule> clone(detail::Cloner&) const override { return std::make_unique<AdamRule>(*this); }
  void update(const Update& u) const override {
    const DType dtype = u.variable.dtype();
    const Tensor rest_1 = 1 - pow(full({}, beta_1, dtype), u.step);
    const Tensor rest_2 = 1 - pow(full({}, beta_2, dtype), u.step);
    const Tensor rate = u.learning_rate * sqrt(rest_2) / rest_1;
    const Tensor m = moved(u, 0, u.gradient, beta_1);
    const Tensor v = moved(u, 1, square(u.gradient), beta_2);
    u.move(m * rate / (sqrt(v) + epsilon));
  }
  double beta_1, beta_2, epsilon;
};

struct NadamRule final : Optimizer::Rule {
  explicit NadamRule(const AdamOptions& options) : options(options) {}
  std::vector<Slot> slots() const override { return {{"momentum", 0, "m"}, {"velocity", 0, "v"}}; }
  /// The momenta of this update and the next, and their products with those of all updates before.
  std::vector<Tensor> begin(const Tensor& step, const Assign& assign) override {
    if (!product.built()) product.build([] { return Tensor(1.f); });
    const auto momentum = [&](const Tensor& t) {
      return (1 - pow(full({}, 0.96, DType::f32), t) * 0.5) * options.beta_1;
    };
    const Tensor now = momentum(step), next = momentum(step + 1);
    const Tensor product_now = product * now;
    assign(product, product_now);
    return {now, next, product_now, product_now * next};
  }
  void update(const Update& u) const override {
    const DType dtype = u.variable.dtype();
    const auto shared = [&](size_t i) { return cast(u.shared[i], dtype); };
    const Tensor m = moved(u, 0, u.gradient, options.beta_1);
    const Tensor v = moved(u, 1, square(u.gradient), options.beta_2);
    const Tensor m_hat = m * shared(1) / (1 - shared(3)) + u.gradient * (1 - shared(0)) / (1 - shared(2));
    const Tensor v_hat = v / (1 - pow(full({}, options.beta_2, dtype), u.step));
    u.move(m_hat * u.learning_rate / (sqrt(v_hat) + options.epsilon));
  }
  std::unique_ptr<Rule> clone(detail::Cloner& cloner) const override {
    auto copy = std::make_unique<NadamRule>(options);
    copy->product = cloner.variable(product);
    return copy;
  }
  void visit(detail::ModuleVisitor& visitor) const override {
    detail::visit_part(std::string_view("product"), product, visitor);
  }
  AdamOptions options;
  Variable product = Variable::deferred({"product_of_momenta", false});
};

struct RMSpropRule final : Optimizer::Rule {
  explicit RMSpropRule(const RMSpropOptions& options) : options(options) {}
  std::vector<Slot> slots() const override {
    std::vector<Slot> slots{{"velocity"}};
    if (options.momentum > 0) slots.push_back({"momentum"});
    if (options.centered) slots.push_back({"average_gradient"});
    return slots;
  }
  std::unique_ptr<Rule> clone(detail::Cloner&) const override { return std::make_unique<RMSpropRule>(*this); }
  void update(const Update& u) const override {
    Tensor spread = averaged(u, 0, square(u.gradient), options.rho);
    if (options.centered) spread = spread - square(averaged(u, options.momentum > 0 ? 2 : 1, u.gradient, options.rho));
    const Tensor change = u.gradient * u.learning_rate * rsqrt(spread + options.epsilon);
    if (options.momentum <= 0) return u.move(change);
    const Tensor next = u.slots[1] * options.momentum + change;
    u.assign(u.slots[1], next);
    u.move(next);
  }
  RMSpropOptions options;
};

struct AdagradRule final : Optimizer::Rule {
  explicit AdagradRule(const AdagradOptions& options) : options(options) {}
  std::vector<Slot> slots() const override { return {{"accumulator", options.initial_accumulator_value}}; }
  std::unique_ptr<Rule> clone(detail::Cloner&) const override { return std::make_unique<AdagradRule>(*this); }
  void update(const Update& u) const override {
    const Tensor sum = u.slots[0] + square(u.gradient);
    u.assign(u.slots[0], sum);
    u.move(u.gradient * u.learning_rate / sqrt(sum + options.epsilon));
  }
  AdagradOptions options;
};

struct AdadeltaRule final : Optimizer::Rule {
  explicit AdadeltaRule(const AdadeltaOptions& options) : options(options) {}
  std::vector<Slot> slots() const override { return {{"accumulated_gradient"}, {"accumulated_change"}}; }
  std::unique_ptr<Rule> clone(detail::Cloner&) const override { return std::make_unique<AdadeltaRule>(*this); }
  void update(const Update& u) const override {
    const Tensor gradients = averaged(u, 0, square(u.gradient), options.rho);
    const Tensor change = sqrt(u.slots[1] + options.epsilon) * u.gradient / sqrt(gradients + options.epsilon);
    averaged(u, 1, square(change), options.rho);
    u.move(change * u.learning_rate);
  }
  AdadeltaOptions options;
};

struct LionRule final : Optimizer::Rule {
  explicit LionRule(const LionOptions& options) : options(options) {}
  std::vector<Slot> slots() const override { return {{"momentum"}}; }
  std::unique_ptr<Rule> clone(detail::Cloner&) const override { return std::make_unique<LionRule>(*this); }
  void update(const Update& u) const override {
    const Tensor direction = sign(u.slots[0] * options.beta_1 + u.gradient * (1 - options.beta_1));
    u.move(direction * u.learning_rate);
    averaged(u, 0, u.gradient, options.beta_2);
  }
  LionOptions options;
};

}  // namespace

SGD::SGD(LearningRate learning_rate, const SGDOptions& options, Location where)
    : Optimizer(std::move(learning_rate), common(options), std::make_unique<SGDRule>(options), where) {}

Adam::Adam(LearningRate learning_rate, const AdamOptions& options, Location where)
    : Optimizer(std::move(learning_rate), common(options),
                std::make_unique<AdamRule>(options.beta_1, options.beta_2, options.epsilon), where) {}

AdamW::AdamW(LearningRate learning_rate, const AdamWOptions& options, Location where)
    : Optimizer(std::move(learning_rate), common(options),
                std::make_unique<AdamRule>(options.beta_1, options.beta_2, options.epsilon), where) {}

Nadam::Nadam(LearningRate learning_rate, const AdamOptions& options, Location where)
    : Optimizer(std::move(learning_rate), common(options), std::make_unique<NadamRule>(options), where) {}

RMSprop::RMSprop(LearningRate learning_rate, const RMSpropOptions& options, Location where)
    : Optimizer(std::move(learning_rate), common(options), std::make_unique<RMSpropRule>(options), where) {}

Adagrad::Adagrad(LearningRate learning_rate, const AdagradOptions& options, Location where)
    : Optimizer(std::move(learning_rate), common(options), std::make_unique<AdagradRule>(options), where) {}

Adadelta::Adadelta(LearningRate learning_rate, const AdadeltaOptions& options, Location where)
    : Optimizer(std::move(learning_rate), common(options), std::make_unique<AdadeltaRule>(options), where) {}

Lion::Lion(LearningRate learning_rate, const LionOptions& options, Location where)
    : Optimizer(std::move(learning_rate), common(options), std::make_unique<LionRule>(options), where) {}

}  // namespace etch::optimizers

namespace etch::detail {
namespace {

using State = optimizers::Optimizer::State;

std::vector<OptimizerSlot> with_names(const State& state, const std::vector<Variable>& slots) {
  const auto specs = state.slot_specs();
  std::vector<OptimizerSlot> named;
  for (size_t i = 0; i < slots.size(); ++i) named.push_back({specs[i].saved_name, slots[i]});
  return named;
}

}  // namespace

std::vector<std::string> slot_names(const optimizers::Optimizer& optimizer) {
  std::vector<std::string> names;
  for (const auto& spec : State::of(optimizer).slot_specs()) names.emplace_back(spec.saved_name);
  return names;
}

std::vector<OptimizerSlot> find_slots(const optimizers::Optimizer& optimizer, const Variable& of) {
  State& state = State::of(optimizer);
  const std::lock_guard lock(state.mutex);
  const std::optional<size_t> known = state.find_slots(VariableAccess::get(of)->number());
  return known ? with_names(state, state.slots[*known]) : std::vector<OptimizerSlot>();
}

std::vector<OptimizerSlot> make_slots(const optimizers::Optimizer& optimizer, const Variable& of) {
  State& state = State::of(optimizer);
  return with_names(state, state.slots_of(of));
}

std::vector<std::vector<OptimizerSlot>> all_slots(const optimizers::Optimizer& optimizer) {
  State& state = State::of(optimizer);
  const std::lock_guard lock(state.mutex);
  std::vector<std::vector<OptimizerSlot>> all;
  for (const std::vector<Variable>& slots : state.slots) all.push_back(with_names(state, slots));
  return all;
}

}  // namespace etch::detail
