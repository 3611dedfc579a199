// CSV files: rows split into cells, and cells put into the members of a struct.
#include <algorithm>
#include <cstring>

#include "compiler/ir/cat.h"
#include "etch/data/csv.h"
#include "frontend/files/line_reader.h"
#include "frontend/files/number_text.h"
#include "frontend/files/quote.h"
#include "frontend/tensor_impl.h"

namespace etch::data::detail {
namespace {

using etch::detail::LineReader;
using etch::detail::NumberError;
using etch::detail::quote;

struct Cell {
  std::string_view text;
  size_t at = 0;  // in the record
  bool quoted = false;
};

/// Reads a file as records of cells. An error is of one record.
class RecordSplitter {
 public:
  RecordSplitter(const std::string& path, const CsvOptions& options)
      : lines_(std::make_unique<etch::detail::InputFile>(path), options.most_row_bytes), options_(options) {}

  const std::string& path() const { return lines_.path(); }
  const std::vector<Cell>& cells() const { return cells_; }
  uint64_t position() const { return lines_.position(); }
  uint64_t line() const { return lines_.line(); }
  void seek(uint64_t position, uint64_t line) { lines_.seek(position, line); }

  /// Reads a record that is not empty. False at the end of the file.
  bool next() {
    if (!read()) return false;
    split();
    return true;
  }
  /// Passes one without looking into its cells.
  bool skip() { return read(); }

  /// An error at a byte of the record.
  [[noreturn]] void fail(size_t at, std::string_view reason) const {
    const std::string_view before = record_.substr(0, std::min(at, record_.size()));
    const auto lines = static_cast<uint64_t>(std::count(before.begin(), before.end(), '\n'));
    const size_t start = before.rfind('\n');
    const size_t column = before.size() - (start == before.npos ? 0 : start + 1) + 1;
    etch::detail::fail_reading(cat(path(), ":", first_line_ + lines, ":", column), reason);
  }

 private:
  bool read() {
    while (true) {
      std::string_view line;
      if (!lines_.next(line)) return false;
      first_line_ = lines_.line();
      if (first_line_ == 1 && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
      has_quotes_ = options_.quotes && std::memchr(line.data(), '"', line.size()) != nullptr;
      record_ = etch::detail::without_end(has_quotes_ ? complete(line) : line);
      if (!record_.empty()) return true;
    }
  }

  /// The record that begins with a line: a line end within quotation marks does not end it.
  std::string_view complete(std::string_view line) {
    const auto is_open = [](std::string_view part) { return std::count(part.begin(), part.end(), '"') % 2 != 0; };
    if (!is_open(line)) return line;
    joined_ = line;
    while (lines_.next(line)) {
      if (joined_.size() + line.size() > options_.most_row_bytes) {
        record_ = {};
        fail(0, cat("the row is longer than the limit of ", options_.most_row_bytes, " bytes"));
      }
      joined_ += line;
      if (is_open(line)) return joined_;
    }
    record_ = joined_;
    fail(joined_.rfind('"'), "the quotation mark is not closed before the file ends");
  }

  void split() {
    cells_.clear();
    if (has_quotes_) {
      split_quoted();
      return;
    }
    const char* const begin = record_.data();
    const char* const end = begin + record_.size();
    for (const char* from = begin;;) {
      const char* to = from;
      while (to != end && *to != options_.delimiter) ++to;
      cells_.push_back({{from, static_cast<size_t>(to - from)}, static_cast<size_t>(from - begin), false});
      if (to == end) return;
      from = to + 1;
    }
  }

  void split_quoted() {
    unquoted_.clear();
    unquoted_.reserve(record_.size());  // so that no cell moves
    for (size_t at = 0;;) {
      const size_t end = record_[at] == '"' ? quoted_cell(at) : plain_cell(at);
      if (end == record_.size()) return;
      at = end + 1;
      if (at < record_.size()) continue;
      cells_.push_back({{}, at, false});
      return;
    }
  }

  size_t plain_cell(size_t at) {
    const size_t end = std::min(record_.find(options_.delimiter, at), record_.size());
    const std::string_view text = record_.substr(at, end - at);
    if (const size_t mark = text.find('"'); mark != text.npos) {
      fail(at + mark,
           "a quotation mark within a cell that does not begin with one; double it in a quoted cell, or read "
           "with .quotes = false");
    }
    cells_.push_back({text, at, false});
    return end;
  }

  size_t quoted_cell(size_t at) {
    const size_t start = unquoted_.size();
    size_t from = at + 1;
    while (true) {
      const size_t mark = record_.find('"', from);
      if (mark == record_.npos) fail(at, "the quotation mark is not closed");
      unquoted_ += record_.substr(from, mark - from);
      from = mark + 1;
      if (from == record_.size() || record_[from] != '"') break;
      unquoted_ += '"';
      ++from;
    }
    if (from < record_.size() && record_[from] != options_.delimiter) {
      fail(from, cat(quote(record_.substr(from, 1)), " follows a closing quotation mark"));
    }
    cells_.push_back({std::string_view(unquoted_).substr(start), at, true});
    return from;
  }

  LineReader lines_;
  const CsvOptions& options_;
  std::string_view record_;
  uint64_t first_line_ = 0;
  bool has_quotes_ = false;
  std::string joined_;    // a record of several lines
  std::string unquoted_;  // the texts of quoted cells
  std::vector<Cell> cells_;
};

class CsvReader final : public ElementReader {
 public:
  CsvReader(const std::string& path, const CsvRow& row, const CsvOptions& options)
      : records_(path, options), row_(row), options_(options) {
    if (options_.header) read_header();
  }

