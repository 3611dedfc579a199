// Sums of products by the letters of axes: einsum and tensordot.
#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/dispatch.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::fail;
using detail::fail_in_op;
using detail::Scope;
using detail::tensor_of;

namespace {

/// Names of axes: letters, and numbers below 0 for those of an ellipsis, of which -1 is the last.
using Labels = std::vector<int>;

bool contains(const Labels& labels, int label) { return std::ranges::find(labels, label) != labels.end(); }

/// A tensor whose axes have names.
struct Named {
  Tensor tensor;
  Labels labels;

  int64_t extent(int label) const {
    return tensor.shape()[static_cast<int>(std::ranges::find(labels, label) - labels.begin())];
  }
};

/// With the axes in the order of `labels`, all of which it has.
Tensor in_order(const Named& x, const Labels& labels) {
  if (x.labels == labels) return x.tensor;
  Dims perm;
  for (int label : labels) perm.push_back(std::ranges::find(x.labels, label) - x.labels.begin());
  return transpose(x.tensor, perm);
}

int64_t size_of(const Named& x, const Labels& labels) {
  int64_t size = 1;
  for (int label : labels) size *= x.extent(label);
  return size;
}

Named summed(const Named& x, const Labels& labels) {
  if (labels.empty()) return x;
  Named result;
  std::vector<int64_t> axes, ones;  // a sum of one element would turn -0 into +0
  for (size_t i = 0; i < x.labels.size(); ++i) {
    const auto axis = static_cast<int64_t>(i);
    if (!contains(labels, x.labels[i])) result.labels.push_back(x.labels[i]);
    else if (x.tensor.shape()[static_cast<int>(axis)] == 1) ones.push_back(axis - static_cast<int64_t>(axes.size()));
    else axes.push_back(axis);
  }
  result.tensor = axes.empty() ? x.tensor : sum(x.tensor, Axes(axes));
  if (!ones.empty()) result.tensor = squeeze(result.tensor, Axes(ones));
  return result;
}

/// Elements whose indices along the axes of one name are equal: those at a stride through these axes as one.
Named diagonal(const Named& x, int label) {
  Named result;
  for (int other : x.labels) {
    if (other != label) result.labels.push_back(other);
  }
  Dims perm;
  for (size_t i = 0; i < x.labels.size(); ++i) {
    if (x.labels[i] != label) perm.push_back(static_cast<int64_t>(i));
  }
  Shape shape;
  for (int64_t axis : perm) shape.push_back(x.tensor.shape()[static_cast<int>(axis)]);
  for (size_t i = 0; i < x.labels.size(); ++i) {
    if (x.labels[i] == label) perm.push_back(static_cast<int64_t>(i));
  }
  const int64_t n = x.extent(label);
  int64_t elements = 1, step = 0;
  for (int axis = static_cast<int>(result.labels.size()); axis < x.tensor.rank(); ++axis) {
    step += elements;
    elements *= n;
  }
  shape.push_back(elements);
  std::vector<Slice> slices(shape.rank() - 1, Slice());
  slices.push_back(Slice().by(step));
  result.tensor = slice(reshape(transpose(x.tensor, perm), shape), Slices(slices));
  result.labels.push_back(label);
  return result;
}

bool broadcasts(const Named& x, int label, const std::map<int, int64_t>& extents) {
  return x.extent(label) == 1 && extents.at(label) != 1;
}

/// Without repeated names, the axes of extent 1 of an ellipsis, which broadcast, and what nobody else wants.
Named simplified(Named x, const std::map<int, int64_t>& extents, const Labels& wanted) {
  for (size_t i = 0; i < x.labels.size(); ++i) {
    const int label = x.labels[i];
    if (std::ranges::count(x.labels, label) < 2) continue;
    x = diagonal(x, label);
    i = static_cast<size_t>(-1);
  }
  Labels dropped;
  for (int label : x.labels) {
    if (broadcasts(x, label, extents) || !contains(wanted, label)) dropped.push_back(label);
  }
  return summed(x, dropped);
}

/// Products summed over what both have and nobody wants. Without such names they are plain products.
Named product(const Named& a, const Named& b, const Labels& wanted) {
  Labels both, summed_up, left, right;
  for (int label : a.labels) {
    const bool shared = contains(b.labels, label);
    (!shared ? left : contains(wanted, label) ? both : summed_up).push_back(label);
  }
  for (int label : b.labels) {
    if (!contains(a.labels, label)) right.push_back(label);
  }
  const auto joined = [](std::initializer_list<const Labels*> lists) {
    Labels all;
    for (const Labels* list : lists) all.insert(all.end(), list->begin(), list->end());
    return all;
  };
  const auto extents = [](const Named& x, const Labels& labels, std::vector<int64_t> shape = {}) {
    for (int label : labels) shape.push_back(x.extent(label));
    return shape;
  };
  const int64_t rows = size_of(a, left), columns = size_of(b, right), inner = size_of(a, summed_up);
  const auto matrices = [&](const Tensor& x, std::initializer_list<int64_t> matrix) {
    std::vector<int64_t> shape = extents(a, both);
    shape.insert(shape.end(), matrix);
    return reshape(x, Shape(shape));
  };
  Named result{{}, joined({&both, &left, &right})};
  const Tensor x = in_order(a, joined({&both, &left, &summed_up})), y = in_order(b, joined({&both, &summed_up, &right}));
  const Tensor products = summed_up.empty() ? matrices(x, {rows, 1}) * matrices(y, {1, columns})
                                            : matmul(matrices(x, {rows, inner}), matrices(y, {inner, columns}));
  result.tensor = reshape(products, Shape(extents(b, right, extents(a, joined({&both, &left})))));
  return result;
}

/// What an equation says of its operands and result.
struct Equation {
  std::vector<Labels> operands;
  Labels result;
};

constexpr int kEllipsis = 0;  // in labels before the ranks are known

class EquationParser {
 public:
  EquationParser(std::string_view text, Location where) : text_(text), where_(where) {}

