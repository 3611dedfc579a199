// Summaries as effects: what is computed of a value stands in the graph, what is written is a function of the host.
#include "etch/summary.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "compiler/ir/cat.h"
#include "etch/control_flow.h"
#include "etch/ops.h"
#include "frontend/effects.h"
#include "frontend/flags.h"
#include "frontend/summary/default_writer.h"
#include "frontend/summary/events.h"
#include "frontend/summary/graph_def.h"
#include "frontend/summary/png.h"
#include "frontend/summary/writer.h"
#include "frontend/trace.h"

namespace etch {
namespace detail {
namespace {

constexpr std::string_view kNoStep =
    "there is no step: give one, or set the default of this thread by summary::set_step";

/// What an op says beside its tensors: its text, from which it is read again.
struct SummaryText {
  std::string tag{};
  std::string description{};
  std::vector<std::string> strings{};  // of text
  bool is_table = false;             // they are a vector
  int64_t elements = 0;              // of histogram's data
  bool has_step = false;             // operand 0 is the step
  std::optional<int64_t> step{};       // the step, or that of the thread when it happens
  std::optional<int64_t> variable{};   // whose value operand 0 is: the default step when it was traced
  std::optional<int64_t> writer{};     // its number, or the default of the thread when it happens

  std::string to_string() const;
  static SummaryText read(std::string_view text);
};

/// Calls f(name, member) for each member, which stands in the text unless it is as in a new one.
template <class Text, class F>
void for_each_member(Text& text, F f) {
  f("tag", text.tag);
  f("description", text.description);
  f("strings", text.strings);
  f("is_table", text.is_table);
  f("elements", text.elements);
  f("has_step", text.has_step);
  f("step", text.step);
  f("variable", text.variable);
  f("writer", text.writer);
}

template <class T>
const T& value_in(const std::optional<T>& member) { return *member; }
template <class T>
const T& value_in(const T& member) { return member; }

std::string SummaryText::to_string() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for_each_member(*this, [&](const char* name, const auto& member) {
    if (member != std::remove_cvref_t<decltype(member)>()) json[name] = value_in(member);
  });
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

SummaryText SummaryText::read(std::string_view text) {
  SummaryText result;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    for_each_member(result, [&]<class T>(const char* name, T& member) {
      if (!json.contains(name)) return;
      if constexpr (requires { typename T::value_type; member.emplace(); } && !requires { member.size(); }) {
        member = json.at(name).get<typename T::value_type>();
      } else {
        member = json.at(name).get<T>();
      }
    });
  } catch (const nlohmann::json::exception& error) {
    throw Error(cat("the text of a summary is no JSON of its members: ", error.what()));
  }
  return result;
}

/// Writes one summary when it happens.
class Summary : public HostFunction {
 public:
  Summary(SummaryText text, std::shared_ptr<SummaryWriter> writer) : text_(std::move(text)), writer_(std::move(writer)) {}

  std::string text() const override { return text_.to_string(); }
  bool is_text() const override { return true; }
  std::string refuse(std::span<const HostType> operands) const override {
    if (text_.has_step) {
      if (operands.empty() || operands[0] != HostType{DType::i64, {}}) return "the step is not i64[]";
      operands = operands.subspan(1);
    }
    return refuse_values(operands);
  }
  void run(std::span<const HostValue> operands, std::span<const HostValue>) const override {
    const std::shared_ptr<SummaryWriter> writer = writer_ ? writer_ : default_writer();
    if (writer == nullptr) return;
    try {
      const EventHead head{wall_time(), step(operands), text_.tag, text_.description};
      writer->add(event(head, operands.subspan(text_.has_step ? 1 : 0)));
    } catch (const Error& error) {
      throw Error(cat("summary ", text_.tag, ": ", error.what()));
    }
  }

 protected:
  /// The same without the step.
  virtual std::string refuse_values(std::span<const HostType> values) const = 0;
  virtual std::string event(const EventHead& head, std::span<const HostValue> values) const = 0;

  const SummaryText text_;

