// ERROR: the callable is generic, overloaded or none; name its signature
#include <etch/etch.h>

auto f = etch::function(42);
