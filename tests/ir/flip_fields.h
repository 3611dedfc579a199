// Ops that differ from one in a single field, for tests that every field counts.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "compiler/ir/graph.h"

namespace etch {

inline void flip(int64_t& field) { ++field; }
inline void flip(bool& field) { field = !field; }
inline void flip(Mark& field) { field.is_set = !field.is_set; }
inline void flip(uint64_t& field) { field ^= 1; }
inline void flip(ReduceKind& field) { field = static_cast<ReduceKind>((static_cast<int>(field) + 1) % kNumReduceKinds); }
inline void flip(Dims& field) { field.push_back(3); }
/// A region of one more input.
inline void flip(Region& field) {
  GraphBuilder builder;
  for (size_t i = 0; i <= field.graph().inputs().size(); ++i) (void)builder.input({DType::f32, {}});
  field = Region(std::move(builder).finish({}));
}

inline void flip(Host& field) { field = Host(find_host_function("print")("flipped")); }

/// Per field of the op: its name, and the op with another value there.
inline std::vector<std::pair<std::string, AnyOp>> flip_fields(const AnyOp& op) {
  std::vector<std::pair<std::string, AnyOp>> flipped;
  op.visit([&]<class T>(const T& fields) {
    if constexpr (!std::is_same_v<T, Row>) {
      for_each_field(fields, [&](std::string_view chosen, const auto&) {
        T copy = fields;
        for_each_field(copy, [&](std::string_view name, auto& field) {
          if (name == chosen) flip(field);
        });
        flipped.emplace_back(std::string(chosen), AnyOp(copy));
      });
    }
  });
  return flipped;
}

}  // namespace etch
