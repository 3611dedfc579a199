// One order for what loops carry.
#include "frontend/capture/sort_loop.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

namespace etch::capture {
namespace {

/// When a list of values is used first, in order.
class FirstUses {
 public:
  explicit FirstUses(const std::vector<Id>& of) : of_(of), times_(of.size(), std::numeric_limits<int>::max()) {}

  void visit(const OpenRegion& region) {
    for (const RegionNode& node : region.nodes) {
      use(node.op.operands);
      for (const OpenRegion& inner : node.regions) visit(inner);
    }
    use(region.outputs);
  }
  void visit_nodes(const OpenRegion& region) {
    OpenRegion nodes{{}, region.nodes, {}};
    visit(nodes);
  }
  void use(const std::vector<Id>& ids) {
    for (Id id : ids) {
      const auto known = std::ranges::find(of_, id);
      if (known != of_.end()) use_at(known - of_.begin(), now_++);
    }
  }
  void use_at(size_t i, int time) { times_[i] = std::min(times_[i], time); }
  int time(size_t i) const { return times_[i]; }
  int now() const { return now_; }

 private:
  const std::vector<Id> of_;
  std::vector<int> times_;
  int now_ = 0;
};

std::vector<size_t> order_by(size_t count, const std::function<int(size_t)>& time) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, time);
  return order;
}

/// Puts values, from the `first` on, into another order.
void reorder(std::vector<Id>& ids, const std::vector<size_t>& order, size_t first = 0) {
  const std::vector<Id> before(ids.begin() + static_cast<int64_t>(first), ids.end());
  for (size_t i = 0; i < order.size(); ++i) ids[first + i] = before[order[i]];
}

}  // namespace

void sort_loop(RegionNode& node) {
  OpenRegion& test = node.regions[0];
  OpenRegion& body = node.regions[1];
  FirstUses in_test(test.parameters), in_body(body.parameters);
  in_test.visit_nodes(test);
  in_test.use({test.outputs[0]});
  in_body.visit(body);
  for (size_t i = 0; i < body.parameters.size(); ++i) {  // what the body uses of what the test only passes on
    const auto passed = std::ranges::find(test.parameters, test.outputs[1 + i]);
    const int time = in_body.time(i);
    if (passed == test.parameters.end() || time == std::numeric_limits<int>::max()) continue;
    in_test.use_at(passed - test.parameters.begin(), in_test.now() + time);
  }
  const std::vector<size_t> carried =
      order_by(test.parameters.size(), [&](size_t i) { return in_test.time(i); });
  reorder(node.op.operands, carried);
  reorder(test.parameters, carried);
  reorder(body.outputs, carried);
  const std::vector<size_t> handed = order_by(body.parameters.size(), [&](size_t i) {
    const auto passed = std::ranges::find(test.parameters, test.outputs[1 + i]);
    return static_cast<int>(passed - test.parameters.begin());
  });
  reorder(test.outputs, handed, 1);
  reorder(body.parameters, handed);
  reorder(node.op.results, handed);
}

}  // namespace etch::capture
