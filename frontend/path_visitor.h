// PathVisitor: follows the path of members through a module.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/ir/cat.h"
#include "etch/module.h"

namespace etch::detail {

/// A visitor that knows where it stands: `blocks[2].hidden`.
template <class Visitor = ModuleVisitor>
class PathVisitor : public Visitor {
 public:
  void enter(std::string_view member) override { push(cat(path_.empty() ? "" : ".", member)); }
  void enter(uint64_t index) override { push(cat("[", index, "]")); }
  void enter_key(std::string_view key) override { push(cat("[", key, "]")); }
  void leave() override {
    path_.resize(ends_.back());
    ends_.pop_back();
  }

 protected:
  const std::string& path() const { return path_; }

 private:
  void push(const std::string& part) {
    ends_.push_back(path_.size());
    path_ += part;
  }

  std::string path_;
  std::vector<size_t> ends_;
};

}  // namespace etch::detail
