// All of Etch.
#pragma once

#include "etch/buffer.h"
#include "etch/control_flow.h"
#include "etch/custom_gradient.h"
#include "etch/effects.h"
#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/init_scope.h"
#include "etch/nn.h"
#include "etch/npy.h"
#include "etch/ops.h"
#include "etch/options.h"
#include "etch/tensor.h"
#include "etch/variable.h"
