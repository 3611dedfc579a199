// Counts calls of operator new in the test program.
#pragma once

#include <cstdint>

namespace etch {

int64_t num_news();

}  // namespace etch