 private:
  int64_t step(std::span<const HostValue> operands) const {
    if (text_.step) return *text_.step;
    const DefaultStep now = default_step();
    const auto* const variable = std::get_if<Variable>(&now);
    if (text_.variable) {
      if (variable && VariableAccess::get(*variable)->number() == *text_.variable) return *static_cast<int64_t*>(operands[0].data);
      throw Error("the function was traced with another default step; give the step as an argument, or set the same variable again");
    }
    if (text_.has_step) return *static_cast<int64_t*>(operands[0].data);
    if (const auto* const number = std::get_if<int64_t>(&now)) return *number;
    if (variable == nullptr) throw Error(std::string(kNoStep));
    throw Error("the function was traced before a variable became the default step; give the step as an argument");
  }

  const std::shared_ptr<SummaryWriter> writer_;
};

class ScalarSummary final : public Summary {
 public:
  using Summary::Summary;
  static constexpr std::string_view kName = "summary_scalar";
  std::string_view name() const override { return kName; }

 protected:
  std::string refuse_values(std::span<const HostType> values) const override {
    return values.size() == 1 && values[0] == HostType{DType::f32, {}} ? "" : "the value is not f32[]";
  }
  std::string event(const EventHead& head, std::span<const HostValue> values) const override {
    return scalar_event(head, *static_cast<const float*>(values[0].data));
  }
};

class HistogramSummary final : public Summary {
 public:
  using Summary::Summary;
  static constexpr std::string_view kName = "summary_histogram";
  std::string_view name() const override { return kName; }

 protected:
  std::string refuse_values(std::span<const HostType> values) const override {
    const bool fits = values.size() == 1 && values[0].dtype == DType::f64 && values[0].shape.rank() == 2 && values[0].shape[1] == 3;
    return fits ? "" : "the buckets are not f64[n,3]";
  }
  std::string event(const EventHead& head, std::span<const HostValue> values) const override {
    const std::span rows(static_cast<const double*>(values[0].data), static_cast<size_t>(values[0].type.shape.product()));
    double counted = 0;
    for (size_t i = 2; i < rows.size(); i += 3) counted += rows[i];
    const int64_t left_out = text_.elements - static_cast<int64_t>(counted);
    if (left_out > 0) {
      warn(cat("summary: histogram ", text_.tag, " at step ", head.step, " leaves out ", left_out, " of ", text_.elements,
               " elements, which are not finite"));
    }
    return histogram_event(head, rows);
  }
};

/// [count, height, width, channels] that a PNG can hold.
bool is_pictures(const Shape& shape) {
  return shape.rank() == 4 && shape[1] > 0 && shape[2] > 0 && shape[3] >= 1 && shape[3] <= 4;
}

class ImageSummary final : public Summary {
 public:
  using Summary::Summary;
  static constexpr std::string_view kName = "summary_image";
  std::string_view name() const override { return kName; }

 protected:
  std::string refuse_values(std::span<const HostType> values) const override {
    const bool fits = values.size() == 1 && values[0].dtype == DType::u8 && is_pictures(values[0].shape);
    return fits ? "" : "the images are not u8[count,height,width,1 to 4]";
  }
  std::string event(const EventHead& head, std::span<const HostValue> values) const override {
    const Shape& shape = values[0].type.shape;
    const int64_t height = shape[1], width = shape[2], channels = shape[3];
    const auto* pixels = static_cast<const uint8_t*>(values[0].data);
    std::vector<std::string> strings{std::to_string(width), std::to_string(height)};
    for (int64_t i = 0; i < shape[0]; ++i, pixels += height * width * channels) {
      strings.push_back(png_of(pixels, width, height, channels));
    }
    return strings_event(head, "images", strings, StringsShape::vector);
  }
};

class TextSummary final : public Summary {
 public:
  using Summary::Summary;
  static constexpr std::string_view kName = "summary_text";
  std::string_view name() const override { return kName; }

 protected:
  std::string refuse_values(std::span<const HostType> values) const override {
    return values.empty() ? "" : "a text takes no tensors";
  }
  std::string event(const EventHead& head, std::span<const HostValue>) const override {
    return strings_event(head, "text", text_.strings, text_.is_table ? StringsShape::vector : StringsShape::scalar);
  }
};

/// Flushes a writer in its turn.
class FlushSummaries final : public HostFunction {
 public:
  explicit FlushSummaries(std::shared_ptr<SummaryWriter> writer) : writer_(std::move(writer)) {}
  std::string_view name() const override { return "summary_flush"; }
  std::string text() const override { return writer_ ? std::to_string(writer_->number()) : ""; }
  bool is_text() const override { return true; }
  std::string refuse(std::span<const HostType> operands) const override {
    return operands.empty() ? "" : "a flush takes no tensors";
  }
  void run(std::span<const HostValue>, std::span<const HostValue>) const override {
    const std::shared_ptr<SummaryWriter> writer = writer_ ? writer_ : default_writer();
    if (writer) writer->flush();
  }

