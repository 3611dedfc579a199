// print and require, and the way of all effects.
#include "etch/effects.h"

#include <cstring>
#include <iostream>
#include <mutex>
#include <utility>

#include "compiler/ir/cat.h"
#include "compiler/ir/ops/host_call.h"
#include "etch/ops.h"
#include "frontend/effects.h"
#include "frontend/format_array.h"
#include "frontend/trace.h"
#include "runtime/executable.h"

namespace etch {
namespace detail {
namespace {

thread_local bool is_mute = false;
thread_local ReplayEffects* replay = nullptr;

struct Sink {
  std::mutex mutex;
  PrintSink write;   // empty: std::cout

  static Sink& get() {
    static Sink* const sink = new Sink;
    return *sink;
  }
};

void write_line(const std::string& line) {
  Sink& sink = Sink::get();
  const std::lock_guard lock(sink.mutex);
  if (sink.write) return sink.write(line);
  std::cout << line << std::flush;
}

/// A text with a place for each of some values: `{}`. Braces of the text itself stand twice.
class Format {
 public:
  /// @param text Error if a brace in it stands alone.
  explicit Format(std::string_view text) : text_(text) {
    parts_.emplace_back();
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (c != '{' && c != '}') {
        parts_.back() += c;
        continue;
      }
      const char next = i + 1 < text.size() ? text[i + 1] : '\0';
      if (next != c && !(c == '{' && next == '}')) {
        throw Error(cat("the format `", text, "` has a single ", std::string(1, c), "; write {} for a value, {{ and }} for braces"));
      }
      next == c ? parts_.back() += c : parts_.emplace_back();
      ++i;
    }
  }

  /// The text as it is, with its braces twice.
  static std::string escaped(std::string_view text) {
    std::string escaped;
    for (char c : text) escaped.append(c == '{' || c == '}' ? 2 : 1, c);
    return escaped;
  }

  const std::string& text() const { return text_; }
  size_t num_values() const { return parts_.size() - 1; }

  std::string operator()(std::span<const HostValue> values) const {
    std::string text = parts_[0];
    for (size_t i = 0; i < values.size(); ++i) {
      text += format_array(values[i].type.dtype, values[i].data, values[i].type.shape) + parts_[i + 1];
    }
    return text;
  }

  /// The text with what is no tensor filled in; there is a place for each piece.
  std::string filled(std::initializer_list<Piece> pieces) const {
    std::string text = escaped(parts_[0]);
    size_t next = 1;
    for (const Piece& piece : pieces) {
      text += (piece.is_tensor() ? "{}" : escaped(piece.text())) + escaped(parts_[next++]);
    }
    return text;
  }

  /// Why it does not fit so many values; empty if it does.
  std::string refuse(size_t given) const {
    if (given == num_values()) return {};
    return cat("the format `", text_, "` has ", num_values(), num_values() == 1 ? " place" : " places", " for values, not ", given);
  }

 private:
  std::string text_;
  std::vector<std::string> parts_;  // between the values
};

class Print final : public HostFunction {
 public:
  explicit Print(std::string_view text) : format_(text) {}
  std::string_view name() const override { return "print"; }
  std::string text() const override { return format_.text(); }
  bool is_text() const override { return true; }
  std::string refuse(std::span<const HostType> operands) const override { return format_.refuse(operands.size()); }
  void run(std::span<const HostValue> operands, std::span<const HostValue>) const override {
    write_line(format_(operands) + "\n");
  }

 private:
  const Format format_;
};

class Require final : public HostFunction {
 public:
  explicit Require(std::string_view text) : format_(text) {}
  std::string_view name() const override { return "require"; }
  std::string text() const override { return format_.text(); }
  bool is_text() const override { return true; }
  std::string refuse(std::span<const HostType> operands) const override {
    if (operands.empty() || operands[0] != HostType{DType::boolean, {}}) return "the condition is not bool[]";
    return format_.refuse(operands.size() - 1);
  }
  void run(std::span<const HostValue> operands, std::span<const HostValue>) const override {
    if (!*static_cast<const bool*>(operands[0].data)) throw Error("require: " + format_(operands.subspan(1)));
  }

