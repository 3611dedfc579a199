// ERROR: etch: a member that is read from a file is a bool, a number, a std::string, a std::optional of these, or a Tensor
#include <etch/data/csv.h>

struct Row {
  std::vector<float> values;
};
auto rows = etch::data::csv<Row>("a.csv");
