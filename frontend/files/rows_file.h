// Tensors of one type that lie behind each other in a file.
#pragma once

#include <string>
#include <string_view>

#include "compiler/ir/graph.h"
#include "etch/data/stage.h"
#include "frontend/files/file.h"

namespace etch::detail {

/// Where the rows of a file lie.
struct RowsLayout {
  uint64_t start = 0;  // of the first row
  int64_t rows = 0;
  Type row;
  bool big_endian = false;
};

/// Turns big endian elements round.
void swap_bytes(void* data, int64_t count, int64_t size);
/// Error, for the elements that `what` names, if a bool is neither 0 nor 1.
void check_bools(const void* data, int64_t count, const std::string& path);

/// The rows, read by index from any number of threads.
class RowsFile final : public data::RandomAccess<Tensor> {
 public:
  RowsFile(std::string_view name, std::string path, OpenedFile file, RowsLayout layout)
      : name_(name), path_(std::move(path)), file_(std::move(file)), layout_(std::move(layout)) {}

  std::string_view name() const override { return name_; }
  int64_t cardinality() const override { return layout_.rows; }
  std::vector<data::ElementSpec> element_spec() const override;
  Tensor at(int64_t i) const override;
  /// Rows that stand behind each other are read at once.
  bool gather(std::span<const int64_t> indices, std::vector<Tensor>& stacked) const override;

 private:
  void read(void* to, int64_t first, int64_t rows) const;
  Tensor allocate(const Shape& shape) const;

  std::string_view name_;
  std::string path_;
  OpenedFile file_;
  RowsLayout layout_;
};

}  // namespace etch::detail
