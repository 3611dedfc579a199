// Random structured programs, as a C++ lambda might be: assignments, swaps, choices, loops, jumps, calls, and host state.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <random>

#include "tests/capture/simulated.h"

namespace etch::capture {

struct Statement {
  enum class What { op, swap, copy, branch, loop, do_loop, break_, continue_, return_, set_host, if_host, host_loop, push, pop,
                    grow, front, read_slot, write_slot, call, entered_loop, chain };
  What what = What::op;
  int place = 0;
  int a = 0, b = 0, c = 0;
  std::vector<Statement> body, other;
};

class RandomProgram {
 public:
  static constexpr int kVars = 4, kHost = 2, kFunctions = 2;

  explicit RandomProgram(uint64_t seed, int size) : random_(seed), left_(2 * kFunctions) {
    for (Body& function : functions_) function = block(2, false);
    left_ = size;
    may_call_ = true;
    body_ = block(0, false);
  }

  Lambda lambda() const {
    return [body = body_, functions = functions_](Sim& s) {
      State state{.functions = functions};
      for (int i = 0; i < kVars; ++i) state.vars[i] = s.given(i % 3);
      run(body, s, state);
      if (state.memory.empty()) return std::vector<Ref>(state.vars.begin(), state.vars.end());
      return std::vector<Ref>{state.vars[0], state.vars[1], state.vars[2], state.memory.back()};
    };
  }

 private:
  using Body = std::vector<Statement>;
  using Functions = std::array<Body, kFunctions>;
  struct State {
    const Functions& functions;
    std::array<Ref, kVars> vars{};
    std::array<int, kHost> host{};
    std::deque<Ref> memory{};
    std::vector<Ref> all{};   // it only grows
  };
  enum class Flow { next, break_, continue_, return_ };

  int below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }

  std::vector<Statement> block(int depth, bool in_loop) {
    std::vector<Statement> list;
    const int count = 1 + below(4);
    for (int i = 0; i < count && left_ > 0; ++i) list.push_back(statement(depth, in_loop));
    return list;
  }

  Statement statement(int depth, bool in_loop) {
    using What = Statement::What;
    --left_;
    Statement s;
    s.place = ++places_ * 10;
    s.a = below(kVars);
    s.b = below(kVars);
    s.c = below(kVars);
    const int dice = below(100);
    if (depth < 4 && dice < 22) {
      s.what = What::branch;
      s.body = block(depth + 1, in_loop);
      if (below(2)) s.other = block(depth + 1, in_loop);
    } else if (depth < 3 && dice < 34) {
      s.what = dice < 30 ? What::loop : What::do_loop;
      s.body = block(depth + 1, true);
    } else if (in_loop && dice < 42) {
      s.what = dice < 38 ? What::break_ : What::continue_;
      Statement guard = s;
      guard.what = What::branch;
      guard.body = {s};
      return guard;
    } else if (depth > 0 && dice < 45) {
      s.what = What::return_;
      Statement guard = s;
      guard.what = What::branch;
      guard.body = {s};
      return guard;
    } else if (dice < 50) {
      s.what = What::swap;
    } else if (dice < 55) {
      s.what = What::copy;
    } else if (dice < 60) {
      s.what = What::set_host;
    } else if (dice < 65) {
      s.what = What::if_host;
      s.body = block(depth + 1, in_loop);
    } else if (depth < 3 && dice < 68) {
      s.what = What::host_loop;
      s.body = block(depth + 1, false);
    } else if (dice < 72) {
      s.what = What::push;
    } else if (dice < 75) {
      s.what = What::pop;
    } else if (dice < 79) {
      s.what = What::read_slot;
    } else if (dice < 83) {
      s.what = What::write_slot;
    } else if (may_call_ && dice < 87) {
      s.what = What::call;
    } else if (dice < 89) {
      s.what = What::grow;
    } else if (dice < 91) {
      s.what = What::front;
    } else if (depth < 3 && dice < 93) {
      s.what = What::entered_loop;
      s.body = block(depth + 1, false);
    } else if (depth < 2 && dice < 94) {
      s.what = What::chain;
    }
    return s;
  }

