// tf.train.Example: named lists of texts, floats and integers, as structs or as maps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "etch/data.h"
#include "etch/data/cell.h"
#include "etch/data/file_stage.h"
#include "etch/data/files.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {

/// A list of one of the three types that an Example holds.
using Feature = std::variant<std::vector<std::string>, std::vector<float>, std::vector<int64_t>>;
/// An Example whose features are not known in advance. Features without any list are left out.
using Example = std::map<std::string, Feature, std::less<>>;

/// The message tf.train.Example of these bytes (tensorflow/core/example/example.proto). Error for what is none, with
/// the byte.
Example parse_example(std::string_view bytes);
/// The bytes of the message, with features in the order of their names.
std::string serialize_example(const Example& example);

struct ExampleOptions {
  /// The dtype and shape of Tensor members, by their names (TensorFlow's FixedLenFeature). A Tensor that is not
  /// named here has one axis with as many elements as the feature (VarLenFeature), as f32 or i64.
  std::map<std::string, TensorSpec> tensors{};
  /// For examples<T>: how the files are read.
  TFRecordOptions records{};
};

namespace detail {

/// One member of a struct that is made of an Example.
struct ExampleField {
  static constexpr int64_t kAny = -1;

  std::string name;
  CellType type;
  int64_t count = 1;  // of elements; kAny in a vector, or a Tensor without spec
  bool optional = false;
  bool has_spec = false;
  Shape shape;  // of a Tensor with a spec
  /// Room for so many numbers or texts; the Tensor; the value of an optional.
  void* (*place)(void* object, size_t count) = nullptr;
  /// Takes over the member of another object.
  void (*copy)(void* object, const void* from) = nullptr;
  /// Makes the feature of the member; none for an empty optional.
  bool (*write)(const void* object, Feature& feature) = nullptr;
};

struct ExampleStruct {
  std::vector<ExampleField> fields;
  std::shared_ptr<const void> defaults;  // for what an Example lacks, or null
  std::shared_ptr<const void> empty;     // an object as it is made by default
};

/// Puts the specs into the fields. Error for one without a Tensor of its name.
void add_specs(ExampleStruct& layout, const std::map<std::string, TensorSpec>& specs, Location where);
void parse_example_into(std::string_view bytes, const ExampleStruct& layout, void* object);
std::string serialize_fields(const ExampleStruct& layout, const void* object);
std::unique_ptr<const FileFormat> example_format(ExampleStruct layout, TFRecordOptions options);
/// The one type of the tensors, or nothing if one has no spec.
std::vector<ElementSpec> example_spec(const ExampleStruct& layout);

// How a member becomes a feature.
Feature feature_of(const Tensor& tensor);
inline Feature feature_of(const std::string& text) { return std::vector<std::string>{text}; }
inline Feature feature_of(const std::vector<std::string>& texts) { return texts; }
int64_t feature_integer(uint64_t value);
template <class Range>
Feature feature_of_range(const Range& values) {
  using T = typename Range::value_type;
  if constexpr (std::is_same_v<T, std::string>) {
    return std::vector<std::string>(values.begin(), values.end());
  } else if constexpr (is_floating(stored_dtype<T>())) {
    std::vector<float> list;
    for (const T& value : values) list.push_back(static_cast<float>(value));
    return list;
  } else {
    std::vector<int64_t> list;
    for (const T& value : values) {
      if constexpr (std::is_same_v<T, uint64_t>) {
        list.push_back(feature_integer(value));
      } else {
        list.push_back(static_cast<int64_t>(value));
      }
    }
    return list;
  }
}

template <class T>
inline constexpr bool kIsVector = false;
template <class T, class A>
inline constexpr bool kIsVector<std::vector<T, A>> = true;
template <class T>
inline constexpr int64_t kArraySize = -1;
template <class T, size_t N>
inline constexpr int64_t kArraySize<std::array<T, N>> = int64_t{N};

template <class Member>
void set_type(ExampleField& field) {
  if constexpr (std::is_same_v<Member, Tensor>) {
    field.type.kind = CellType::Kind::tensor;
    field.count = ExampleField::kAny;
  } else if constexpr (etch::detail::OptionalLike<Member>) {
    set_type<typename Member::value_type>(field);
    field.optional = true;
  } else if constexpr (kIsVector<Member>) {
    static_assert(!std::is_same_v<Member, std::vector<bool>>, "etch: use std::vector<uint8_t> or a Tensor");
    field.type = cell_type<typename Member::value_type>();
    field.count = ExampleField::kAny;
  } else if constexpr (kArraySize<Member> >= 0) {
    field.type = cell_type<typename Member::value_type>();
    field.count = kArraySize<Member>;
  } else {
    field.type = cell_type<Member>();
  }
}

template <class Member>
void* place_in(Member& member, size_t count) {
  if constexpr (etch::detail::OptionalLike<Member>) {
    return place_in(member.emplace(), count);
  } else if constexpr (kIsVector<Member>) {
    member.resize(count);
    return member.data();
  } else if constexpr (kArraySize<Member> >= 0) {
    return member.data();
  } else {
    return &member;
  }
}

template <class Member>
bool write_member(const Member& member, Feature& feature) {
  if constexpr (etch::detail::OptionalLike<Member>) {
    return member.has_value() && write_member(*member, feature);
  } else if constexpr (std::is_same_v<Member, Tensor>) {
    feature = feature_of(member);
    return true;
  } else if constexpr (kIsVector<Member> || kArraySize<Member> >= 0) {
    feature = feature_of_range(member);
    return true;
  } else {
    feature = feature_of_range(std::initializer_list<Member>{member});
    return true;
  }
}

template <class T, size_t I>
ExampleField example_field() {
  using Member = std::remove_cvref_t<decltype(etch::detail::member<I>(std::declval<T&>()))>;
  ExampleField field;
  field.name = std::string(etch::detail::field_name<T, I>());
  set_type<Member>(field);
  field.place = [](void* object, size_t count) -> void* {
    return place_in(etch::detail::member<I>(*static_cast<T*>(object)), count);
  };
  field.copy = [](void* object, const void* from) {
    etch::detail::member<I>(*static_cast<T*>(object)) = etch::detail::member<I>(*static_cast<const T*>(from));
  };
  field.write = [](const void* object, Feature& feature) {
    return write_member(etch::detail::member<I>(*static_cast<const T*>(object)), feature);
  };
  return field;
}

template <class T>
ExampleStruct example_struct(std::shared_ptr<const T> defaults) {
  static_assert(etch::detail::Plain<T>, "etch: an Example is read into a plain struct whose members are its features");
  etch::detail::check_members<T>();
  ExampleStruct layout;
  [&]<size_t... I>(std::index_sequence<I...>) {
    (layout.fields.push_back(example_field<T, I>()), ...);
  }(std::make_index_sequence<etch::detail::kNumMembers<T>>());
  layout.defaults = std::move(defaults);
  layout.empty = std::make_shared<const T>();
  return layout;
}

template <class T>
T parse_example_as(std::string_view bytes, std::shared_ptr<const T> defaults, const ExampleOptions& options,
                   Location where) {
  ExampleStruct layout = example_struct<T>(std::move(defaults));
  add_specs(layout, options.tensors, where);
  T object{};
  parse_example_into(bytes, layout, &object);
  return object;
}

template <class T>
Dataset<T> examples_dataset(Paths paths, std::shared_ptr<const T> defaults, const ExampleOptions& options,
                            Location where) {
  ExampleStruct layout = example_struct<T>(std::move(defaults));
  add_specs(layout, options.tensors, where);
  std::vector<ElementSpec> spec = example_spec(layout);
  return Dataset<T>(std::make_shared<const FilesStage<T>>(
      std::move(paths), example_format(std::move(layout), options.records), std::move(spec)));
}

}  // namespace detail

