// Loops over data sets in traced functions: three functions of the host, which begin a walk, take an element, and end the walk.
#include "frontend/data/element_loop.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <utility>

#include "compiler/ir/cat.h"
#include "etch/data/element_loop.h"
#include "etch/ops.h"
#include "frontend/effects.h"
#include "frontend/data/element_walks.h"
#include "frontend/trace.h"

namespace etch::detail {
namespace {

const HostType kWalk{DType::i64, {}};   // the number of a walk

std::string refuse_all_but_one_number(std::string_view name, std::span<const HostType> operands) {
  if (operands.size() == 1 && operands[0] == kWalk) return {};
  return cat(name, " takes one i64[]");
}

int64_t number_in(std::span<const HostValue> operands) { return *static_cast<const int64_t*>(operands[0].data); }

class OpenElements final : public HostFunction {
 public:
  explicit OpenElements(std::shared_ptr<const ElementMaker> maker) : maker_(std::move(maker)), path_(maker_->path()) {}

  std::string_view name() const override { return "open_elements"; }
  std::string text() const override { return path_; }
  std::string refuse(std::span<const HostType> operands) const override {
    return refuse_all_but_one_number("the epoch", operands);
  }
  std::span<const HostType> results() const override { return {&kWalk, 1}; }
  void run(std::span<const HostValue> operands, std::span<const HostValue> results) const override {
    ElementWalks& walks = ElementWalks::current();
    const auto epoch = static_cast<uint64_t>(number_in(operands));
    *static_cast<int64_t*>(results[0].data) = walks.add({path_, maker_->open(epoch), 0});
  }

 private:
  const std::shared_ptr<const ElementMaker> maker_;
  const std::string path_;
};

std::string text_of(std::span<const HostType> types) {
  std::string text;
  for (const HostType& type : types) text += cat(text.empty() ? "" : ", ", to_string(Type{type.dtype, type.shape}));
  return cat("(", text, ")");
}

/// Gives 0 at the end, else the number of the element's type, from 1 on, and in the places of that type its tensors.
class NextElement final : public HostFunction {
 public:
  NextElement(std::string path, std::span<const data::ElementSpec> types) : path_(std::move(path)) {
    results_.push_back({DType::i64, {}});
    firsts_.push_back(1);
    for (const data::ElementSpec& type : types) {
      for (const TensorSpec& tensor : type.tensors) results_.push_back({tensor.dtype, tensor.shape});
      firsts_.push_back(results_.size());
    }
  }

  std::string_view name() const override { return "next_element"; }
  std::string text() const override { return path_; }
  std::string refuse(std::span<const HostType> operands) const override {
    return refuse_all_but_one_number("the walk", operands);
  }
  std::span<const HostType> results() const override { return results_; }

  void run(std::span<const HostValue> operands, std::span<const HostValue> results) const override {
    ElementWalks& walks = ElementWalks::current();
    ElementWalks::Walk& walk = walks.at(number_in(operands));
    auto& kind = *static_cast<int64_t*>(results[0].data);
    std::vector<Tensor>& tensors = walk.tensors;
    if (!walk.source->next(tensors)) {
      kind = 0;
      walks.end(number_in(operands));
      return;
    }
    const size_t type = type_of(tensors, walk.given);
    ++walk.given;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const HostValue& to = results[firsts_[type] + i];
      std::memcpy(to.data, TensorAccess::get(tensors[i])->data, static_cast<size_t>(to.type.bytes()));
      tensors[i] = Tensor();
    }
    kind = static_cast<int64_t>(type) + 1;
  }

  size_t num_types() const { return firsts_.size() - 1; }
  /// Where the tensors of a type stand among the results.
  std::pair<size_t, size_t> places(size_t type) const { return {firsts_[type], firsts_[type + 1]}; }

 private:
  std::span<const HostType> tensors_of(size_t type) const {
    return std::span(results_).subspan(firsts_[type], firsts_[type + 1] - firsts_[type]);
  }

  size_t type_of(std::span<const Tensor> tensors, int64_t number) const {
    const auto is_of = [](const HostType& type, const Tensor& tensor) {
      const TensorImpl& impl = impl_of(tensor, {});
      return impl.dtype == type.dtype && impl.shape == type.shape;
    };
    for (size_t type = 0; type < num_types(); ++type) {
      if (std::ranges::equal(tensors_of(type), tensors, is_of)) return type;
    }
    std::vector<HostType> found;
    for (const Tensor& tensor : tensors) found.push_back({impl_of(tensor, {}).dtype, impl_of(tensor, {}).shape});
    std::string known;
    for (size_t type = 0; type < num_types(); ++type) {
      const auto expected = tensors_of(type);
      known += cat(known.empty() ? "" : " or ", text_of(expected));
    }
    throw Error(cat("element ", number, " of ", path_, " is ", text_of(found), ", but its element_spec says ", known,
                    "; state all types of its elements"));
  }

