// Random graphs of the size of real work. They are written as text: types stand there for every reader to see.
#include "tools/large_graph.h"

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "compiler/ir/text.h"

namespace etch {
namespace {

constexpr int64_t kMostElements = int64_t{1} << 22;
constexpr int64_t kFewElements = 1 << 12;

using Extents = std::vector<int64_t>;

struct Item {
  DType dtype;
  Extents shape;
  bool used = false;

  int64_t size() const {
    int64_t size = 1;
    for (int64_t extent : shape) size *= extent;
    return size;
  }
  std::string type() const { return absl::StrCat(std::string(name(dtype)), list(shape)); }
  static std::string list(const Extents& values) { return absl::StrCat("[", absl::StrJoin(values, ","), "]"); }
};

class Writer {
 public:
  explicit Writer(uint64_t seed) : random_(seed) {}

  Graph run() {
    make_inputs();
    const int ops = 4 + pick(12);
    for (int tries = 0, made = 0; made < ops && tries < 20 * ops; ++tries) made += step();
    std::vector<int> outputs{static_cast<int>(items_.size()) - 1};
    for (size_t i = inputs_.size(); i + 1 < items_.size() && outputs.size() < 3; ++i) {
      if (!items_[i].used && items_[i].size() > 1 && chance(50)) outputs.push_back(static_cast<int>(i));
    }
    std::string text = absl::StrCat("graph(", absl::StrJoin(inputs_, ", "), ") {\n", body_, "return ");
    for (size_t i = 0; i < outputs.size(); ++i) absl::StrAppend(&text, i ? ", %" : "%", outputs[i]);
    return parse(text + "\n}\n").value();
  }

