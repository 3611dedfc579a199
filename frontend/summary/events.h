// The records of an event file: serialised Event messages of event.proto.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace etch::detail {

/// When and about what.
struct EventHead {
  double wall_time = 0;  // seconds since 1970
  int64_t step = 0;
  std::string_view tag{};
  std::string_view description{};
};

/// The first record of every file.
std::string version_event(double wall_time);
std::string scalar_event(const EventHead& head, float value);
/// @param rows left edge, right edge and count per bucket.
std::string histogram_event(const EventHead& head, std::span<const double> rows);
/// A tensor of strings, of rank 0 or 1, for TensorBoard's plugin of that name.
enum class StringsShape { scalar, vector };
std::string strings_event(const EventHead& head, std::string_view plugin, std::span<const std::string> strings, StringsShape shape);
/// @param graph a serialised GraphDef.
std::string graph_event(double wall_time, std::string graph);

}  // namespace etch::detail
