// Programs without tensors: ops are hashes of numbers, so that a wrong value anywhere changes the results.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "compiler/ir/cat.h"
#include "frontend/capture/capture.h"
#include "frontend/capture/structure.h"

namespace etch::capture {

inline uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9e3779b97f4a7c15u ^ (b + 0x7f4a7c159e3779b9u + (a << 6) + (a >> 2));
  x ^= x >> 31;
  x *= 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 29);
}

/// Events from this kind on give truth values, 0 or 1.
inline constexpr Kind kTests = 1000000;

/// What an event gives.
inline uint64_t result_of(Kind kind, std::span<const uint64_t> operands, int result) {
  uint64_t value = mix(static_cast<uint64_t>(kind) + 17, static_cast<uint64_t>(result) + 3);
  for (uint64_t operand : operands) value = mix(value, operand);
  return kind < kTests ? value : (value & 3) != 0;
}

/// Whether a condition holds.
inline bool truth(uint64_t value) { return value != 0; }

/// What a simulated program sees.
class Sim {
 public:
  explicit Sim(Listener& listener) : listener_(listener) {}
  virtual ~Sim() = default;

  Ref given(int i) const { return -2 - i; }
  Ref op(Kind kind, std::vector<Ref> operands = {}) { return listener_.event(kind, operands, 1); }
  bool ask(Ref condition, Kind place) { return listener_.ask(condition, place); }
  /// An op that makes a condition, and the question.
  bool test(Kind kind, std::vector<Ref> operands) { return ask(op(kTests + kind, std::move(operands)), kTests + kind); }
  virtual void assign(int slot, Ref value) { slots[slot] = value; }
  virtual Ref read(int slot) {
    const auto known = slots.find(slot);
    return known == slots.end() ? given(100 + slot) : known->second;
  }

  std::map<int, Ref> slots;

 private:
  Listener& listener_;
};

struct SimFailure {
  std::string text;
  bool is_missing = false;
};

using Lambda = std::function<std::vector<Ref>(Sim&)>;

class SimProgram final : public Program {
 public:
  explicit SimProgram(Lambda lambda) : lambda_(std::move(lambda)) {}

  std::optional<Failure> run(Listener& listener) override {
    ++runs;
    Sim sim(listener);
    std::vector<Ref> results;
    try {
      results = lambda_(sim);
    } catch (const SimFailure& failure) {
      return Failure{failure.text, nullptr, failure.is_missing};
    }
    std::vector<Final> finals;
    for (const auto& [slot, value] : sim.slots) finals.push_back({slot, value});
    listener.end(static_cast<Kind>(results.size()), results, finals);
    return std::nullopt;
  }
  Ref initial(int32_t slot) override { return -2 - (100 + slot); }
  std::string name() const override { return "sim"; }
  std::string text_of(Kind kind) const override { return cat("op ", kind % kTests); }
  std::string place_of(Kind kind) const override { return cat("sim.cc:", kind % kTests); }
  std::string text_of_end(Kind what) const override { return cat(what, " results"); }

  int64_t runs = 0;

 private:
  Lambda lambda_;
};

/// Values of all that a program may be given.
using Given = std::function<uint64_t(Ref)>;

struct SimResult {
  std::vector<uint64_t> results;
  std::map<int, uint64_t> slots;   // those that are not as they were
  bool operator==(const SimResult&) const = default;
};

/// Runs a program on numbers.
class Evaluator final : public Listener {
 public:
  explicit Evaluator(Given given, int64_t limit = 100000) : given_(std::move(given)), limit_(limit) {}

  Ref event(Kind kind, std::span<const Ref> operands, int num_results) override {
    if (--limit_ < 0) throw Abandoned();
    std::vector<uint64_t> values;
    for (Ref operand : operands) values.push_back(value(operand));
    const Ref first = static_cast<Ref>(values_.size());
    for (int i = 0; i < num_results; ++i) values_.push_back(result_of(kind, values, i));
    return first;
  }
  bool ask(Ref condition, Kind) override { return truth(value(condition)); }
  void end(Kind, std::span<const Ref> results, std::span<const Final> finals) override {
    for (Ref one : results) result.results.push_back(value(one));
    for (const Final& final : finals) {
      const uint64_t now = value(final.value);
      if (now != given_(-2 - (100 + final.slot))) result.slots[final.slot] = now;
    }
  }
  uint64_t value(Ref ref) const { return ref < 0 ? given_(ref) : values_[ref]; }

  SimResult result;

 private:
  Given given_;
  int64_t limit_;
  std::vector<uint64_t> values_;
};

/// Runs regions on numbers.
class RegionRunner {
 public:
  RegionRunner(const Structured& program, Given given) : program_(program), values_(program.types.size()) {
    for (size_t i = 0; i < program.given.size(); ++i) values_[i] = given(program.given[i]);
    is_set_.assign(program.types.size(), false);
    for (size_t i = 0; i < program.given.size(); ++i) is_set_[i] = true;
  }