 private:
  const Format format_;
};

template <class Function>
std::shared_ptr<const HostFunction> read(std::string_view text) {
  return std::make_shared<const Function>(text);
}

[[maybe_unused]] const bool has_print = register_host_function("print", read<Print>);
[[maybe_unused]] const bool has_require = register_host_function("require", read<Require>);

/// The format of a require, with what is no tensor filled in.
std::string filled(std::string_view text, std::initializer_list<Piece> values, Location where) {
  try {
    const Format format(text);
    const std::string refused = format.refuse(values.size());
    if (refused.empty()) return format.filled(values);
    throw Error(refused);
  } catch (const Error& error) {
    fail(where, cat("require: ", error.what()));
  }
}

std::vector<HostValue> values_of(std::span<const Tensor> tensors) {
  std::vector<HostValue> values;
  for (const Tensor& tensor : tensors) {
    const TensorImpl& impl = *TensorAccess::get(tensor);
    values.push_back({{impl.dtype, impl.shape}, impl.data});
  }
  return values;
}

Tensors act(const HostFunction& function, std::span<const Tensor> operands, Location where) {
  std::vector<HostType> types;
  for (const Tensor& operand : operands) {
    const TensorImpl& impl = impl_of(operand, where);
    if (impl.kind != TensorImpl::Kind::eager) fail_no_elements(impl, function.name(), where);
    types.push_back({impl.dtype, impl.shape});
  }
  const std::string refused = function.refuse(types);
  if (!refused.empty()) fail(where, cat(function.name(), ": ", refused));
  Tensors results;
  for (const HostType& type : function.results()) results.push_back(allocate(type.dtype, type.shape, where, function.name()));
  const std::vector<HostValue> given = values_of(operands), made = values_of(results);
  if (is_mute && replay) {
    replay->next(made);
    return results;
  }
  if (is_mute) {
    for (const HostValue& value : made) std::memset(value.data, 0, static_cast<size_t>(value.type.bytes()));
    return results;
  }
  try {
    function.run(given, made);
  } catch (const Error& error) {
    fail(where, error.what());
  }
  return results;
}

}  // namespace

Tensors perform(std::shared_ptr<const HostFunction> function, std::span<const Tensor> operands, Location where) {
  where = Scope::place_of(where);
  Trace* const trace = Trace::current();
  if (trace == nullptr) return act(*function, operands, where);
  const Tensor token = trace->value_of(token_cell(), where);
  absl::InlinedVector<Value, 3> values{TensorAccess::get(token)->value};
  for (const Tensor& operand : operands) values.push_back(trace->value_of(impl_of(operand, where), where));
  Tensors results = trace->emit(op::HostCall{Host(std::move(function))}, values, {}, where);
  trace->assign(token_cell(), results[0], where);
  results.erase(results.begin());
  return results;
}

const HostFunction* host_function_of(const AnyOp& op) {
  const auto* call = op.as<op::HostCall>();
  return call ? call->function.function().get() : nullptr;
}

MuteEffects::MuteEffects() : outer_(std::exchange(is_mute, true)) {}
MuteEffects::~MuteEffects() { is_mute = outer_; }
bool effects_are_mute() { return is_mute; }

ReplayEffects::ReplayEffects(const EffectLog& log) : log_(log), outer_(std::exchange(replay, this)) {}
ReplayEffects::~ReplayEffects() { replay = outer_; }

void ReplayEffects::next(std::span<const HostValue> results) {
  if (is_incomplete_ || !repeat_effect(log_, next_++, results)) {
    is_incomplete_ = true;
    throw Unavailable();
  }
}

VariableCell& token_cell() {
  static VariableCell* const cell = [] {
    Tensor none = allocate(kTokenType.dtype, kTokenType.shape, {}, "the token");
    *static_cast<int64_t*>(TensorAccess::get(none)->data) = 0;
    return new VariableCell(std::move(none), {.name = "the order of effects", .trainable = false}, {});
  }();
  return *cell;
}

Piece::Piece(Number number, Location where) : text_(number_text(number)), where_(where) {}

void print(std::initializer_list<Piece> pieces) {
  std::string text;
  std::vector<Tensor> tensors;
  for (const Piece& piece : pieces) {
    if (&piece != pieces.begin()) text += ' ';
    text += piece.is_tensor() ? "{}" : Format::escaped(piece.text());
    if (piece.is_tensor()) tensors.push_back(piece.tensor());
  }
  const Location where = pieces.begin()->where();
  perform(read<Print>(text), tensors, where);
}

void require(const Operand& condition, std::string_view format, std::initializer_list<Piece> values) {
  const Location where = condition.where();
  if (condition.tensor() == nullptr && condition.number().kind() == Number::Kind::boolean && condition.number().integer()) return;
  Tensor asked = condition.tensor() ? *condition.tensor() : full(Shape{}, condition.number(), where);
  const Type type = impl_of(asked, where).type();
  if (type.size() != 1) {
    fail(where, cat("require: the condition is ", to_string(type), ", not one element; reduce it with all() or any()"));
  }
  if (type.dtype != DType::boolean) asked = not_equal(Operand(asked, where), Operand(0, where));
  if (!type.shape.empty()) asked = reshape(Operand(asked, where), Shape{});
  std::vector<Tensor> tensors{asked};
  for (const Piece& value : values) {
    if (value.is_tensor()) tensors.push_back(value.tensor());
  }
  perform(read<Require>(filled(format, values, where)), tensors, where);
}

}  // namespace detail

PrintSink set_print_sink(PrintSink sink) {
  detail::Sink& all = detail::Sink::get();
  const std::lock_guard lock(all.mutex);
  return std::exchange(all.write, std::move(sink));
}

}  // namespace etch
