// DTypes as text, and the Error of a value that is none.
#include "etch/dtype.h"

#include <ostream>

#include "etch/error.h"

namespace etch {

void detail::fail_dtype(DType dtype) {
  throw Error("the value " + std::to_string(static_cast<int>(dtype)) + " is no DType");
}

std::ostream& operator<<(std::ostream& stream, DType dtype) { return stream << name(dtype); }

}  // namespace etch
