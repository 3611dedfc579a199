// Targets: the processor of this process, and the levels of x86-64 by name.
#include "compiler/codegen/target.h"

#include <llvm/ADT/StringMap.h>
#include <llvm/ADT/StringRef.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/TargetParser/SubtargetFeature.h>
#include <llvm/TargetParser/Triple.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "absl/strings/str_split.h"

namespace etch {
namespace {

struct NamedTarget {
  std::string name;
  Target target;
};

const llvm::StringMap<bool>& host_features() {
  static const auto* const features = new llvm::StringMap<bool>(llvm::sys::getHostCPUFeatures());
  return *features;
}

/// The target with what follows from its features.
Target make_target(std::string cpu, const llvm::StringMap<bool>& features) {
  auto has = [&](const char* feature) { return features.lookup(feature); };
  // Sorted, so that equal processors have equal texts.
  std::vector<std::string> names;
  for (const auto& feature : features) names.push_back((feature.second ? "+" : "-") + feature.first().str());
  std::sort(names.begin(), names.end());
  Target target;
  target.cpu = std::move(cpu);
  for (const std::string& name : names) target.features += (target.features.empty() ? "" : ",") + name;
  target.masked_ops = has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl");
  target.vector_bytes = target.masked_ops ? 64 : has("avx2") && has("fma") ? 32 : 16;
  return target;
}

// The levels of the x86-64 psABI, each with what those before it have.
constexpr const char* kLevel2 = "x87,mmx,sse,sse2,fxsr,cmov,cx8,cx16,sahf,popcnt,crc32,sse3,ssse3,sse4.1,sse4.2";
constexpr const char* kLevel3 = "avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe,xsave";
constexpr const char* kLevel4 = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,evex512";

Target x86_level(const char* cpu, std::initializer_list<const char*> lists) {
  llvm::StringMap<bool> features;
  for (const char* list : lists) {
    const llvm::SubtargetFeatures names(list);
    for (llvm::StringRef name : names.getFeatures()) features[name.ltrim('+')] = true;
  }
  return make_target(cpu, features);
}

const std::vector<NamedTarget>& targets() {
  static const auto* const table = [] {
    auto* rows = new std::vector<NamedTarget>{{"host", make_target(llvm::sys::getHostCPUName().str(), host_features())}};
    if (llvm::Triple(llvm::sys::getProcessTriple()).getArch() != llvm::Triple::x86_64) return rows;
    rows->push_back({"sse4", x86_level("x86-64-v2", {kLevel2})});
    rows->push_back({"avx2", x86_level("x86-64-v3", {kLevel2, kLevel3})});
    rows->push_back({"avx512", x86_level("x86-64-v4", {kLevel2, kLevel3, kLevel4})});
    return rows;
  }();
  return *table;
}

}  // namespace

const Target& host_target() {
  static const Target& host = targets().front().target;
  return host;
}

const Target* find_target(std::string_view name) {
  for (const NamedTarget& row : targets()) {
    if (row.name == name) return &row.target;
  }
  return nullptr;
}

const std::vector<std::string>& target_names() {
  static const auto* const names = [] {
    auto* list = new std::vector<std::string>;
    for (const NamedTarget& row : targets()) list->push_back(row.name);
    return list;
  }();
  return *names;
}

std::string missing_features(const Target& target) {
  if (target == host_target()) return "";
  std::string missing;
  // LLVM's own way to take them apart loses memory where there is not enough.
  for (const absl::string_view part : absl::StrSplit(target.features, ',')) {
    const std::string_view feature(part.data(), part.size());
    if (!feature.starts_with('+')) continue;
    auto found = host_features().find(llvm::StringRef(feature).drop_front());
    // What the host's list does not know, such as x87, every processor of this kind has.
    if (found == host_features().end() || found->second) continue;
    missing += missing.empty() ? "" : ", ";
    missing += feature.substr(1);
  }
  return missing;
}

}  // namespace etch