 private:
  int64_t pick(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  bool chance(int percent) { return pick(100) < percent; }

  void make_inputs() {
    const int64_t elements = int64_t{1} << (16 + pick(7));
    const bool odd = chance(40);  // extents that are no multiple of a vector
    Extents shape;
    DType dtype = chance(65) ? DType::f32 : DType::u8;
    switch (pick(4)) {
      case 0: shape = {elements - (odd ? 13 : 0)}; break;
      case 1: {
        const int64_t columns = (int64_t{1} << (4 + pick(9))) - (odd ? 3 : 0);
        shape = {std::max<int64_t>(1, elements / columns), columns};
        break;
      }
      case 2: {
        const int64_t channels = chance(75) ? 3 : 4;
        const int64_t width = (int64_t{1} << (6 + pick(4))) - (odd ? 5 : 0);
        shape = {std::max<int64_t>(2, elements / (width * channels)), width, channels};
        if (chance(50)) dtype = DType::u8;
        break;
      }
      default: {
        const int64_t columns = (int64_t{1} << (4 + pick(6))) - (odd ? 1 : 0), rows = int64_t{1} << pick(6);
        shape = {std::max<int64_t>(1, elements / (columns * rows)), rows, columns};
      }
    }
    add_input({dtype, shape});
    if (chance(40)) add_input({dtype, shape});
    if (chance(30)) add_input({dtype, {shape.back()}});
    if (chance(15)) add_input({dtype == DType::u8 ? DType::f32 : DType::u8, shape});
  }

  void add_input(Item item) {
    inputs_.push_back(absl::StrCat("%", items_.size(), ": ", item.type()));
    items_.push_back(std::move(item));
  }

  /// Adds a node; `what` holds the op and its attributes around the operands.
  int add(const std::string& op, const std::vector<int>& operands, const std::string& attributes, Item item) {
    std::vector<std::string> names;
    for (int operand : operands) {
      names.push_back(absl::StrCat("%", operand));
      items_[operand].used = true;
    }
    const std::string list = operands.empty() ? "" : absl::StrCat("(", absl::StrJoin(names, ", "), ")");
    absl::StrAppend(&body_, "%", items_.size(), " = ", op, list, attributes.empty() ? "" : " ", attributes, " : ",
                    item.type(), "\n");
    items_.push_back(std::move(item));
    return static_cast<int>(items_.size()) - 1;
  }

  int number(DType dtype) {
    const std::string value = dtype == DType::f32 ? absl::StrCat(1 + pick(8), ".5") : absl::StrCat(1 + pick(8));
    return add("constant", {}, "value=" + value, {dtype, {}});
  }

  /// Late values are likelier, and so are large ones.
  int any_value() {
    int best = 0;
    for (int i = 0; i < 3; ++i) {
      const auto n = static_cast<int64_t>(items_.size());
      const auto x = static_cast<int>(n - 1 - std::min(pick(n), pick(n)));
      if (i == 0 || (items_[x].size() > items_[best].size())) best = x;
      if (items_[best].size() > kFewElements) break;
    }
    return best;
  }

  bool step() {
    const int x = any_value();
    if (items_[x].shape.empty()) return false;
    const int64_t kind = pick(100);
    if (kind < 48) return elementwise(x);
    if (kind < 60) return cast(x);
    if (kind < 72) return slice(x);
    if (kind < 77) return transpose(x);
    if (kind < 91) return reduce(x);
    if (kind < 95) return pad(x);
    return concat(x);
  }

  /// A value that broadcasts with x to the shape of x, or a number.
  int partner(int x) {
    for (int tries = 0; tries < 6; ++tries) {
      const int y = any_value();
      if (items_[y].dtype != items_[x].dtype || items_[y].shape.size() > items_[x].shape.size()) continue;
      const size_t skip = items_[x].shape.size() - items_[y].shape.size();
      bool fits = true;
      for (size_t i = 0; i < items_[y].shape.size(); ++i) {
        fits = fits && (items_[y].shape[i] == 1 || items_[y].shape[i] == items_[x].shape[skip + i]);
      }
      if (fits) return y;
    }
    return number(items_[x].dtype);
  }

  bool elementwise(int x) {
    const Item item{items_[x].dtype, items_[x].shape};
    if (item.dtype == DType::i64) return false;
    if (item.dtype == DType::boolean) return cast(x);
    if (item.dtype == DType::f32 && chance(12)) {
      constexpr const char* kDear[] = {"exp", "tanh", "sqrt", "sin", "log", "sigmoid"};
      add(kDear[pick(std::size(kDear))], {x}, "", item);
      return true;
    }
    if (item.dtype == DType::f32 && chance(20)) {
      constexpr const char* kUnary[] = {"neg", "abs", "floor"};
      add(kUnary[pick(std::size(kUnary))], {x}, "", item);
      return true;
    }
    const int y = partner(x);
    if (chance(15)) {
      const int mask = add(chance(50) ? "less" : "greater", {x, y}, "", {DType::boolean, item.shape});
      add("where", {mask, x, y}, "", item);
      return true;
    }
    constexpr const char* kBinary[] = {"add", "sub", "mul", "max", "min", "add", "mul", "div"};
    const char* op = kBinary[pick(item.dtype == DType::f32 ? std::size(kBinary) : std::size(kBinary) - 1)];
    if (chance(50)) {
      add(op, {x, y}, "", item);
    } else {
      add(op, {y, x}, "", item);
    }
    return true;
  }

  bool cast(int x) {
    const DType from = items_[x].dtype;
    DType to = from == DType::f32 ? DType::u8 : DType::f32;
    if (from == DType::f32 && chance(25)) to = DType::i32;
    add("cast", {x}, "", {to, items_[x].shape});
    return true;
  }

  bool slice(int x) {
    const Extents shape = items_[x].shape;
    Extents start(shape.size(), 0), step(shape.size(), 1), result = shape;
    const auto axis = static_cast<size_t>(chance(60) ? shape.size() - 1 : pick(shape.size()));
    const int64_t n = shape[axis];
    if (axis + 1 == shape.size() && n <= 4 && shape.size() > 1) {
      start[axis] = pick(n);  // one channel
      result[axis] = 1;
      const int channel = add("slice", {x}, attributes(start, step), {items_[x].dtype, result});
      result.pop_back();
      add("reshape", {channel}, "", {items_[x].dtype, result});
      return true;
    }
    if (n < 8) return false;
    if (chance(50)) {
      step[axis] = 2 + pick(3);
      start[axis] = pick(step[axis]);
      result[axis] = (n - start[axis] + step[axis] - 1) / step[axis];
    } else if (chance(25)) {
      step[axis] = -1;
      start[axis] = n - 1;
    } else {
      start[axis] = pick(3);  // without a border
      result[axis] = n - 2;
    }
    add("slice", {x}, attributes(start, step), {items_[x].dtype, result});
    return true;
  }
  static std::string attributes(const Extents& start, const Extents& step) {
    return absl::StrCat("start=", Item::list(start), " step=", Item::list(step));
  }

  bool transpose(int x) {
    Item item{items_[x].dtype, items_[x].shape};
    if (item.shape.size() < 2) return false;
    Extents perm(item.shape.size());
    for (size_t i = 0; i < perm.size(); ++i) perm[i] = static_cast<int64_t>(i);
    const auto a = static_cast<size_t>(pick(static_cast<int64_t>(perm.size()) - 1));
    std::swap(perm[a], perm[a + 1]);
    std::swap(item.shape[a], item.shape[a + 1]);
    add("transpose", {x}, "perm=" + Item::list(perm), item);
    return true;
  }

  bool reduce(int x) {
    const Item& from = items_[x];
    if (from.size() <= kFewElements || from.dtype == DType::boolean || from.dtype == DType::i64) return false;
    constexpr const char* kKinds[] = {"sum", "max", "min", "sum", "argmax"};
    const std::string kind = kKinds[pick(std::size(kKinds))];
    const auto axis = static_cast<size_t>(chance(60) ? from.shape.size() - 1 : pick(from.shape.size()));
    Item result{kind == "argmax" ? DType::i64 : from.dtype, from.shape};
    result.shape.erase(result.shape.begin() + axis);
    Item kept = result;
    kept.shape.insert(kept.shape.begin() + axis, 1);
    const int reduced = add("reduce", {x}, absl::StrCat("kind=", kind, " axes=[", axis, "]"), result);
    if (kind == "argmax" || chance(30)) return true;
    // As softmax and norms do: the value per row meets the row again.
    const int again = add("reshape", {reduced}, "", kept);
    add(chance(70) ? "sub" : "mul", {x, again}, "", {items_[x].dtype, items_[x].shape});
    return true;
  }

  bool pad(int x) {
    Item item{items_[x].dtype, items_[x].shape};
    if (item.dtype == DType::boolean || item.dtype == DType::i64) return false;
    Extents low(item.shape.size(), 0), high = low;
    const auto axis = static_cast<size_t>(pick(item.shape.size()));
    low[axis] = 1;
    high[axis] = pick(2);
    item.shape[axis] += 1 + high[axis];
    if (item.size() > kMostElements) return false;
    const int value = number(item.dtype);
    add("pad", {x, value}, absl::StrCat("low=", Item::list(low), " high=", Item::list(high)), item);
    return true;
  }

  bool concat(int x) {
    Item item{items_[x].dtype, items_[x].shape};
    if (item.size() > kMostElements / 3) return false;
    std::vector<int> parts{x};
    for (int tries = 0; tries < 8 && parts.size() < 3; ++tries) {
      const int y = any_value();
      if (items_[y].dtype == item.dtype && items_[y].shape == item.shape) parts.push_back(y);
    }
    while (parts.size() < 3) parts.push_back(x);
    if (item.shape.size() < 3 && chance(50)) {
      // Channels side by side.
      Item one = item;
      one.shape.push_back(1);
      for (int& part : parts) part = add("reshape", {part}, "", one);
      one.shape.back() = static_cast<int64_t>(parts.size());
      add("concat", parts, absl::StrCat("axis=", one.shape.size() - 1), one);
      return true;
    }
    const auto axis = static_cast<size_t>(pick(item.shape.size()));
    item.shape[axis] *= static_cast<int64_t>(parts.size());
    add("concat", parts, absl::StrCat("axis=", axis), item);
    return true;
  }

  std::mt19937_64 random_;
  std::vector<std::string> inputs_;
  std::string body_;
  std::vector<Item> items_;
};

}  // namespace

Graph large_graph(uint64_t seed) { return Writer(seed).run(); }

}  // namespace etch
