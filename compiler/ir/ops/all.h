// The structs of all structural ops.
#pragma once

#include "compiler/ir/ops/bitcast.h"
#include "compiler/ir/ops/broadcast.h"
#include "compiler/ir/ops/cast.h"
#include "compiler/ir/ops/concat.h"
#include "compiler/ir/ops/constant.h"
#include "compiler/ir/ops/dot.h"
#include "compiler/ir/ops/input.h"
#include "compiler/ir/ops/iota.h"
#include "compiler/ir/ops/pad.h"
#include "compiler/ir/ops/reduce.h"
#include "compiler/ir/ops/reshape.h"
#include "compiler/ir/ops/slice.h"
#include "compiler/ir/ops/top_k.h"
#include "compiler/ir/ops/transpose.h"
#include "compiler/ir/ops/window.h"