 private:
  const std::shared_ptr<SummaryWriter> writer_;
};

std::shared_ptr<SummaryWriter> known_writer(int64_t number) {
  if (std::shared_ptr<SummaryWriter> writer = SummaryWriter::find(number)) return writer;
  throw Error(cat("there is no writer of summaries with the number ", number));
}

template <class Kind>
std::shared_ptr<const HostFunction> read_summary(std::string_view text) {
  SummaryText read = SummaryText::read(text);
  std::shared_ptr<SummaryWriter> writer = read.writer ? known_writer(*read.writer) : nullptr;
  return std::make_shared<const Kind>(std::move(read), std::move(writer));
}

std::shared_ptr<const HostFunction> read_flush(std::string_view text) {
  if (text.empty()) return std::make_shared<const FlushSummaries>(nullptr);
  constexpr int kDigits = 18;
  if (text.size() > kDigits || text.find_first_not_of("0123456789") != text.npos) throw Error("the text is no number of a writer");
  return std::make_shared<const FlushSummaries>(known_writer(std::stoll(std::string(text))));
}

template <class Kind>
bool register_summary() {
  return register_host_function(Kind::kName, read_summary<Kind>);
}
[[maybe_unused]] const bool has_summaries = register_summary<ScalarSummary>() && register_summary<HistogramSummary>() &&
                                            register_summary<ImageSummary>() && register_summary<TextSummary>() &&
                                            register_host_function("summary_flush", read_flush);

/// A tensor as an i64 scalar. Error unless it is one element of integers.
Tensor as_step(const Tensor& step, std::string_view tag, Location where) {
  const Type type = impl_of(step, where).type();
  const DTypeKind kind = info(type.dtype).kind;
  if (type.size() != 1 || kind == DTypeKind::floating || kind == DTypeKind::boolean) {
    fail(where, cat("summary ", tag, ": the step is ", to_string(type), ", not one integer"));
  }
  const Tensor whole = type.dtype == DType::i64 ? step : cast(Operand(step, where), DType::i64);
  return type.shape.empty() ? whole : reshape(Operand(whole, where), Shape{});
}

/// Performs a summary of a kind, on a value or none.
template <class Kind>
void summarise(SummaryText text, const SummaryTarget& target, const summary::Step& step, const Tensor* value, Location where) {
  std::vector<Tensor> operands;
  if (step.number()) {
    text.step = *step.number();
  } else if (const Tensor given = step.tensor(); given.defined()) {
    operands.push_back(as_step(given, text.tag, where));
  } else if (const std::optional<int64_t> traced = traced_step()) {
    text.step = traced;
  } else if (const DefaultStep now = default_step(); const auto* const variable = std::get_if<Variable>(&now)) {
    operands.push_back(as_step(variable->value(where), text.tag, where));
    text.variable = VariableAccess::get(*variable)->number();
  }
  text.has_step = !operands.empty();
  if (value) operands.push_back(*value);
  if (target.writer) text.writer = target.writer->number();
  perform(std::make_shared<const Kind>(std::move(text), target.writer), operands, where);
}

SummaryTarget target_of(const summary::FileWriter& given) { return summary_target(FileWriterAccess::get(given)); }

const Tensor& tensor_of(const Operand& operand, Tensor& made) {
  if (operand.tensor()) return *operand.tensor();
  made = full(Shape{}, operand.number(), operand.where());
  return made;
}

/// See summary::histogram. Halves of f64 cannot overflow where differences of the whole could.
Tensor bucket_rows(const Tensor& data, int64_t buckets, Location where) {
  const Scope scope("histogram", where);
  const int64_t n = data.shape(where).product();
  if (n == 0) return zeros({buckets, 3}, DType::f64, where);
  const double scale = data.dtype() == DType::f64 ? 0.5 : 1;
  Tensor x = cast(reshape(Operand(data, where), Shape(n)), DType::f64);
  if (scale != 1) x = x * scale;
  const Tensor counts = is_finite(x);
  Tensor low = min(etch::where(counts, x, std::numeric_limits<double>::infinity()));
  Tensor high = max(etch::where(counts, x, -std::numeric_limits<double>::infinity()));
  const Tensor is_any = low <= high;
  low = etch::where(is_any, low, 0.0);
  high = etch::where(is_any, high, 0.0);
  const Tensor width = (high - low) / static_cast<double>(buckets);
  const auto last = static_cast<double>(buckets - 1);
  const Tensor place = etch::where(high > low, minimum(floor((x - low) / width), last), last);
  const Tensor index = cast(etch::where(counts, place, 0.0), DType::i64);
  const Tensor count = scatter_add(zeros({buckets}, DType::f64, where), index, cast(counts, DType::f64));
  const Tensor i = range(buckets, DType::f64, where);
  const Tensor left = low + i * width;
  const Tensor right = etch::where(i == last, high, low + (i + 1.0) * width);
  return stack({left / scale, right / scale, count}, 1, where);
}

/// See summary::image.
Tensor as_bytes(const Tensor& images, Location where) {
  if (images.dtype() == DType::u8) return images;
  const Scope scope("image", where);
  const Tensor wide = size_of(images.dtype()) < 4 ? cast(Operand(images, where), DType::f32) : images;
  const Tensor scaled = clip(wide * 255.5, 0.0, 255.0);
  return cast(etch::where(wide == wide, scaled, 0.0), DType::u8);
}

void check_images(std::string_view name, const Type& type, int64_t max_outputs, Location where) {
  if (!is_pictures(type.shape)) {
    fail(where, cat("summary ", name, ": the images are ", to_string(type), ", not [count, height, width, 1 to 4]"));
  }
  if (type.dtype != DType::u8 && !is_floating(type.dtype)) {
    fail(where, cat("summary ", name, ": the images are ", to_string(type), "; cast them to u8, or to floats from 0 to 1"));
  }
  if (max_outputs < 0) fail(where, cat("summary ", name, ": max_outputs is ", max_outputs, "; it is 0 or more"));
}

/// A concrete function of any signature, whose trace is asked.
struct AnyConcrete : ConcreteFunctionBase {
  static const Concrete& get(const ConcreteFunctionBase& function) {
    return *(function.*&AnyConcrete::concrete_);
  }
};

}  // namespace
}  // namespace detail

