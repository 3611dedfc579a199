// The fields of ops as text, shared by the printer and the messages of type inference; constants both ways.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "compiler/ir/any_op.h"

namespace etch {

/// ` kind=sum axes=[1]`, each field after a space; a number of an op with regions is left out where it is 0. The dtype tells
/// how to print a constant.
std::string fields_text(const AnyOp& op, DType dtype, bool with_regions = true);

/// A constant in the fewest digits that read back to the same bits.
std::string constant_text(uint64_t bits, DType dtype);

/// The bits of a constant of this dtype, or nothing if the text is not one or does not fit.
std::optional<uint64_t> parse_constant(std::string_view text, DType dtype);

}  // namespace etch