  Equation parse() const {
    Equation equation;
    const size_t arrow = text_.find("->");
    std::string_view left = text_.substr(0, arrow);
    while (true) {
      const size_t comma = left.find(',');
      equation.operands.push_back(labels(left.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      left.remove_prefix(comma + 1);
    }
    equation.result = arrow == std::string_view::npos ? implied(equation) : labels(text_.substr(arrow + 2));
    for (int label : equation.result) {
      if (std::ranges::count(equation.result, label) > 1) fail(cat(name(label), " stands twice in the result"));
      const bool known = std::ranges::any_of(equation.operands, [&](const Labels& own) { return contains(own, label); });
      if (!known) fail(cat(name(label), " of the result stands in no operand"));
    }
    return equation;
  }

  [[noreturn]] void fail(const std::string& what) const {
    fail_in_op(where_, cat("einsum \"", text_, "\": ", what));
  }

  static std::string name(int label) { return label > 0 ? cat("'", std::string(1, static_cast<char>(label)), "'") : "'...'"; }

 private:
  static bool is_letter(char c) { return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z'); }

  Labels labels(std::string_view text) const {
    Labels result;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == ' ') continue;
      if (is_letter(text[i])) {
        result.push_back(text[i]);
      } else if (text.substr(i, 3) == "..." && !contains(result, kEllipsis)) {
        result.push_back(kEllipsis);
        i += 2;
      } else {
        fail(cat("'", std::string(1, text[i]), "' is no letter; axes are letters or one '...', operands are separated by "
                 "commas, and '->' stands before the result"));
      }
    }
    return result;
  }

  /// The ellipsis and the letters that occur once, in their order.
  static Labels implied(const Equation& equation) {
    std::map<int, int> counts;
    for (const Labels& own : equation.operands) {
      for (int label : own) ++counts[label];
    }
    Labels result;
    for (const auto& [label, count] : counts) {
      if (label == kEllipsis || count == 1) result.push_back(label);
    }
    return result;
  }

  const std::string_view text_;
  const Location where_;
};

/// The labels with so many numbers in the place of the ellipsis.
Labels spelled_out(const Labels& labels, int count) {
  Labels result;
  for (int label : labels) {
    if (label != kEllipsis) result.push_back(label);
    for (int i = -count; label == kEllipsis && i < 0; ++i) result.push_back(i);
  }
  return result;
}

/// Multiplies from the first to the last, and sums as soon as nobody behind wants a name.
Tensor contracted(std::vector<Named> operands, const Labels& result) {
  std::map<int, int64_t> extents;
  for (const Named& operand : operands) {
    for (int label : operand.labels) extents[label] = std::max(extents[label], operand.extent(label));
  }
  for (const Named& operand : operands) {
    for (int label : operand.labels) {
      if (operand.extent(label) == 0) extents[label] = 0;
    }
  }
  const auto wanted_beside = [&](size_t self, size_t from) {
    Labels wanted = result;
    for (size_t i = from; i < operands.size(); ++i) {
      // An axis that broadcasts is dropped: it is no reason for others to keep theirs.
      const auto keeps = [&](int label) { return i != self && !broadcasts(operands[i], label, extents); };
      std::ranges::copy_if(operands[i].labels, std::back_inserter(wanted), keeps);
    }
    return wanted;
  };
  for (size_t i = 0; i < operands.size(); ++i) {
    operands[i] = simplified(operands[i], extents, wanted_beside(i, 0));
  }
  Named product_so_far = operands[0];
  for (size_t i = 1; i < operands.size(); ++i) {
    product_so_far = product(product_so_far, operands[i], wanted_beside(i, i + 1));
  }
  return in_order(product_so_far, result);
}

}  // namespace

Tensor einsum(std::string_view text, const std::vector<Tensor>& operands, Location where) {
  const Scope scope("einsum", where);
  const EquationParser parser(text, where);
  const Equation equation = parser.parse();
  if (equation.operands.size() != operands.size()) {
    parser.fail(cat("it is for ", equation.operands.size(), equation.operands.size() == 1 ? " operand" : " operands",
                    ", not ", operands.size()));
  }
  std::vector<Named> named;
  std::map<int, int64_t> extents;
  int most = 0;  // axes of an ellipsis
  for (size_t i = 0; i < operands.size(); ++i) {
    const Tensor& tensor = tensor_of(Operand(operands[i], where), "einsum");
    if (tensor.dtype() == DType::boolean) parser.fail("it takes numbers, not bool; cast first");
    if (tensor.dtype() != operands[0].dtype()) {
      parser.fail(cat("operand ", i + 1, " is ", name(tensor.dtype()), ", the first one ", name(operands[0].dtype()),
                      "; cast one"));
    }
    const Labels& labels = equation.operands[i];
    const bool open = contains(labels, kEllipsis);
    const int hidden = tensor.rank() - static_cast<int>(labels.size()) + (open ? 1 : 0);
    if (open ? hidden < 0 : hidden != 0) {
      const Type type{tensor.dtype(), tensor.shape()};
      parser.fail(cat("operand ", i + 1, " has ", labels.size() - open, open ? " axes or more" : " axes", ", but it is ",
                      to_string(type)));
    }
    most = std::max(most, open ? hidden : 0);
    named.push_back({tensor, spelled_out(labels, open ? hidden : 0)});
    for (int axis = 0; axis < tensor.rank(); ++axis) {
      const int label = named.back().labels[axis];
      const int64_t extent = tensor.shape()[axis];
      const auto [known, is_new] = extents.emplace(label, extent);
      const bool broadcasts = label < 0 && (extent == 1 || known->second == 1);
      if (broadcasts && known->second == 1) known->second = extent;
      if (known->second == extent || broadcasts) continue;
      parser.fail(cat(EquationParser::name(label), " is an axis of extent ", known->second, " and one of ", extent));
    }
  }
  return contracted(std::move(named), spelled_out(equation.result, most));
}

namespace {

Tensor dot_along(const Operand& a, const Operand& b, const std::vector<int>& a_axes, const std::vector<int>& b_axes) {
  const Tensor &x = tensor_of(a, "tensordot"), &y = tensor_of(b, "tensordot");
  Named left{x, {}}, right{y, {}};
  Labels result;
  const auto text = [](const Tensor& t) { return to_string(Type{t.dtype(), t.shape()}); };
  for (int axis = 0; axis < x.rank(); ++axis) left.labels.push_back(1 + axis);
  for (int axis = 0; axis < y.rank(); ++axis) right.labels.push_back(1 + kMaxRank + axis);
  for (size_t i = 0; i < a_axes.size(); ++i) {
    if (x.shape()[a_axes[i]] != y.shape()[b_axes[i]]) {
      fail_in_op(a.where(), cat("tensordot of ", text(x), " and ", text(y), ": axis ", a_axes[i], " of the first is ",
                                x.shape()[a_axes[i]], ", axis ", b_axes[i], " of the second ", y.shape()[b_axes[i]],
                                "; they must be equal"));
    }
    right.labels[b_axes[i]] = left.labels[a_axes[i]];
  }
  for (const Labels* labels : {&left.labels, &right.labels}) {
    for (int label : *labels) {
      if (!contains(left.labels, label) || !contains(right.labels, label)) result.push_back(label);
    }
  }
  return contracted({left, right}, result);
}

}  // namespace

Tensor tensordot(const Operand& a, const Operand& b, Integer axes) {
  const Scope scope("tensordot", a.where());
  const int rank = tensor_of(a, "tensordot").rank();
  const int most = std::min(rank, tensor_of(b, "tensordot").rank());
  if (axes < 0 || axes > most) {
    fail_in_op(a.where(), cat("tensordot: ", int64_t{axes}, " axes are not 0..", most, ", those that both have"));
  }
  std::vector<int> a_axes, b_axes;
  for (int i = 0; i < static_cast<int>(axes); ++i) {
    a_axes.push_back(rank - static_cast<int>(axes) + i);
    b_axes.push_back(i);
  }
  return dot_along(a, b, a_axes, b_axes);
}

Tensor tensordot(const Operand& a, const Operand& b, const Axes& a_axes, const Axes& b_axes) {
  const Scope scope("tensordot", a.where());
  const auto resolved = [](const Axes& axes, const Operand& x) {
    const int rank = tensor_of(x, "tensordot").rank();
    std::vector<int> result;
    for (int64_t axis : axes.axes()) result.push_back(detail::resolve_axis(axis, rank, "tensordot", x.where()));
    for (int axis = 0; axes.all() && axis < rank; ++axis) result.push_back(axis);
    for (int axis : result) {
      if (std::ranges::count(result, axis) > 1) fail_in_op(x.where(), cat("tensordot: axis ", axis, " is named twice"));
    }
    return result;
  };
  const std::vector<int> left = resolved(a_axes, a), right = resolved(b_axes, b);
  if (left.size() != right.size()) {
    fail_in_op(a.where(), cat("tensordot: ", left.size(), " axes of the first and ", right.size(),
                              " of the second; there must be as many"));
  }
  return dot_along(a, b, left, right);
}

}  // namespace etch
