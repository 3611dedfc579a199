// File names with numbers in them, as callbacks::ModelCheckpoint takes them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace etch::detail {

/// A value by its name; none if there is no such.
using NamedNumbers = std::function<std::optional<double>(std::string_view name)>;

/// Puts numbers in the place of `{name}` and `{name:02d}`, `{name:.3f}` (and e, g): Python's formats of a width and a
/// precision.
/// `{{` and `}}` are braces. Error for a name or a format that is none.
std::string format_file_name(std::string_view pattern, const NamedNumbers& numbers);

}  // namespace etch::detail
