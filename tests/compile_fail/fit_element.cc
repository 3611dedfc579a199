// ERROR: etch: an element of a data set for a Model is x,
#include <etch/model.h>
#include <tuple>
#include <vector>
using Element = std::tuple<etch::Tensor, etch::Tensor, etch::Tensor, etch::Tensor>;
etch::History fit(etch::Model& model, const std::vector<Element>& data) { return model.fit(data); }