  std::vector<uint64_t> run() {
    run(program_.program);
    return outputs(program_.program);
  }
  bool used_unset = false;

 private:
  uint64_t get(Id id) {
    if (!is_set_[id]) used_unset = true;
    return values_[id];
  }
  void set(Id id, uint64_t value) {
    values_[id] = value;
    is_set_[id] = true;
  }
  std::vector<uint64_t> outputs(const OpenRegion& region) {
    std::vector<uint64_t> values;
    for (Id id : region.outputs) values.push_back(get(id));
    return values;
  }
  void run(const OpenRegion& region) {
    for (const RegionNode& node : region.nodes) {
      switch (node.what) {
        case RegionNode::What::op: run(node.op); break;
        case RegionNode::What::choice: {
          const OpenRegion& arm = node.regions[truth(get(node.op.operands[0])) ? 0 : 1];
          run(arm);
          const std::vector<uint64_t> values = outputs(arm);
          for (size_t i = 0; i < values.size(); ++i) set(node.op.results[i], values[i]);
          break;
        }
        case RegionNode::What::loop: {
          std::vector<uint64_t> carried;
          for (Id id : node.op.operands) carried.push_back(get(id));
          while (true) {
            const OpenRegion& test = node.regions[0];
            for (size_t i = 0; i < carried.size(); ++i) set(test.parameters[i], carried[i]);
            run(test);
            const std::vector<uint64_t> handed = outputs(test);
            if (!truth(handed[0])) {
              for (size_t i = 1; i < handed.size(); ++i) set(node.op.results[i - 1], handed[i]);
              break;
            }
            const OpenRegion& body = node.regions[1];
            for (size_t i = 1; i < handed.size(); ++i) set(body.parameters[i - 1], handed[i]);
            run(body);
            carried = outputs(body);
          }
          break;
        }
      }
    }
  }
  void run(const BlockOp& op) {
    switch (op.what) {
      case BlockOp::What::step: {
        std::vector<uint64_t> operands;
        for (Id id : op.operands) operands.push_back(get(id));
        for (size_t i = 0; i < op.results.size(); ++i) set(op.results[i], result_of(op.kind, operands, static_cast<int>(i)));
        break;
      }
      case BlockOp::What::code: set(op.results[0], static_cast<uint64_t>(op.number)); break;
      case BlockOp::What::dummy: set(op.results[0], 0xdead); break;
      case BlockOp::What::is_code: set(op.results[0], get(op.operands[0]) == static_cast<uint64_t>(op.number)); break;
      case BlockOp::What::negate: set(op.results[0], !truth(get(op.operands[0]))); break;
      case BlockOp::What::both: set(op.results[0], truth(get(op.operands[0])) && truth(get(op.operands[1]))); break;
      case BlockOp::What::either: set(op.results[0], truth(get(op.operands[0])) || truth(get(op.operands[1]))); break;
    }
  }

  const Structured& program_;
  std::vector<uint64_t> values_;
  std::vector<bool> is_set_;
};

inline TypeTable sim_types() {
  const auto cost = [](Kind kind) { return kind / 10 % 2 == 0 ? std::optional(2) : std::nullopt; };
  return {[](Kind, int) { return 0; }, [](Ref) { return 0; }, cost, [](TypeId) { return true; }};
}

inline Given given_by(uint64_t seed) {
  return [seed](Ref ref) { return mix(seed, static_cast<uint64_t>(-ref)); };
}

/// `op 3(a, b)` and so on, nested.
inline void print_region(const OpenRegion& region, int indent, std::string& text) {
  const std::string space(indent, ' ');
  const auto list = [](const std::vector<Id>& ids) {
    std::string all;
    for (Id id : ids) all += cat(all.empty() ? "" : ", ", "%", id);
    return all;
  };
  for (const RegionNode& node : region.nodes) {
    text += cat(space, list(node.op.results), " = ");
    if (node.what == RegionNode::What::op) {
      constexpr const char* kNames[] = {"op", "code", "dummy", "is", "not", "and", "or"};
      text += cat(kNames[static_cast<int>(node.op.what)], " ", node.op.what == BlockOp::What::step ? node.op.kind % kTests : node.op.number,
                  "(", list(node.op.operands), ")\n");
      continue;
    }
    const bool is_loop = node.what == RegionNode::What::loop;
    text += cat(is_loop ? "loop(" : "choice(", list(node.op.operands), ")\n");
    const char* names[2][2] = {{"then", "otherwise"}, {"test", "body"}};
    for (int i = 0; i < 2; ++i) {
      text += cat(space, "  ", names[is_loop][i], "(", list(node.regions[i].parameters), ")\n");
      print_region(node.regions[i], indent + 4, text);
      text += cat(space, "    return ", list(node.regions[i].outputs), "\n");
    }
  }
}

inline std::string to_text(const Structured& program) {
  std::string text;
  print_region(program.program, 0, text);
  text += "return";
  for (Id id : program.program.outputs) text += cat(" %", id);
  return text + "\n";
}

}  // namespace etch::capture
