// The registry of library functions, from the rows of library.def.
#include "runtime/library.h"

namespace etch {

std::string_view name(Library function) {
  constexpr std::string_view kNames[] = {
#define ETCH_LIBRARY(name) #name,
#include "runtime/library.def"
  };
  return kNames[static_cast<int>(function)];
}

LibraryFunction library_function(Library function, DType dtype) {
  switch (function) {
#define ETCH_LIBRARY(name) \
  case Library::name: return library::name(dtype);
#include "runtime/library.def"
  }
  return {};
}

}  // namespace etch
