// The names and texts of the graph in the words of those who called etch/ops.h.
#pragma once

#include <string>
#include <string_view>

namespace etch::detail {

/// The public function that makes an op of this name: `maximum` of `max`, `broadcast_to` of `broadcast`.
std::string_view user_name(std::string_view op);

/// A message that begins with an op and its operands, `max(f32[2], f32[3]): ...`, with the public function's name; for
/// a reduction that of its kind.
std::string in_user_words(std::string message);

}  // namespace etch::detail
