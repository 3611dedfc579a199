// What TensorBoard's plugins read: one tensor a value, with the plugin's name beside it.
#include "frontend/summary/events.h"

#include "compiler/ir/cat.h"
#include "etch/error.h"
#include "frontend/summary/event.pb.h"

namespace etch::detail {
namespace {

// TensorFlow's numbers of dtypes (tensorflow/core/framework/types.proto).
constexpr int kFloat = 1, kDouble = 2, kString = 7;

constexpr std::string_view kFileVersion = "brain.Event:2";

/// Error for a message that is too large: readers take no more.
std::string serialised(const event_file::Event& event, std::string_view tag) {
  constexpr size_t kMost = size_t{1} << 31;
  const size_t bytes = event.ByteSizeLong();
  if (bytes >= kMost) throw Error(cat("the summary ", tag, " has ", bytes, " bytes; an event has less than 2 GiB"));
  return event.SerializeAsString();
}

event_file::Event event_of(const EventHead& head, std::string_view plugin) {
  event_file::Event event;
  event.set_wall_time(head.wall_time);
  event.set_step(head.step);
  event_file::Summary::Value& value = *event.mutable_summary()->add_value();
  value.set_tag(std::string(head.tag));
  value.mutable_metadata()->mutable_plugin_data()->set_plugin_name(std::string(plugin));
  value.mutable_metadata()->set_summary_description(std::string(head.description));
  return event;
}

event_file::TensorProto& tensor_of(event_file::Event& event, int dtype) {
  event_file::TensorProto& tensor = *event.mutable_summary()->mutable_value(0)->mutable_tensor();
  tensor.set_dtype(dtype);
  tensor.mutable_tensor_shape();
  return tensor;
}

void add_extent(event_file::TensorProto& tensor, size_t extent) {
  tensor.mutable_tensor_shape()->add_dim()->set_size(static_cast<int64_t>(extent));
}

}  // namespace

std::string version_event(double wall_time) {
  event_file::Event event;
  event.set_wall_time(wall_time);
  event.set_file_version(std::string(kFileVersion));
  event.mutable_source_metadata()->set_writer("etch.summary");
  return serialised(event, "");
}

std::string scalar_event(const EventHead& head, float value) {
  event_file::Event event = event_of(head, "scalars");
  tensor_of(event, kFloat).add_float_val(value);
  return serialised(event, head.tag);
}

std::string histogram_event(const EventHead& head, std::span<const double> rows) {
  constexpr size_t kColumns = 3;
  event_file::Event event = event_of(head, "histograms");
  event_file::TensorProto& tensor = tensor_of(event, kDouble);
  add_extent(tensor, rows.size() / kColumns);
  add_extent(tensor, kColumns);
  tensor.set_tensor_content(rows.data(), rows.size_bytes());
  return serialised(event, head.tag);
}

std::string strings_event(const EventHead& head, std::string_view plugin, std::span<const std::string> strings,
                          StringsShape shape) {
  event_file::Event event = event_of(head, plugin);
  event_file::TensorProto& tensor = tensor_of(event, kString);
  if (shape == StringsShape::vector) add_extent(tensor, strings.size());
  for (const std::string& string : strings) tensor.add_string_val(string);
  return serialised(event, head.tag);
}

std::string graph_event(double wall_time, std::string graph) {
  event_file::Event event;
  event.set_wall_time(wall_time);
  event.set_graph_def(std::move(graph));
  return serialised(event, "graph");
}

}  // namespace etch::detail