  bool next(void* element) override {
    if (!records_.next()) return false;
    check_count();
    if (row_.columns.empty()) {
      fill_tensor(*static_cast<Tensor*>(element));
      return true;
    }
    for (size_t i = 0; i < row_.columns.size(); ++i) fill(i, records_.cells()[sources_[i]], element);
    return true;
  }

  int64_t skip(int64_t n) override {
    int64_t done = 0;
    while (done < n && records_.skip()) ++done;
    return done;
  }

  void save(SavedState& state) const override {
    state.set("byte", records_.position());
    state.set("line", records_.line());
    state.set("cells", static_cast<uint64_t>(count_));
  }
  void restore(const SavedState& state) override {
    records_.seek(state.get<uint64_t>("byte"), state.get<uint64_t>("line"));
    if (options_.header) return;
    count_ = state.get<uint64_t>("cells");
    if (count_ > 0) choose_by_order();
  }

 private:
  /// How many columns the row type asks for; 0 stands for all.
  size_t wanted() const { return row_.columns.empty() ? options_.columns.size() : row_.columns.size(); }

  void read_header() {
    if (!records_.next()) etch::detail::fail_reading(records_.path(), "it has no line, and so no header");
    for (const Cell& cell : records_.cells()) names_.emplace_back(cell.text);
    count_ = names_.size();
    if (options_.columns.empty() && !row_.by_name) {
      choose_by_order();
      return;
    }
    for (size_t i = 0; i < wanted(); ++i) {
      sources_.push_back(find_column(options_.columns.empty() ? row_.columns[i].name : options_.columns[i]));
    }
  }

  size_t find_column(const std::string& name) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
      std::string all;
      for (const std::string& other : names_) all += cat(all.empty() ? "" : ", ", quote(other));
      records_.fail(0, cat("the header has no column ", quote(name), ", but ", all,
                           "; state the names in CsvOptions::columns"));
    }
    if (std::find(found + 1, names_.end(), name) != names_.end()) {
      records_.fail(0, cat("the header has the column ", quote(name), " twice"));
    }
    return static_cast<size_t>(found - names_.begin());
  }

  void choose_by_order() {
    sources_.clear();
    const size_t wanted = row_.columns.empty() ? count_ : row_.columns.size();
    for (size_t i = 0; i < wanted; ++i) sources_.push_back(i);
    if (count_ != wanted)
      records_.fail(0, cat("the row has ", count_, " cells, but the row type ", wanted, " members"));
  }

  void check_count() {
    const size_t count = records_.cells().size();
    if (count == count_) return;
    if (count_ == 0) {
      count_ = count;
      choose_by_order();
      return;
    }
    records_.fail(0, cat("the row has ", count, " cells, but ", names_.empty() ? "the first row" : "the header",
                         " has ", count_));
  }

  /// Blanks are a text, but no number.
  bool is_missing(const Cell& cell, CellType::Kind kind) const {
    if (kind == CellType::Kind::text ? cell.text.empty() && !cell.quoted
                                     : cell.text.find_first_not_of(" \t") == cell.text.npos) {
      return true;
    }
    return !options_.missing.empty() && !cell.quoted &&
           std::find(options_.missing.begin(), options_.missing.end(), cell.text) != options_.missing.end();
  }

  std::string column_name(size_t source) const {
    return source < names_.size() ? cat("column ", quote(names_[source])) : cat("column ", source + 1);
  }

