// A traced graph as TensorFlow's GraphDef, which TensorBoard draws.
#pragma once

#include <string>

namespace etch::detail {

class Concrete;

/// The trace of a concrete function, serialised. Its nodes stand under their scopes; arguments, captures and variables are nodes, and
/// so are results and what is assigned. A region is a scope below that of its op.
std::string graph_def(const Concrete& concrete);

}  // namespace etch::detail
