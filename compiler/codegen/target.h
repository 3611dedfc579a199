// Target: the processor that code is made for, as a value; part of every kernel's key.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace etch {

/// A processor as code generation sees it. Equal targets mean equal code for equal programs.
struct Target {
  std::string cpu;          // LLVM's name
  std::string features;     // LLVM's feature string, such as `+avx2,+fma`
  int vector_bytes = 16;    // of the widest vectors: 64 with AVX-512, else 32 or 16
  bool masked_ops = false;  // every dtype has masked loads and stores (AVX-512)
  bool operator==(const Target&) const = default;
};

/// The processor that this process runs on. Lives as long as the process.
const Target& host_target();

/// The target of this name, or null. Lives as long as the process.
const Target* find_target(std::string_view name);

/// The names that find_target knows: `host`, `sse4`, `avx2` and `avx512`, the levels x86-64-v2 to v4.
const std::vector<std::string>& target_names();

/// What the processor of this process lacks to run code of `target`, such as `avx512bw, avx512vl`; empty if nothing.
std::string missing_features(const Target& target);

}  // namespace etch