  void fill(size_t i, const Cell& cell, void* row) {
    const CsvColumn& column = row_.columns[i];
    if (is_missing(cell, column.type.kind)) {
      if (fill_missing(column, row)) return;
      records_.fail(cell.at, cat(column_name(sources_[i]), " holds no value; give a default, or make the member a "
                                                           "std::optional"));
    }
    switch (column.type.kind) {
      case CellType::Kind::text: static_cast<std::string*>(column.place(row))->assign(cell.text); return;
      case CellType::Kind::number: parse(cell, sources_[i], column.type.dtype, column.place(row)); return;
      case CellType::Kind::tensor: {
        Tensor tensor = etch::detail::allocate_legal({column.type.dtype, {}}, {}, "csv");
        parse(cell, sources_[i], column.type.dtype, etch::detail::TensorAccess::get(tensor)->data);
        *static_cast<Tensor*>(column.place(row)) = std::move(tensor);
        return;
      }
    }
  }

  /// False if there is nothing to put in the place of a value.
  bool fill_missing(const CsvColumn& column, void* row) {
    if (row_.defaults != nullptr) {
      column.copy(row, row_.defaults.get());
      if (column.type.kind != CellType::Kind::tensor) return true;
      return static_cast<Tensor*>(column.place(row))->defined();
    }
    if (column.optional) {
      column.copy(row, row_.empty.get());
      return true;
    }
    if (column.type.kind != CellType::Kind::text) return false;
    static_cast<std::string*>(column.place(row))->clear();
    return true;
  }

  void parse(const Cell& cell, size_t source, DType dtype, void* to) {
    const NumberError error = etch::detail::parse_number(cell.text, dtype, to);
    if (error == NumberError::none) return;
    records_.fail(cell.at, cat(column_name(source), " holds ", quote(cell.text),
                               error == NumberError::malformed ? ", which is no " : ", which is beyond the range of ",
                               name(dtype)));
  }

  void fill_tensor(Tensor& out) {
    const DType dtype = options_.dtype;
    Tensor tensor = etch::detail::allocate_legal({dtype, {static_cast<int64_t>(sources_.size())}}, {}, "csv");
    auto* to = static_cast<std::byte*>(etch::detail::TensorAccess::get(tensor)->data);
    for (size_t source : sources_) {
      const Cell& cell = records_.cells()[source];
      if (is_missing(cell, CellType::Kind::number)) records_.fail(cell.at, cat(column_name(source), " holds no value"));
      parse(cell, source, dtype, to);
      to += size_of(dtype);
    }
    out = std::move(tensor);
  }

  RecordSplitter records_;
  const CsvRow& row_;
  const CsvOptions& options_;
  std::vector<std::string> names_;
  std::vector<size_t> sources_;  // the cell of each column
  size_t count_ = 0;             // cells of a row; 0 before it is known
};

class CsvFormat final : public FileFormat {
 public:
  CsvFormat(CsvRow row, CsvOptions options) : row_(std::move(row)), options_(std::move(options)) {}

  std::string_view name() const override { return "csv"; }
  std::unique_ptr<ElementReader> open(const std::string& path) const override {
    return std::make_unique<CsvReader>(path, row_, options_);
  }

 private:
  CsvRow row_;
  CsvOptions options_;
};

}  // namespace

CellType tensor_cell(const Tensor* by_default, DType otherwise) {
  if (by_default == nullptr || !by_default->defined()) return {CellType::Kind::tensor, otherwise};
  if (by_default->rank() != 0) throw Error(cat("csv: a default is a tensor of shape ", to_string(by_default->shape()),
                                               ", but a cell is one of rank 0"));
  return {CellType::Kind::tensor, by_default->dtype()};
}

std::unique_ptr<const FileFormat> csv_format(CsvRow row, CsvOptions options, Location where) {
  const auto fail = [&](std::string_view reason) { etch::detail::fail(where, cat("csv: ", reason)); };
  if (std::string_view("\"\n\r").find(options.delimiter) != std::string_view::npos) {
    fail("the delimiter is a quotation mark or a line end");
  }
  if (!options.columns.empty()) {
    if (!options.header) fail("columns are named, but there is no header to find them by");
    if (!row.columns.empty() && row.columns.size() != options.columns.size()) {
      fail(cat(options.columns.size(), " columns are named for ", row.columns.size(), " members"));
    }
  }
  return std::make_unique<const CsvFormat>(std::move(row), std::move(options));
}

std::vector<ElementSpec> csv_spec(const CsvRow& row, const CsvOptions& options) {
  ElementSpec spec;
  if (row.columns.empty()) {
    if (options.columns.empty()) return {};
    spec.tensors.push_back({options.dtype, {static_cast<int64_t>(options.columns.size())}});
  }
  for (const CsvColumn& column : row.columns) {
    if (column.type.kind == CellType::Kind::tensor) spec.tensors.push_back({column.type.dtype, {}});
  }
  return {std::move(spec)};
}

}  // namespace etch::data::detail
