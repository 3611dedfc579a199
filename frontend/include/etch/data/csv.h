// CSV files as data sets of structs, tuples or tensors.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/data.h"
#include "etch/data/cell.h"
#include "etch/data/file_stage.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {

/// How CSV files are read.
struct CsvOptions {
  /// The first line of each file names its columns. Without it columns go by their order.
  bool header = true;
  /// The columns of the members, in order, by the header's names; empty: the names of the members. Of a tuple or a
  /// Tensor with a header: empty means all columns in order.
  std::vector<std::string> columns{};
  char delimiter = ',';
  /// Cells may stand in quotation marks, which let them hold delimiters, line ends and, doubled, marks (RFC 4180). If
  /// not, a mark is a character as others.
  bool quotes = true;
  /// The texts of cells that hold no value; the empty text is always one.
  std::vector<std::string> missing{};
  /// The dtype of Tensor members that have no default, and of csv<Tensor>.
  DType dtype = DType::f32;
  /// A longer row is an Error.
  uint64_t most_row_bytes = uint64_t{1} << 24;
};

namespace detail {

/// One column of a row type.
struct CsvColumn {
  std::string name;  // empty in a tuple
  CellType type;
  bool optional = false;
  /// The number, text or tensor in a row; an optional is given one.
  void* (*place)(void* row) = nullptr;
  /// Takes over the member of another row.
  void (*copy)(void* row, const void* from) = nullptr;
};

/// What is read into a row. No columns: all cells become one Tensor.
struct CsvRow {
  std::vector<CsvColumn> columns;
  std::shared_ptr<const void> defaults;  // a row for cells without a value, or null
  std::shared_ptr<const void> empty;     // a row as it is made by default
  bool by_name = false;
};

std::unique_ptr<const FileFormat> csv_format(CsvRow row, CsvOptions options, Location where);

/// The type of a Tensor member: of the default's dtype if there is one. Error unless that has rank 0.
CellType tensor_cell(const Tensor* by_default, DType otherwise);

template <class Member>
CsvColumn csv_column(std::string name, const Member* by_default, DType dtype, void* (*place)(void*),
                     void (*copy)(void*, const void*)) {
  CsvColumn column{std::move(name), {}, etch::detail::OptionalLike<Member>, place, copy};
  if constexpr (std::is_same_v<Member, Tensor>) {
    column.type = tensor_cell(by_default, dtype);
  } else if constexpr (etch::detail::OptionalLike<Member>) {
    column.type = cell_type<typename Member::value_type>();
  } else {
    column.type = cell_type<Member>();
  }
  return column;
}

template <class T, size_t I>
constexpr auto& csv_member(T& row) {
  if constexpr (etch::detail::TupleLike<std::remove_const_t<T>>) {
    return std::get<I>(row);
  } else {
    return etch::detail::member<I>(row);
  }
}

template <class T, size_t I>
CsvColumn csv_column_of(const T* defaults, DType dtype) {
  using Member = std::remove_cvref_t<decltype(csv_member<T, I>(std::declval<T&>()))>;
  std::string name;
  if constexpr (!etch::detail::TupleLike<T>) name = std::string(etch::detail::field_name<T, I>());
  return csv_column<Member>(
      std::move(name), defaults == nullptr ? nullptr : &csv_member<const T, I>(*defaults), dtype,
      [](void* row) -> void* {
        auto& member = csv_member<T, I>(*static_cast<T*>(row));
        if constexpr (etch::detail::OptionalLike<Member>) {
          return &member.emplace();
        } else {
          return &member;
        }
      },
      [](void* row, const void* from) {
        csv_member<T, I>(*static_cast<T*>(row)) = csv_member<const T, I>(*static_cast<const T*>(from));
      });
}

template <class T>
CsvRow csv_row(std::shared_ptr<const T> defaults, DType dtype) {
  CsvRow row;
  if constexpr (!std::is_same_v<T, Tensor>) {
    static_assert(etch::detail::TupleLike<T> || etch::detail::Plain<T>,
                  "etch: a row of a CSV file is a plain struct, a std::tuple or a Tensor");
    row.by_name = !etch::detail::TupleLike<T>;
    const auto add = [&]<size_t... I>(std::index_sequence<I...>) {
      (row.columns.push_back(csv_column_of<T, I>(defaults.get(), dtype)), ...);
    };
    if constexpr (etch::detail::TupleLike<T>) {
      add(std::make_index_sequence<std::tuple_size_v<T>>());
    } else {
      etch::detail::check_members<T>();
      add(std::make_index_sequence<etch::detail::kNumMembers<T>>());
    }
    row.empty = std::make_shared<const T>();
  }
  row.defaults = std::move(defaults);
  return row;
}

/// The tensors of a row, all of rank 0.
std::vector<ElementSpec> csv_spec(const CsvRow& row, const CsvOptions& options);

template <class T>
Dataset<T> csv_dataset(Paths paths, std::shared_ptr<const T> defaults, CsvOptions options, Location where) {
  CsvRow row = csv_row<T>(std::move(defaults), options.dtype);
  std::vector<ElementSpec> spec = csv_spec(row, options);
  return Dataset<T>(std::make_shared<const FilesStage<T>>(
      std::move(paths), csv_format(std::move(row), std::move(options), where), std::move(spec)));
}

}  // namespace detail

/// The rows of CSV files (RFC 4180; lines end with \n or \r\n, empty ones are passed over, a byte order mark of UTF-8
/// too) as structs. A column of the header's name fills each member (`CsvOptions::columns` for other names; without a
/// header they go by order); columns that no member asks for are passed over. Members are bool, numbers, std::string,
/// std::optional of these, or Tensor, which gets rank 0. T may be a std::tuple, whose elements take the columns in
/// order, or Tensor: f32[columns] of all cells.
///
/// Numbers are decimal (nan and inf are floats), with blanks around them at will; a bool is 0, 1, true or false in
/// small, large or initial letters. A cell without a value leaves an optional empty and a std::string "", and else is
/// an Error.
///
/// Errors are of one row; the next row follows. They name path:line:byte of the line and the column: a row with another
/// number of cells than the one before, text that is no number of its type or beyond its range, a misplaced quotation
/// mark. TensorFlow's CsvDataset differs: it has no header by default, and strings without a value are an error there.
template <class T>
Dataset<T> csv(Paths paths, CsvOptions options = {}, Location where = Location::current()) {
  return detail::csv_dataset<T>(std::move(paths), nullptr, std::move(options), where);
}

/// The same, where cells without a value take the member of `defaults` in their place. A Tensor in it, of rank 0, gives
/// its dtype to the column, and one that holds nothing stands for no default.
template <class T>
Dataset<T> csv(Paths paths, T defaults, CsvOptions options, Location where = Location::current()) {
  return detail::csv_dataset<T>(std::move(paths), std::make_shared<const T>(std::move(defaults)), std::move(options),
                                where);
}

}  // namespace data
}  // namespace etch
