// ERROR: etch: = makes a Variable share the cell of another one; assign\(\) puts a value into it
#include <etch/etch.h>
void f(etch::Variable v, etch::Tensor x) { v = x + 1; }
