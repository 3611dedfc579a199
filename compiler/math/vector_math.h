// Etch's own vector mathematics: every function is written once over lanes (see lanes.h) and used by the code generator
// (LLVM IR) and by constant folding (native), which therefore agree to the bit. docs/accuracy.md gives the errors.
#pragma once

#include "compiler/math/vector_math_basic.h"
#include "compiler/math/vector_math_erf.h"
#include "compiler/math/vector_math_exp.h"
#include "compiler/math/vector_math_gamma.h"
#include "compiler/math/vector_math_log.h"
#include "compiler/math/vector_math_pow.h"
#include "compiler/math/vector_math_trig.h"
