// host_call: the oracle calls the function.
#include "compiler/ir/ops/host_call.h"

#include "compiler/ir/inference.h"
#include "compiler/ir/walk.h"

namespace etch {

std::string to_string(const Host& host) {
  if (!host.function()) return "nothing";
  std::string text(host.function()->name());
  text += "(\"";
  for (char c : host.function()->text()) {
    if (c == '"' || c == '\\') text += '\\';
    c == '\n' ? text += "\\n" : text += c;
  }
  return text + "\")";
}

}  // namespace etch

namespace etch::op {

absl::StatusOr<Types> HostCall::infer(const Inference& in) const {
  if (!function.function()) return in.error("there is no function to call");
  if (in.operands[0] != kTokenType) {
    return in.error("operand 0 is ", to_string(in.operands[0]), ", not the token, ", to_string(kTokenType));
  }
  std::vector<HostType> given;
  for (const Type& type : in.operands.subspan(1)) given.push_back({type.dtype, type.shape});
  const std::string refused = function.function()->refuse(given);
  if (!refused.empty()) return in.error(refused);
  Types types{kTokenType};
  for (const HostType& type : function.function()->results()) types.push_back({type.dtype, type.shape});
  return types;
}

std::vector<Literal> HostCall::evaluate(Literals operands, std::span<const Type> types) const {
  std::vector<Literal> results;
  for (const Type& type : types) results.push_back({type, std::vector<std::byte>(static_cast<size_t>(type.bytes()))});
  std::vector<HostValue> given, made;
  for (const Literal* operand : operands.subspan(1)) {
    given.push_back({{operand->type.dtype, operand->type.shape}, const_cast<std::byte*>(operand->bytes.data())});
  }
  for (Literal& result : std::span(results).subspan(1)) {
    made.push_back({{result.type.dtype, result.type.shape}, result.bytes.data()});
  }
  function.function()->run(given, made);
  store(results[0], 0, load<int64_t>(*operands[0], 0) + 1);
  return results;
}

}  // namespace etch::op
