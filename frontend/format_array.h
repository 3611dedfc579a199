// Arrays as text, as NumPy writes them.
#pragma once

#include <string>

#include "etch/dtype.h"
#include "etch/shape.h"

namespace etch::detail {

/// The text of an array in row-major order, as `str(array)` of NumPy 1.24 with its default print options: at most
/// eight digits after the point, elements aligned, lines of up to 75 columns, and only three elements at either end of
/// an axis when there are more than 1,000 elements. At rank 0 it is the number alone, with all digits that tell it from
/// its neighbours. Rules: https://numpy.org/doc/1.24/reference/generated/numpy.set_printoptions.html
std::string format_array(DType dtype, const void* data, const Shape& shape);

}  // namespace etch::detail
