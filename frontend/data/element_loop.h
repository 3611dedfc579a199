// What a compiled loop over a data set does on the host.
#pragma once

#include "compiler/ir/any_op.h"

namespace etch::detail {

/// True of the op that takes the next element of a data set.
bool takes_element(const AnyOp& op);

}  // namespace etch::detail