  static Flow run(const std::vector<Statement>& list, Sim& s, State& state) {
    for (const Statement& statement : list) {
      const Flow flow = run(statement, s, state);
      if (flow != Flow::next) return flow;
    }
    return Flow::next;
  }

  static Flow run(const Statement& st, Sim& s, State& state) {
    using What = Statement::What;
    auto& v = state.vars;
    switch (st.what) {
      case What::op: v[st.a] = s.op(st.place, {v[st.b], v[st.c]}); return Flow::next;
      case What::swap: std::swap(v[st.a], v[st.b]); return Flow::next;
      case What::copy: v[st.a] = v[st.b]; return Flow::next;
      case What::branch: return run(s.test(st.place, {v[st.a]}) ? st.body : st.other, s, state);
      case What::loop:
        while (s.test(st.place, {v[st.a], v[st.b]})) {
          v[st.a] = s.op(st.place + 1, {v[st.a]});  // so that it ends
          const Flow flow = run(st.body, s, state);
          if (flow == Flow::return_) return flow;
          if (flow == Flow::break_) break;
        }
        return Flow::next;
      case What::do_loop:
        do {
          v[st.a] = s.op(st.place + 1, {v[st.a]});
          const Flow flow = run(st.body, s, state);
          if (flow == Flow::return_) return flow;
          if (flow == Flow::break_) break;
        } while (s.test(st.place, {v[st.a], v[st.b]}));
        return Flow::next;
      case What::break_: return Flow::break_;
      case What::continue_: return Flow::continue_;
      case What::return_: return Flow::return_;
      case What::set_host: state.host[st.a % kHost] = (state.host[st.a % kHost] + 1) % (2 + st.b); return Flow::next;
      case What::if_host: return state.host[st.a % kHost] == 1 ? run(st.body, s, state) : Flow::next;
      case What::host_loop:
        for (int i = 0; i < 3; ++i) {
          const Flow flow = run(st.body, s, state);
          if (flow == Flow::return_) return flow;
        }
        return Flow::next;
      case What::push:
        state.memory.push_back(v[st.a]);
        if (state.memory.size() > 3) state.memory.pop_front();
        return Flow::next;
      case What::pop:
        if (state.memory.empty()) return Flow::next;
        v[st.a] = state.memory.front();
        state.memory.pop_front();
        return Flow::next;
      case What::grow: state.all.push_back(v[st.a]); return Flow::next;
      case What::front:
        if (!state.all.empty()) v[st.a] = state.all.front();
        return Flow::next;
      case What::read_slot: v[st.a] = s.op(st.place, {s.read(st.b % 2)}); return Flow::next;
      case What::write_slot: s.assign(st.b % 2, v[st.a]); return Flow::next;
      case What::call: run(state.functions[st.c % kFunctions], s, state); return Flow::next;
      case What::entered_loop: {   // as by a goto, perhaps in its middle
        bool is_inside = s.test(st.place, {v[st.c]});
        while (is_inside || s.test(st.place + 1, {v[st.a], v[st.b]})) {
          if (!is_inside) v[st.b] = s.op(st.place + 2, {v[st.b]});
          is_inside = false;
          v[st.a] = s.op(st.place + 3, {v[st.a]});
          if (run(st.body, s, state) == Flow::return_) return Flow::return_;
        }
        return Flow::next;
      }
      case What::chain:   // of more choices than regions nest
        for (int i = 0; i < 26; ++i) {
          v[st.a] = s.op(st.place + 1, {v[st.a]});
          if (!s.test(st.place, {v[st.a], v[st.b]})) return Flow::return_;
        }
        return Flow::next;
    }
    return Flow::next;
  }

  std::mt19937_64 random_;
  int left_;
  int places_ = 0;
  bool may_call_ = false;
  Functions functions_;
  Body body_;
};

}  // namespace etch::capture