  const std::string path_;
  std::vector<HostType> results_;
  std::vector<size_t> firsts_;   // per type, and the end
};

class CloseElements final : public HostFunction {
 public:
  explicit CloseElements(std::string path) : path_(std::move(path)) {}

  std::string_view name() const override { return "close_elements"; }
  std::string text() const override { return path_; }
  std::string refuse(std::span<const HostType> operands) const override {
    return refuse_all_but_one_number("the walk", operands);
  }
  void run(std::span<const HostValue> operands, std::span<const HostValue>) const override {
    ElementWalks::current().end(number_in(operands));
  }

 private:
  const std::string path_;
};

}  // namespace

class [[gnu::visibility("hidden")]] ElementLoopPlan {
 public:
  ElementLoopPlan(std::shared_ptr<const ElementMaker> maker, std::span<const data::ElementSpec> types)
      : open(maker), next(maker->path(), types), close(maker->path()) {}

  const OpenElements open;
  const NextElement next;
  const CloseElements close;
};

namespace {

/// A function of a plan, which keeps the plan: whoever holds what was recorded holds what a later run has to find again.
std::shared_ptr<const HostFunction> function_of(const std::shared_ptr<const ElementLoopPlan>& plan, const HostFunction& function) {
  return {plan, &function};
}

}  // namespace

std::shared_ptr<const ElementLoopPlan> make_element_loop_plan(std::shared_ptr<const ElementMaker> maker,
                                                              std::span<const data::ElementSpec> types, Location where) {
  if (!types.empty()) return std::make_shared<ElementLoopPlan>(std::move(maker), types);
  fail(where, cat("a loop over ", maker->path(), " in a traced function: the types of its elements are not known before it runs;"
                  " state them, by `with_spec` or in the options of what makes them (for the last batch, the number of elements by"
                  " `assert_cardinality`, or `drop_remainder`), or loop outside and call the function for each element"));
}

std::shared_ptr<const ElementLoopPlan> element_loop_plan_of(
    const data::StageBase& stage, const std::function<std::shared_ptr<const ElementLoopPlan>()>& make) {
  static std::mutex* const mutex = new std::mutex;
  static auto* const known = new std::map<const data::StageBase*, std::weak_ptr<const ElementLoopPlan>>;
  const auto find = [&] {
    const auto found = known->find(&stage);
    return found == known->end() ? nullptr : found->second.lock();
  };
  {
    const std::lock_guard lock(*mutex);
    if (auto plan = find()) return plan;
  }
  auto made = make();
  const std::lock_guard lock(*mutex);
  if (auto plan = find()) return plan;
  std::erase_if(*known, [](const auto& entry) { return entry.second.expired(); });
  (*known)[&stage] = made;
  return made;
}

void fail_elements_of_host(const data::StageBase& stage, Location where) {
  fail(where, cat("a loop over ", stage.path(), " in a traced function: its elements hold more than tensors, which are all that a"
                  " compiled loop can take; map them to tensors (as_tensors does it for numbers), or loop outside and call the"
                  " function for each element"));
}

void fail_if_recorded(std::string_view what, Location where) {
  if (!is_element_loop_recorded()) return;
  fail(where, cat(what, " in a traced function would happen once, while it is traced; do it outside, or write"
                        " `for (auto element : dataset)` there"));
}

void fail_iterator_is_gone() {
  throw Error("the iterator over a data set that the function was traced with is gone; keep it as long as the function is called");
}

bool is_element_loop_recorded() { return Trace::current() != nullptr || effects_are_mute(); }

bool takes_element(const AnyOp& op) { return dynamic_cast<const NextElement*>(host_function_of(op)) != nullptr; }

ElementLoop::ElementLoop(std::shared_ptr<const ElementLoopPlan> plan, const Tensor& epoch, Location where)
    : plan_(std::move(plan)), where_(where), exceptions_(std::uncaught_exceptions()) {
  const Tensor number = reshape(Operand(cast(epoch, DType::i64), where), Shape{});
  walk_ = perform(function_of(plan_, plan_->open), {&number, 1}, where)[0];
}

ElementLoop::~ElementLoop() {
  // A path that an exception leaves is not recorded to its end; what the call began ends with it.
  if (std::uncaught_exceptions() > exceptions_ || !is_element_loop_recorded()) return;
  try {
    perform(function_of(plan_, plan_->close), {&walk_, 1}, where_);
  } catch (...) {  // a run that is given up says so again at its next op
  }
}

bool ElementLoop::next() {
  const NextElement& function = plan_->next;
  const Tensors results = perform(function_of(plan_, function), {&walk_, 1}, where_);
  const Operand kind(results[0], where_);
  if (!bool(not_equal(kind, Operand(0, where_)))) return false;
  size_t type = 0;
  while (type + 1 < function.num_types() && !bool(equal(kind, Operand(static_cast<int64_t>(type) + 1, where_)))) ++type;
  const auto [first, last] = function.places(type);
  tensors_.assign(results.begin() + static_cast<std::ptrdiff_t>(first), results.begin() + static_cast<std::ptrdiff_t>(last));
  return true;
}

}  // namespace etch::detail
