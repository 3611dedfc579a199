// What a product's epilogue shows of the sums.
#include "compiler/codegen/dot_mask.h"

#include <algorithm>

#include "compiler/codegen/emit.h"

namespace etch::codegen {
namespace {

class Finder {
 public:
  explicit Finder(const KernelProgram& program) : program_(program), levels_(levels_of(program)) {}

  std::optional<SeenSums> find(int dot);

 private:
  bool is_compute(int instr, Op op) const {
    return program_.body[instr].kind == InstrKind::compute && program_.body[instr].op == op;
  }
  std::optional<SeenSums> where_it_is(int condition, bool wanted) const;
  bool add(int instr, int sign, SeenSums& sums) const;

  const KernelProgram& program_;
  const std::vector<Level> levels_;
};

/// The one choice through which all that is made of the dot has to go.
std::optional<SeenSums> Finder::find(int dot) {
  std::vector<bool> shows(program_.body.size());  // the sums
  shows[dot] = true;
  std::optional<SeenSums> seen;
  for (size_t i = dot + 1; i < shows.size(); ++i) {
    const Instr& instr = program_.body[i];
    shows[i] = std::ranges::any_of(instr.args, [&](int arg) { return shows[arg]; });
    if (!shows[i]) continue;
    if (instr.kind != InstrKind::compute) return std::nullopt;
    if (seen || !is_compute(static_cast<int>(i), Op::where)) continue;
    const int condition = instr.args[0];
    if (shows[condition] || shows[instr.args[1]] == shows[instr.args[2]]) continue;
    seen = where_it_is(condition, shows[instr.args[1]]);
    if (seen) shows[i] = false;
  }
  return seen;
}

/// Where the condition may be as wanted.
std::optional<SeenSums> Finder::where_it_is(int condition, bool wanted) const {
  if (is_compute(condition, Op::logical_not)) return where_it_is(program_.body[condition].args[0], !wanted);
  const Instr& instr = program_.body[condition];
  if (instr.kind != InstrKind::compute) return std::nullopt;
  if (instr.op == (wanted ? Op::logical_and : Op::logical_or)) {
    std::optional<SeenSums> seen = where_it_is(instr.args[0], wanted);
    return seen ? seen : where_it_is(instr.args[1], wanted);
  }
  const bool is_less = instr.op == Op::less || instr.op == Op::less_equal;
  const bool is_greater = instr.op == Op::greater || instr.op == Op::greater_equal;
  if (!is_less && !is_greater) return std::nullopt;
  // x >= y is x - y >= 0; what is not so is y - x - 1 >= 0.
  const bool is_strict = (instr.op == Op::less || instr.op == Op::greater) == wanted;
  const int sign = is_greater == wanted ? 1 : -1;
  SeenSums seen;
  seen.constant = is_strict ? -1 : 0;
  if (!add(instr.args[0], sign, seen) || !add(instr.args[1], -sign, seen)) return std::nullopt;
  return seen;
}

bool Finder::add(int instr, int sign, SeenSums& sums) const {
  constexpr size_t kMostTerms = 4;
  if (program_.body[instr].dtype != DType::i64 || sums.terms.size() == kMostTerms) return false;
  if (program_.body[instr].kind == InstrKind::index || levels_[instr] == Level::kernel) {
    sums.terms.push_back({sign, instr});
    return true;
  }
  const auto& args = program_.body[instr].args;
  if (is_compute(instr, Op::add)) return add(args[0], sign, sums) && add(args[1], sign, sums);
  if (is_compute(instr, Op::sub)) return add(args[0], sign, sums) && add(args[1], -sign, sums);
  return false;
}

}  // namespace

std::optional<SeenSums> seen_sums(const KernelProgram& program, int dot) { return Finder(program).find(dot); }

}  // namespace etch::codegen