namespace summary {

std::string FileWriter::path() const { return writer_ ? writer_->path() : ""; }

As FileWriter::as_default(std::optional<int64_t> step) const { return As(*this, step); }

void FileWriter::flush(Location where) const {
  if (!writer_) return;
  detail::perform(std::make_shared<const detail::FlushSummaries>(writer_), {}, where);
}

void FileWriter::close(Location where) const {
  if (!writer_) return;
  if (detail::Trace::current()) detail::fail(where, "summary: a writer cannot be closed by a traced function; close it outside");
  if (detail::effects_are_mute()) return;
  try {
    writer_->close();
  } catch (const Error& error) {
    detail::fail(where, error.what());
  }
}

FileWriter create_file_writer(const std::string& directory, const FileWriterOptions& options, Location where) {
  if (!(options.flush_every_seconds >= 0)) {
    detail::fail(where, cat("create_file_writer: flush_every_seconds is ", detail::number_text(options.flush_every_seconds),
                            "; it is 0 or more"));
  }
  if (options.max_queue < 0) detail::fail(where, cat("create_file_writer: max_queue is ", options.max_queue, "; it is 0 or more"));
  try {
    return detail::FileWriterAccess::make(detail::SummaryWriter::make(directory, options));
  } catch (const Error& error) {
    detail::fail(where, cat("create_file_writer: ", error.what()));
  }
}

As::As(const FileWriter& writer, std::optional<int64_t> step)
    : scope_(detail::begin_writer_scope(detail::FileWriterAccess::get(writer), step)) {}

As::~As() {
  if (scope_) scope_->is_over.store(true, std::memory_order_release);
}

void set_step(int64_t step) { detail::set_default_step(step); }
void set_step(const Variable& step) { detail::set_default_step(step); }
void clear_step() { detail::set_default_step(std::monostate()); }

void scalar(std::string_view name, const Operand& value, const Step& step, const ScalarOptions& options) {
  const detail::SummaryTarget target = detail::target_of(options.writer);
  if (!target.is_on) return;
  const Location where = value.where();
  Tensor made;
  Tensor number = detail::tensor_of(value, made);
  const Type type = detail::impl_of(number, where).type();
  if (type.size() != 1) detail::fail(where, cat("summary ", name, ": the value is ", to_string(type), ", not one element"));
  if (type.dtype != DType::f32) number = cast(Operand(number, where), DType::f32);
  if (!type.shape.empty()) number = reshape(Operand(number, where), Shape{});
  detail::summarise<detail::ScalarSummary>({.tag = std::string(name), .description = options.description}, target, step, &number,
                                           where);
}

void histogram(std::string_view name, const Operand& data, const Step& step, const HistogramOptions& options) {
  const detail::SummaryTarget target = detail::target_of(options.writer);
  if (!target.is_on) return;
  const Location where = data.where();
  constexpr int64_t kMost = int64_t{1} << 24;
  if (options.buckets < 1 || options.buckets > kMost) {
    detail::fail(where, cat("summary ", name, ": buckets is ", options.buckets, "; it is 1 to ", kMost));
  }
  Tensor made;
  const Tensor& given = detail::tensor_of(data, made);
  const int64_t elements = detail::impl_of(given, where).shape.product();
  const Tensor rows = detail::bucket_rows(given, options.buckets, where);
  detail::summarise<detail::HistogramSummary>(
      {.tag = std::string(name), .description = options.description, .elements = elements}, target, step, &rows, where);
}

void image(std::string_view name, const Operand& data, const Step& step, const ImageOptions& options) {
  const detail::SummaryTarget target = detail::target_of(options.writer);
  if (!target.is_on) return;
  const Location where = data.where();
  Tensor made;
  Tensor images = detail::tensor_of(data, made);
  const Type type = detail::impl_of(images, where).type();
  detail::check_images(name, type, options.max_outputs, where);
  if (options.max_outputs < type.shape[0]) images = images[Slices(Slice(0, options.max_outputs), where)];
  images = detail::as_bytes(images, where);
  detail::summarise<detail::ImageSummary>({.tag = std::string(name), .description = options.description}, target, step, &images, where);
}

void text(std::string_view name, std::string_view data, const Step& step, const TextOptions& options, Location where) {
  const detail::SummaryTarget target = detail::target_of(options.writer);
  if (!target.is_on) return;
  detail::summarise<detail::TextSummary>(
      {.tag = std::string(name), .description = options.description, .strings = {std::string(data)}}, target, step, nullptr, where);
}

void text(std::string_view name, std::span<const std::string> data, const Step& step, const TextOptions& options, Location where) {
  const detail::SummaryTarget target = detail::target_of(options.writer);
  if (!target.is_on) return;
  detail::SummaryText said{.tag = std::string(name), .description = options.description, .strings = {data.begin(), data.end()},
                           .is_table = true};
  detail::summarise<detail::TextSummary>(std::move(said), target, step, nullptr, where);
}

void graph(const ConcreteFunctionBase& function, const FileWriter& given, Location where) {
  if (detail::Trace::current()) detail::fail(where, "summary: a graph cannot be written by a traced function; write it outside");
  std::shared_ptr<detail::SummaryWriter> writer = detail::FileWriterAccess::get(given);
  if (!writer) writer = detail::default_writer();
  if (!writer || detail::effects_are_mute()) return;
  try {
    writer->add(detail::graph_event(detail::wall_time(), detail::graph_def(detail::AnyConcrete::get(function))));
  } catch (const Error& error) {
    detail::fail(where, cat("summary graph: ", error.what()));
  }
}

void record_if(const Operand& condition, const std::function<void()>& body) {
  if (condition.tensor()) return cond(condition, body, [] {});
  const Number& number = condition.number();
  const bool is_true = number.kind() == Number::Kind::floating ? number.floating() != 0 : number.integer() != 0;
  if (is_true) body();
}

bool has_default_writer() { return detail::summary_target(nullptr).is_on; }

void flush(Location where) {
  const detail::SummaryTarget target = detail::summary_target(nullptr);
  if (target.is_on) detail::perform(std::make_shared<const detail::FlushSummaries>(target.writer), {}, where);
}

}  // namespace summary
}  // namespace etch
