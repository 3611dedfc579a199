// The wire form of tf.train.Example (protobuf encoding): read without building a message, since members of structs are
// filled straight from it.
//
//   Example  { Features features = 1; }                 Features { map<string, Feature> feature = 1; }
//   Feature  { oneof { BytesList 1; FloatList 2; Int64List 3; } }       each list { repeated value = 1; }
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace etch::detail {

enum class FeatureKind : uint8_t { none, texts, floats, integers };

/// A feature as it stands in the bytes.
struct FeatureView {
  FeatureKind kind = FeatureKind::none;
  std::string_view list;  // the encoded BytesList, FloatList or Int64List
};

struct NamedFeature {
  std::string_view name;
  FeatureView feature;
};

/// Finds the features of an Example, in order; of equal names the last one counts. Error with the byte for malformed
/// bytes.
void find_features(std::string_view example, std::vector<NamedFeature>& features);

/// The elements of a list of one kind. Error with the byte, counted from the start of `example`, for malformed bytes.
int64_t count_elements(const FeatureView& feature, std::string_view example);
void read_texts(const FeatureView& feature, std::string_view example, std::string* to);
void read_floats(const FeatureView& feature, std::string_view example, float* to);
void read_integers(const FeatureView& feature, std::string_view example, int64_t* to);

// Appends to an encoding.
void append_texts(std::string& to, const std::vector<std::string>& texts);
void append_floats(std::string& to, const std::vector<float>& floats);
void append_integers(std::string& to, const std::vector<int64_t>& integers);
/// A feature of that kind whose list is `list`, as an entry of the map.
void append_entry(std::string& to, std::string_view name, FeatureKind kind, std::string_view list);
/// The Example of all entries.
std::string make_example(std::string_view entries);

}  // namespace etch::detail
