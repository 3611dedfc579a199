// The verifier of the way through the regions of an op.
#pragma once

#include "absl/status/status.h"
#include "compiler/schedule/schedule.h"

namespace etch {

/// Checks the schedules of the regions (verify_schedule.h) and, by walking the steps with both answers to each question,
/// that every region that runs reads values that are there, and never writes memory that it also reads but where its
/// schedule says that an output may overwrite an input.
/// @param num_operands buffers of the op come first; they are only read, the others only written.
absl::Status verify_flow(const ScheduledFlow& flow, int num_operands, int64_t walked_bytes);

}  // namespace etch
