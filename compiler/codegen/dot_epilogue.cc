// What a dot kernel does with finished sums: its instructions on a panel, row by row.
#include <algorithm>
#include <utility>

#include "compiler/codegen/dot_emitter.h"

namespace etch::codegen {

void DotEmitter::finish_panel(const Origin& origin, llvm::Value* sums, const Part& part, const Steps& steps) {
  k_.if_then(steps.last, [&] {
    for_lines(origin, part, [&](const Origin& line, llvm::Value* row, llvm::Value* rows) {
      llvm::Value* line_sums = at(sums, b_.CreateMul(row, k_.i64(blocking_.panel())));
      const Part of_line{row, rows, part.column, part.columns};
      only_calls() ? outlined_epilogue(line, line_sums, of_line) : epilogue(line, line_sums, of_line);
    });
  });
}

/// The epilogue as a function of its own.
void DotEmitter::outlined_epilogue(const Origin& rows, llvm::Value* sums, const Part& part) {
  Values values{sums, part.rows, part.column, part.columns};
  values.append(rows.indices.begin(), rows.indices.end());
  for (size_t a = 0; a < rows.accesses.size(); ++a) {
    if (is_of_epilogue(a)) values.push_back(rows.accesses[a]);
  }
  k_.outline("epilogue", values, [&](llvm::ArrayRef<llvm::Value*> passed) {
    const std::vector<llvm::Value*> of_kernel = std::exchange(constants_, {});
    emit_constants();
    const auto next = [&] {
      llvm::Value* first = passed.front();
      passed = passed.drop_front();
      return first;
    };
    llvm::Value* panel = next();
    const Part here{nullptr, next(), next(), next()};
    Origin at;
    for (size_t i = 0; i < rows.indices.size(); ++i) at.indices.push_back(next());
    for (size_t a = 0; a < rows.accesses.size(); ++a) at.accesses.push_back(is_of_epilogue(a) ? next() : nullptr);
    epilogue(at, panel, here);
    constants_ = of_kernel;
  });
}

/// The instructions on finished sums of a panel, whose first row is where `rows` stands.
void DotEmitter::epilogue(const Origin& rows, llvm::Value* sums, const Part& part) {
  const int64_t width = std::min<int64_t>(lanes_of(k_.program, k_.target), blocking_.panel());
  count(k_.i64(0), part.columns, k_.i64(width), false, [&](llvm::Value* j) {
    const Origin first_row = move_result(rows, n_axis_, b_.CreateAdd(part.column, j));
    llvm::Value* column_sums = at(sums, j);
    llvm::Value* left = b_.CreateSub(part.columns, j);
    llvm::Value* mask = k_.mask_of_count(left, static_cast<int>(width));
    if (k_.target.masked_ops) return epilogue_rows(first_row, column_sums, part.rows, width, mask);
    llvm::Value* full = b_.CreateICmpSGE(left, k_.i64(width));
    k_.if_then(full, [&] { epilogue_rows(first_row, column_sums, part.rows, width, nullptr); });
    k_.if_then(b_.CreateNot(full), [&] { epilogue_rows(first_row, column_sums, part.rows, width, mask); });
  });
}

/// One vector of each row.
void DotEmitter::epilogue_rows(const Origin& first, llvm::Value* sums, llvm::Value* rows, int64_t width,
                               llvm::Value* mask) {
  Values initial{sums};
  std::vector<int> walked;
  for (int a = 0; a < static_cast<int>(first.accesses.size()); ++a) {
    if (!is_of_epilogue(a) || k_.program.accesses[a].uniform) continue;
    walked.push_back(a);
    initial.push_back(first.accesses[a]);
  }
  initial.append(first.indices.begin(), first.indices.end());
  std::vector<llvm::Value*> constants = constants_;
  for (const Instr& instr : k_.program.body) {
    if (instr.stage == 0) continue;
    for (int arg : instr.args) {
      if (constants[arg]) constants[arg] = splat(b_, constants[arg], static_cast<int>(width));
    }
  }
  k_.loop(k_.i64(0), rows, k_.i64(1), initial, false, [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> now) {
    Origin row = first;
    auto next_of = now.begin();
    llvm::Value* row_sums = *next_of++;
    Values next{at(row_sums, k_.i64(blocking_.panel()))};
    for (int a : walked) {
      row.accesses[a] = *next_of++;
      next.push_back(k_.advance(a, row.accesses[a], k_.access_stride(a, m_axis_)));
    }
    for (size_t i = 0; i < row.indices.size(); ++i) {
      row.indices[i] = *next_of++;
      next.push_back(b_.CreateAdd(row.indices[i], k_.index_stride(i, m_axis_)));
    }
    const Cursor lanes = lanes_along(row, std::nullopt, n_axis_, width, mask);
    std::vector<llvm::Value*> values = constants;
    llvm::Type* type = lanes_type(k_.context, blocking_.dtype, static_cast<int>(width));
    llvm::Value* sum = b_.CreateAlignedLoad(type, row_sums, llvm::Align(size_of(blocking_.dtype)));
    values[dot_] = b_.CreateTrunc(sum, lanes_type(k_.context, dtype_, static_cast<int>(width)));
    for (size_t n = 0; n < values.size(); ++n) {
      if (k_.program.body[n].stage > 0) k_.emit(n, lanes, values);
    }
    fetch_later_rows(row);
    return next;
  });
}

/// Asks for the lines that a few rows later are written: rows lie far apart, so the processor does not by itself.
void DotEmitter::fetch_later_rows(const Origin& row) {
  constexpr int64_t kRows = 16;
  for (const Instr& instr : k_.program.body) {
    if (instr.kind != InstrKind::store || instr.stage == 0) continue;
    llvm::Value* ahead = b_.CreateMul(k_.access_stride(instr.slot, m_axis_), k_.i64(kRows));
    k_.fetch_to_write(k_.advance(instr.slot, row.accesses[instr.slot], ahead));
  }
}

bool DotEmitter::is_of_epilogue(int access) const {
  return std::ranges::any_of(k_.program.body, [&](const Instr& instr) {
    const bool accesses = instr.kind == InstrKind::load || instr.kind == InstrKind::store;
    return accesses && instr.stage > 0 && (instr.slot == access || k_.program.accesses[instr.slot].group == access);
  });
}

}  // namespace etch::codegen
