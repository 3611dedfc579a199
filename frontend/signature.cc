// Signatures: the bytes that key concrete functions, and their description for people.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <span>

#include "compiler/ir/cat.h"
#include "frontend/concrete.h"
#include "frontend/variable_cell.h"
#include "runtime/flat_map.h"

namespace etch::detail {

ArgReader::~ArgReader() {
  if (key_ != inline_key_) delete[] key_;
  if (tensors_ != inline_tensors_) delete[] tensors_;
}

void ArgReader::grow_key(size_t bytes) {
  const size_t capacity = 2 * (key_size_ + bytes);
  auto* grown = new std::byte[capacity];
  std::memcpy(grown, key_, key_size_);
  if (key_ != inline_key_) delete[] key_;
  key_ = grown;
  key_capacity_ = capacity;
}

void ArgReader::grow_tensors() {
  const size_t capacity = 2 * tensors_capacity_;
  auto** grown = new const TensorImpl*[capacity];
  std::memcpy(grown, tensors_, num_tensors_ * sizeof *tensors_);
  if (tensors_ != inline_tensors_) delete[] tensors_;
  tensors_ = grown;
  tensors_capacity_ = capacity;
}

void ArgReader::tensor(const Tensor& tensor) {
  const TensorImpl* impl = TensorAccess::get(tensor);
  if (impl == nullptr) {
    constexpr uint16_t kNothing = 0xffff;
    append(&kNothing, sizeof kNothing);
    if (leaves_) add_leaf("no tensor", &tensor);
    return;
  }
  if (num_tensors_ == tensors_capacity_) grow_tensors();
  tensors_[num_tensors_++] = impl;
  const uint8_t head[2] = {static_cast<uint8_t>(impl->dtype), static_cast<uint8_t>(impl->shape.rank())};
  append(head, sizeof head);
  append(impl->shape.begin(), static_cast<size_t>(impl->shape.rank()) * sizeof(int64_t));
  if (leaves_) add_leaf(to_string(impl->type()), &tensor);
}

void ArgReader::variable(const Variable& variable) {
  const VariableCell* cell = VariableAccess::get(variable);
  const int64_t number = cell ? cell->number() : 0;
  append(&number, sizeof number);
  if (leaves_ == nullptr) return;
  add_leaf(cell ? cat(description(*cell), " #", number) : "no variable");
  leaves_->back().is_variable = true;
}

void ArgReader::clear() {
  key_size_ = num_tensors_ = 0;
  reads_object_ = false;
  pins_.clear();
}

void ArgReader::begin_object() {
  reads_object_ = true;
  object_tensors_ = num_tensors_;
  if (leaves_ == nullptr) return;
  path_ = "this";
  object_leaves_ = leaves_->size();
}

void ArgReader::end_object() {
  constexpr size_t kFew = 16;  // so many are compared with each other
  const std::span<const TensorImpl* const> tensors = object_tensors();
  FlatMap<const TensorImpl*, uint32_t> first;
  if (tensors.size() > kFew) first.reserve(tensors.size());
  const auto first_of = [&](uint32_t i) {
    if (tensors.size() > kFew) return first.try_emplace(tensors[i], i).first->second;
    return static_cast<uint32_t>(std::find(tensors.begin(), tensors.begin() + i, tensors[i]) - tensors.begin());
  };
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    const uint32_t pair[2] = {first_of(i), i};
    if (pair[0] == i) continue;
    append(pair, sizeof pair);
    if (leaves_) describe_same(pair[0], i);
  }
}

void ArgReader::describe_same(size_t first, size_t second) {
  Leaf* leaf[2] = {};
  size_t n = 0;
  for (size_t i = object_leaves_; i < leaves_->size(); ++i) {
    Leaf& next = (*leaves_)[i];
    if (next.handle == nullptr || !next.handle->defined()) continue;
    if (n == first) leaf[0] = &next;
    if (n == second) leaf[1] = &next;
    ++n;
  }
  leaf[1]->text += cat(", the same tensor as ", leaf[0]->path);
}

void ArgReader::pin() const {
  for (const TensorImpl* impl : tensors()) pins_.push_back(TensorAccess::share(impl));
}

void ArgReader::describe_text(std::string_view value) {
  constexpr size_t kShown = 60;
  add_leaf(cat("\"", value.substr(0, kShown), value.size() > kShown ? "...\"" : "\""));
}

