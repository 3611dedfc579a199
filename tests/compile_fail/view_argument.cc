// A view does not own its tensors, so it cannot be an argument.
// ERROR: a function cannot take or give this type
#include <etch/etch.h>

#include <span>

auto f = etch::function([](std::span<etch::Tensor> parts) { return parts[0] + 1; });