/// An Example as a plain struct: each member is the feature of its name (tf.io.parse_single_example). Members are
/// - bool, integers, floats, std::string: one element; std::array: N;
/// - std::vector of numbers or std::string: any number, none if the feature is missing;
/// - Tensor: f32 of floats, i64 of integers, with one axis; or of the dtype and shape in `ExampleOptions::tensors`;
/// - std::optional of these: empty if the feature is missing.
/// Integer features go into integers and bool, float features into floats, texts into std::string. Other features are
/// passed over. Error for a missing feature, another kind of feature, another number of elements, and an integer beyond
/// the range of the member's type.
template <class T>
T parse_example(std::string_view bytes, const ExampleOptions& options = {}, Location where = Location::current()) {
  return detail::parse_example_as<T>(bytes, nullptr, options, where);
}
/// The same, where missing features take the member of `defaults` in their place; a Tensor in it that holds nothing
/// stands for no default.
template <class T>
T parse_example(std::string_view bytes, T defaults, const ExampleOptions& options,
                Location where = Location::current()) {
  return detail::parse_example_as<T>(bytes, std::make_shared<const T>(std::move(defaults)), options, where);
}

/// The bytes of an Example with a feature for each member, of the types that parse_example<T> takes: floats (a double
/// is rounded to f32, as in TensorFlow), integers, texts. Tensors are written in row-major order without their shape.
template <class T>
  requires(!std::is_same_v<T, Example>)
std::string serialize_example(const T& object) {
  static const detail::ExampleStruct layout = detail::example_struct<T>(nullptr);
  return detail::serialize_fields(layout, &object);
}

/// The Examples of TFRecord files, as parse_example<T> reads each. Errors are of one record and name the path and its
/// byte; the next record follows.
template <class T>
Dataset<T> examples(Paths paths, const ExampleOptions& options = {}, Location where = Location::current()) {
  return detail::examples_dataset<T>(std::move(paths), nullptr, options, where);
}
/// The same, where missing features take the member of `defaults` in their place.
template <class T>
Dataset<T> examples(Paths paths, T defaults, const ExampleOptions& options, Location where = Location::current()) {
  return detail::examples_dataset<T>(std::move(paths), std::make_shared<const T>(std::move(defaults)), options, where);
}

}  // namespace data
}  // namespace etch
