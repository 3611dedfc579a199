// host_call: a function of the host, in its turn.
#pragma once

#include <span>
#include <vector>

#include "compiler/ir/host.h"
#include "compiler/ir/ops/structural_op.h"

namespace etch {

/// The type of a token, which orders effects: how many there were before, of the function that runs. What an effect gives is
/// what the next one takes, in regions too, where tokens are carried as other values are. A graph gives the last one out.
inline const Type kTokenType{DType::i64, {}};

}  // namespace etch

namespace etch::op {

/// Calls a host function on the operands behind the first one, which is the token. Gives the next token, then what the function
/// gives. Never computed twice, and never at all unless the token that it gives is used.
struct HostCall {
  Host function;

  static constexpr Traits kTraits{kAnyArity, ResultType::inferred, Place::host, 0};
  static constexpr std::string_view kNoGradient = "acts on the host";
  absl::StatusOr<Types> infer(const Inference& in) const;
  /// Does it. Throws the Error of the function.
  std::vector<Literal> evaluate(Literals operands, std::span<const Type> types) const;
  bool operator==(const HostCall&) const = default;
};

}  // namespace etch::op
