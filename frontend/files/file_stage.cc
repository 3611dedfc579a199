// A walk over the elements of files, one file after the other.
#include "etch/data/file_stage.h"

#include "compiler/ir/cat.h"
#include "etch/error.h"

namespace etch::data::detail {

ElementReader::~ElementReader() = default;
FileFormat::~FileFormat() = default;

void fail_file_number(std::string_view name, int64_t number, size_t files) {
  throw Error(cat(name, ": the saved state stands behind file ", number, " of a data set of ", files));
}

}  // namespace etch::data::detail