namespace {

template <class T>
std::string shortest(T value) {
  char text[40];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

}  // namespace

void ArgReader::describe_number(bool value) { add_leaf(value ? "true" : "false"); }
void ArgReader::describe_number(int64_t value) { add_leaf(std::to_string(value)); }
void ArgReader::describe_number(uint64_t value) { add_leaf(std::to_string(value)); }
void ArgReader::describe_number(float value) { add_leaf(shortest(value)); }
void ArgReader::describe_number(double value) { add_leaf(shortest(value)); }

void ArgReader::enter_path(uint64_t index) {
  path_ends_.push_back(path_.size());
  path_ += cat("[", index, "]");
}

void ArgReader::enter_path(std::string_view field) {
  path_ends_.push_back(path_.size());
  path_ += cat(".", field);
}

void ArgReader::leave_path() {
  path_.resize(path_ends_.back());
  path_ends_.pop_back();
}

void ArgReader::add_leaf(std::string text, const Tensor* handle) {
  leaves_->push_back({path_, std::move(text), handle != nullptr, false, handle});
}

std::string signature_text(const Leaves& leaves) {
  std::string text;
  for (const ArgReader::Leaf& leaf : leaves) {
    text += cat(text.empty() ? "" : ", ", leaf.path, " ", leaf.text);
  }
  return text.empty() ? "no arguments" : text;
}

namespace {

std::map<std::string_view, const ArgReader::Leaf*> by_path(std::span<const ArgReader::Leaf> leaves) {
  std::map<std::string_view, const ArgReader::Leaf*> map;
  for (const ArgReader::Leaf& leaf : leaves) map[leaf.path] = &leaf;
  return map;
}

std::string_view dtype_part(std::string_view type) { return type.substr(0, type.find('[')); }

/// What keeps a change of this leaf from retracing.
std::string_view remedy(const ArgReader::Leaf& now, const ArgReader::Leaf& before) {
  if (now.is_tensor != before.is_tensor) return "pass the same kinds of arguments";
  if (now.is_variable) return "pass its value() if any variable will do: each variable is a signature of its own";
  if (!now.is_tensor) return "pass it as a Tensor if it is data: its value is then no part of the signature";
  if (dtype_part(now.text) != dtype_part(before.text)) return "cast it to one dtype before the call";
  return "pad or batch it to one shape, or accept one cheap trace per shape: kernels are shared between sizes";
}

}  // namespace

int distance(const Leaves& a, const Leaves& b) {
  const size_t shorter = std::min(a.size(), b.size());
  int same = 0;
  // Arguments have an order, so most leaves stand at one place in both; a path stands once in each.
  size_t i = 0;
  for (; i < shorter && a[i].path == b[i].path; ++i) same += a[i].text == b[i].text;
  if (i < shorter) {
    const auto rest_of_b = by_path(std::span(b).subspan(i));
    for (const ArgReader::Leaf& leaf : std::span(a).subspan(i)) {
      const auto it = rest_of_b.find(leaf.path);
      same += it != rest_of_b.end() && it->second->text == leaf.text;
    }
  }
  return static_cast<int>(std::max(a.size(), b.size())) - same;
}

std::string describe_difference(const Leaves& leaves, const Leaves& nearest) {
  constexpr int kShown = 4;
  const auto before = by_path(nearest);
  const auto now = by_path(leaves);
  std::string text;
  int count = 0;
  const auto add = [&](const std::string& line) {
    if (count++ < kShown) text += (text.empty() ? "" : "\n") + line;
  };
  for (const ArgReader::Leaf& leaf : leaves) {
    auto it = before.find(leaf.path);
    if (it == before.end()) {
      add(cat(leaf.path, " is new: ", leaf.text, "; pass containers of one size"));
    } else if (it->second->text != leaf.text) {
      add(cat(leaf.path, " changed from ", it->second->text, " to ", leaf.text, "; ", remedy(leaf, *it->second)));
    }
  }
  for (const ArgReader::Leaf& leaf : nearest) {
    if (!now.contains(leaf.path)) add(cat(leaf.path, " is gone: ", leaf.text, "; pass containers of one size"));
  }
  if (count > kShown) text += cat("\nand ", count - kShown, " more changes");
  if (count == 0) text = "the structure of the arguments changed, such as an optional or an empty container";
  return text;
}

}  // namespace etch::detail
