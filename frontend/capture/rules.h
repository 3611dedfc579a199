// How often each rule of capture was used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace etch::capture {

/// The rules: a name, and when it is counted. Those from `dispatch` on are of structuring.
#define ETCH_CAPTURE_RULES(X)                                                               \
  X(merge, "a question has the future of a known one")                                      \
  X(refute, "what looked like a known question does other things when the same is asked")   \
  X(hold, "a state holds another value")                                                    \
  X(share, "two uses read one value at each instance of a state")                           \
  X(split, "a recorded run reads two values where the others read one")                     \
  X(blame, "a use is where it was found at some instances only: learnt again")              \
  X(refine, "a check failed: learnt again")                                                 \
  X(cut, "a cycle was cut out of a failing run")                                            \
  X(prove, "all paths were run")                                                            \
  X(dispatch, "a cycle with several entries got one")                                       \
  X(one_value, "a parameter always stood for one value")                                    \
  X(equal, "two parameters were always equal")                                              \
  X(unread, "nobody read an op")                                                            \
  X(sink, "an op of all ways into a block moved into it")                                   \
  X(sink_back, "the same, of ways that go back as well")                                    \
  X(join, "some of the ways into a block met before it")                                    \
  X(short_circuit, "two questions became one")                                              \
  X(between, "ops on a jump got a block")                                                   \
  X(drop, "nothing depended on a choice")                                                   \
  X(two_exits, "a choice says by a truth value where it leads")                             \
  X(many_exits, "a choice says by a number where it leads")                                 \
  X(shallow, "a region was as deep as regions get: what is behind stands beside it")        \
  X(behind, "what is behind a choice stands under a test of its exits")                     \
  X(test_first, "a loop with its one way out at its head")                                  \
  X(negated, "such a loop goes on where its condition is false")                            \
  X(whole, "a loop all of which is its test")                                               \
  X(exits_of_loop, "such a loop with several ways out")

enum class Rule : uint8_t {
#define ETCH_RULE(name, when) name,
  ETCH_CAPTURE_RULES(ETCH_RULE)
#undef ETCH_RULE
};

inline constexpr std::string_view kRuleNames[] = {
#define ETCH_RULE(name, when) #name,
    ETCH_CAPTURE_RULES(ETCH_RULE)
#undef ETCH_RULE
};

/// By rule, how often it was used.
struct RuleCounts {
  std::array<int64_t, std::size(kRuleNames)> used{};

  int64_t& operator[](Rule rule) { return used[static_cast<size_t>(rule)]; }
  int64_t operator[](Rule rule) const { return used[static_cast<size_t>(rule)]; }
  RuleCounts& operator+=(const RuleCounts& other) {
    for (size_t i = 0; i < used.size(); ++i) used[i] += other.used[i];
    return *this;
  }
};

}  // namespace etch::capture
