// Builds kernel programs by hand for the tests, with their sizes and buffers, and runs them.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "compiler/codegen/codegen.h"
#include "tests/codegen/scratch.h"

namespace etch {

/// The bytes of a buffer: nobody may write to the guard bytes before it, and who reads or writes behind it faults.
class TestBuffer {
 public:
  TestBuffer(DType dtype, int64_t elements) : dtype_(dtype), bytes_(elements * size_of(dtype)) {
    const int64_t page = sysconf(_SC_PAGESIZE), pages = (bytes_ + kGuard + page - 1) / page;
    size_ = (pages + 1) * page;
    void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<char*>(memory);
    mprotect(memory_ + pages * page, page, PROT_NONE);
    begin_ = memory_ + pages * page - bytes_;
    std::memset(memory_, kGuardByte, pages * page);
  }
  TestBuffer(const TestBuffer& other) : TestBuffer(other.dtype_, other.elements()) {
    std::memcpy(begin_, other.begin_, bytes_);
  }
  TestBuffer& operator=(const TestBuffer&) = delete;
  ~TestBuffer() { munmap(memory_, size_); }

  template <class T>
  T* data() {
    return reinterpret_cast<T*>(begin_);
  }
  DType dtype() const { return dtype_; }
  int64_t elements() const { return bytes_ / size_of(dtype_); }
  void expect_guards_untouched() const {
    for (int64_t i = 1; i <= kGuard; ++i) ASSERT_EQ(begin_[-i], kGuardByte) << "written before the buffer";
  }
  std::string bytes() const { return std::string(begin_, begin_ + bytes_); }

 private:
  static constexpr int64_t kGuard = 128;
  static constexpr char kGuardByte = 0x5c;
  DType dtype_;
  int64_t bytes_;
  size_t size_ = 0;          // of what is mapped
  char* memory_ = nullptr;   // mapped
  char* begin_ = nullptr;    // of the buffer, which ends where no page is
};

/// The targets whose code this processor runs.
inline std::vector<Target> targets() {
  std::vector<Target> list;
  for (const std::string& name : target_names()) {
    if (missing_features(*find_target(name)).empty()) list.push_back(*find_target(name));
  }
  return list;
}

/// A program under construction.
class TestKernel {
 public:
  TestKernel(KernelKind kind, std::vector<int64_t> extents) : extents_(std::move(extents)) {
    program.axes.assign(extents_.size(), Role::batch);
    switch (kind) {
      case KernelKind::loop: program.axes.back() = Role::vector; break;
      case KernelKind::row: program.axes.back() = Role::reduce; break;
      case KernelKind::short_row:
        program.axes.back() = Role::reduce;
        program.short_row = static_cast<int8_t>(extents_.back());
        break;
      case KernelKind::column:
        program.axes.back() = Role::vector;
        program.axes[extents_.size() - 2] = Role::reduce;
        break;
      default: ADD_FAILURE() << name(kind) << " has a test of its own";
    }
  }

  /// The axis before the folded one numbers blocks of a row of `total` elements.
  void in_blocks(int64_t total) {
    program.axes[program.folded_axis() - 1] = Role::block;
    total_ = total;
  }
  /// The folded axis holds what blocks came to.
  void of_results() { program.axes[program.folded_axis()] = Role::results; }

  /// Adds an access of `buffer` and returns its number. The stride class follows from the last stride.
  int access(TestBuffer& buffer, std::vector<int64_t> strides, int64_t offset = 0) {
    Access access;
    access.dtype = buffer.dtype();
    int64_t last = strides.back();
    access.stride = stride_class(last);
    access.uniform = true;
    for (int64_t stride : strides) access.uniform = access.uniform && stride == 0;
    const bool across = program.short_row > 0 && last == 0 && strides[strides.size() - 2] == 1;
    if (across) access.next_row = 1;
    program.accesses.push_back(access);
    places_.push_back({offset, std::move(strides)});
    buffers_.push_back(&buffer);
    return static_cast<int>(program.accesses.size()) - 1;
  }
  /// An access along the lanes begins again after so many elements.
  void repeat(int access, int64_t period) {
    program.accesses[access].repeats = true;
    places_[access].strides.back() = period;
  }
  /// Row-major strides of the domain without the axes that `skip` names: 0 there.
  std::vector<int64_t> dense(std::vector<int> skip = {}) const {
    std::vector<int64_t> strides(extents_.size());
    int64_t stride = 1;
    for (int axis = static_cast<int>(extents_.size()) - 1; axis >= 0; --axis) {
      if (std::find(skip.begin(), skip.end(), axis) != skip.end()) continue;
      strides[axis] = stride;
      stride *= extents_[axis];
    }
    return strides;
  }

