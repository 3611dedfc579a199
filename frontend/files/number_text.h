// Numbers as text files write them.
#pragma once

#include <string_view>

#include "etch/dtype.h"

namespace etch::detail {

enum class NumberError { none, malformed, out_of_range };

/// Writes the number of a dtype to `to`. Blanks around it do not count. A float that is nearer to 0 than any other
/// becomes 0.
NumberError parse_number(std::string_view text, DType dtype, void* to);

}  // namespace etch::detail