  int load(int access) { return add(InstrKind::load, program.accesses[access].dtype, access); }
  int store(int access, int value) { return add(InstrKind::store, program.accesses[access].dtype, access, {value}); }
  int index(std::vector<int64_t> strides, int64_t offset) {
    indices_.push_back({offset, std::move(strides)});
    program.indices.push_back(stride_class(indices_.back().strides.back()));
    return add(InstrKind::index, DType::i64, program.indices.size() - 1);
  }
  template <class T>
  int param(T value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    params_.push_back(static_cast<int64_t>(bits));
    return add(InstrKind::param, dtype_of<T>, program.num_params++);
  }
  int compute(Op op, DType dtype, std::initializer_list<int> args) {
    int result = add(InstrKind::compute, dtype, -1, args);
    program.body.back().op = op;
    return result;
  }
  int reduce(ReduceKind kind, int value) {
    DType dtype = program.body[value].dtype;
    if (kind == ReduceKind::argmax || kind == ReduceKind::argmin) dtype = DType::i64;
    int result = add(InstrKind::reduce, dtype, -1, {value});
    program.body.back().reduce = kind;
    return result;
  }
  /// The instructions that follow belong to the next stage.
  void next_stage() { ++stage_; }
  /// The instructions that follow are computed once per row, or not.
  void per_row(bool value) { per_row_ = value; }

  std::vector<int64_t> sizes() const {
    std::vector<int64_t> sizes = extents_;
    if (program.has(Role::block)) sizes.push_back(total_);
    for (const auto* places : {&places_, &indices_}) {
      for (const Place& place : *places) {
        sizes.push_back(place.offset);
        sizes.insert(sizes.end(), place.strides.begin(), place.strides.end());
      }
    }
    sizes.insert(sizes.end(), params_.begin(), params_.end());
    sizes.push_back(streams);
    return sizes;
  }

  int64_t iterations() const {
    int64_t count = 1;
    for (int axis = 0; axis < program.rank(); ++axis) {
      if (axis != program.folded_axis()) count *= extents_[axis];
    }
    return count;
  }

  /// Compiles with LLVM's verifier on and runs all iterations, `split` at a time (0: all at once).
  void run(int64_t split = 0) {
    const KernelProgram* programs[] = {&program};
    auto kernels = compile_kernels(programs, {.target = target}, nullptr, true);
    ASSERT_TRUE(kernels.ok()) << kernels.status();
    std::vector<int64_t> data = sizes();
    ASSERT_EQ(static_cast<int64_t>(data.size()), SizesLayout(program).count);
    std::vector<void*> pointers;
    for (TestBuffer* buffer : buffers_) pointers.push_back(buffer->data<char>());
    int64_t n = iterations();
    if (split == 0) split = std::max<int64_t>(n, 1);
    TestScratch scratch(*(*kernels)[0]);
    for (int64_t begin = 0; begin < n; begin += split) {
      (*kernels)[0]->fn()(pointers.data(), data.data(), begin, std::min(begin + split, n), scratch.data());
    }
    for (TestBuffer* buffer : buffers_) buffer->expect_guards_untouched();
  }

  KernelProgram program;
  Target target = host_target();
  int64_t streams = 0;  // see SizesLayout

 private:
  struct Place {
    int64_t offset;
    std::vector<int64_t> strides;
  };
  int add(InstrKind kind, DType dtype, int slot, std::initializer_list<int> args = {}) {
    Instr& instr = program.body.emplace_back();
    instr.kind = kind;
    instr.dtype = dtype;
    instr.slot = static_cast<int16_t>(slot);
    instr.stage = static_cast<int8_t>(stage_);
    instr.per_row = per_row_;
    for (int arg : args) instr.args.push_back(arg);
    return static_cast<int>(program.body.size()) - 1;
  }

  std::vector<int64_t> extents_;
  int64_t total_ = 0;
  std::vector<Place> places_, indices_;
  std::vector<int64_t> params_;
  std::vector<TestBuffer*> buffers_;
  int stage_ = 0;
  bool per_row_ = false;
};

/// Random elements: small whole numbers in integers, so that products stay apart, and now and then a special float.
template <class T>
void fill_random(TestBuffer& buffer, uint32_t seed, bool specials = false) {
  std::mt19937 random(seed);
  for (int64_t i = 0; i < buffer.elements(); ++i) {
    if constexpr (std::is_same_v<T, bool>) {
      buffer.data<T>()[i] = random() % 2;
    } else if constexpr (std::is_integral_v<T>) {
      buffer.data<T>()[i] = static_cast<T>(random());
    } else {
      T value = std::uniform_real_distribution<T>(-2, 2)(random);
      constexpr T kSpecials[] = {T(0), T(-0.0), std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(),
                                 std::numeric_limits<T>::quiet_NaN(), -std::numeric_limits<T>::quiet_NaN()};
      if (specials && random() % 8 == 0) value = kSpecials[random() % std::size(kSpecials)];
      buffer.data<T>()[i] = value;
    }
  }
}

/// Equal bits, where any NaN equals any other.
template <class T>
bool same(T a, T b) {
  if (a != a && b != b) return true;
  return std::memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace etch
