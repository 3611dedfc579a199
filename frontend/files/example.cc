// Examples as maps and as structs.
#include "etch/data/example.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "compiler/ir/cat.h"
#include "frontend/files/example_wire.h"
#include "frontend/files/quote.h"
#include "frontend/files/record_elements.h"
#include "frontend/tensor_impl.h"

namespace etch::data {
namespace detail {
namespace {

using etch::detail::FeatureKind;
using etch::detail::FeatureView;
using etch::detail::NamedFeature;

std::string_view kind_name(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::texts: return "texts";
    case FeatureKind::floats: return "floats";
    case FeatureKind::integers: return "integers";
    case FeatureKind::none: break;
  }
  return "nothing";
}

/// Fills an object from the features of one Example.
class Filler {
 public:
  Filler(std::string_view bytes, const ExampleStruct& layout, void* object)
      : bytes_(bytes), layout_(layout), object_(object) {}

  void fill(const std::vector<NamedFeature>& features) {
    for (const ExampleField& field : layout_.fields) {
      const auto found = std::find_if(features.rbegin(), features.rend(),
                                      [&](const NamedFeature& feature) { return feature.name == field.name; });
      if (found == features.rend() || found->feature.kind == FeatureKind::none) {
        fill_missing(field);
      } else {
        fill(field, found->feature);
      }
    }
  }

 private:
  [[noreturn]] static void fail(const ExampleField& field, std::string_view reason) {
    throw Error(cat("the feature ", etch::detail::quote(field.name), " ", reason));
  }

  void fill_missing(const ExampleField& field) {
    const bool is_tensor = field.type.kind == CellType::Kind::tensor;
    if (layout_.defaults != nullptr) {
      field.copy(object_, layout_.defaults.get());
      if (!is_tensor || field.optional || static_cast<Tensor*>(field.place(object_, 1))->defined()) return;
    } else if (field.optional || (field.count == ExampleField::kAny && !is_tensor)) {
      field.copy(object_, layout_.empty.get());
      return;
    }
    fail(field, "is missing; give a default, or make the member a std::optional");
  }

  void fill(const ExampleField& field, const FeatureView& feature) {
    const int64_t count = count_elements(feature, bytes_);
    if (field.type.kind == CellType::Kind::tensor) {
      fill_tensor(field, feature, count);
      return;
    }
    const bool is_text = field.type.kind == CellType::Kind::text;
    check_kind(field, feature, is_text, field.type.dtype);
    if (field.count != ExampleField::kAny && count != field.count) {
      fail(field, cat("has ", count, " elements, but the member takes ", field.count));
    }
    void* to = field.place(object_, static_cast<size_t>(count));
    if (is_text) {
      read_texts(feature, bytes_, static_cast<std::string*>(to));
    } else {
      read_numbers(field, feature, count, field.type.dtype, to);
    }
  }

  static void check_kind(const ExampleField& field, const FeatureView& feature, bool is_text, DType dtype) {
    const FeatureKind wanted = is_text              ? FeatureKind::texts
                               : is_floating(dtype) ? FeatureKind::floats
                                                    : FeatureKind::integers;
    if (feature.kind == wanted) return;
    fail(field, cat("holds ", kind_name(feature.kind), ", but the member ", kind_name(wanted),
                    is_text ? std::string() : cat(" (", name(dtype), ")")));
  }

  void fill_tensor(const ExampleField& field, const FeatureView& feature, int64_t count) {
    if (feature.kind == FeatureKind::texts) {
      fail(field, "holds texts, which are no tensor; make the member a std::string and decode it");
    }
    const DType dtype = field.has_spec                        ? field.type.dtype
                        : feature.kind == FeatureKind::floats ? DType::f32
                                                              : DType::i64;
    check_kind(field, feature, false, dtype);
    const Shape shape = field.has_spec ? field.shape : Shape{count};
    if (count != shape.product()) {
      fail(field, cat("has ", count, " elements, but ", to_string(Type{dtype, shape}), " takes ", shape.product()));
    }
    Tensor tensor = etch::detail::allocate(dtype, shape, {}, "an Example");
    read_numbers(field, feature, count, dtype, etch::detail::TensorAccess::get(tensor)->data);
    *static_cast<Tensor*>(field.place(object_, 1)) = std::move(tensor);
  }

  void read_numbers(const ExampleField& field, const FeatureView& feature, int64_t count, DType dtype, void* to) {
    if (dtype == DType::f32) {
      read_floats(feature, bytes_, static_cast<float*>(to));
    } else if (dtype == DType::i64) {
      read_integers(feature, bytes_, static_cast<int64_t*>(to));
    } else if (is_floating(dtype)) {
      std::vector<float> values(static_cast<size_t>(count));
      read_floats(feature, bytes_, values.data());
      convert(field, values, dtype, to);
    } else {
      std::vector<int64_t> values(static_cast<size_t>(count));
      read_integers(feature, bytes_, values.data());
      convert(field, values, dtype, to);
    }
  }

  template <class From>
  static void convert(const ExampleField& field, const std::vector<From>& values, DType dtype, void* to) {
    dispatch(dtype, [&]<class T>() {
      for (size_t i = 0; i < values.size(); ++i) {
        if constexpr (std::is_integral_v<T> && std::is_integral_v<From>) {
          if (!std::in_range<std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>>(values[i]) ||
              (std::is_same_v<T, bool> && values[i] > 1)) {
            fail(field, cat("holds ", values[i], ", which is beyond the range of ", name(dtype)));
          }
        }
        const T value = static_cast<T>(values[i]);
        std::memcpy(static_cast<std::byte*>(to) + i * sizeof(T), &value, sizeof value);
      }
    });
  }

  std::string_view bytes_;
  const ExampleStruct& layout_;
  void* object_;
};

class ExampleReader final : public RecordElements {
 public:
  ExampleReader(const std::string& path, const ExampleStruct& layout, const TFRecordOptions& options)
      : RecordElements(path, options), layout_(layout) {}

 private:
  void make(std::string_view record, uint64_t at, void* element) override {
    try {
      find_features(record, features_);
      Filler(record, layout_, element).fill(features_);
    } catch (const Error& error) {
      etch::detail::fail_reading(path(), cat("the record at byte ", at, ": ", error.what()));
    }
  }

  const ExampleStruct& layout_;
  std::vector<NamedFeature> features_;
};

class ExampleFormat final : public FileFormat {
 public:
  ExampleFormat(ExampleStruct layout, TFRecordOptions options) : layout_(std::move(layout)), options_(options) {}
  std::string_view name() const override { return "examples"; }
  std::unique_ptr<ElementReader> open(const std::string& path) const override {
    return std::make_unique<ExampleReader>(path, layout_, options_);
  }

 private:
  ExampleStruct layout_;
  TFRecordOptions options_;
};

void append_feature(std::string& entries, std::string_view name, const Feature& feature) {
  std::string list;
  FeatureKind kind = FeatureKind::none;
  if (const auto* texts = std::get_if<std::vector<std::string>>(&feature)) {
    kind = FeatureKind::texts;
    etch::detail::append_texts(list, *texts);
  } else if (const auto* floats = std::get_if<std::vector<float>>(&feature)) {
    kind = FeatureKind::floats;
    etch::detail::append_floats(list, *floats);
  } else {
    kind = FeatureKind::integers;
    etch::detail::append_integers(list, std::get<std::vector<int64_t>>(feature));
  }
  etch::detail::append_entry(entries, name, kind, list);
}

}  // namespace

void add_specs(ExampleStruct& layout, const std::map<std::string, TensorSpec>& specs, Location where) {
  for (const auto& [name, spec] : specs) {
    const auto field = std::find_if(layout.fields.begin(), layout.fields.end(), [&](const ExampleField& candidate) {
      return candidate.name == name && candidate.type.kind == CellType::Kind::tensor;
    });
    if (field == layout.fields.end()) {
      etch::detail::fail(where, cat("examples: a dtype and shape is stated for ", etch::detail::quote(name),
                                    ", but the struct has no Tensor of that name"));
    }
    etch::detail::check_type({spec.dtype, spec.shape}, "examples", where);
    field->has_spec = true;
    field->type.dtype = spec.dtype;
    field->shape = spec.shape;
  }
}

void parse_example_into(std::string_view bytes, const ExampleStruct& layout, void* object) {
  std::vector<NamedFeature> features;
  try {
    find_features(bytes, features);
    Filler(bytes, layout, object).fill(features);
  } catch (const Error& error) {
    throw Error(cat("parse_example: ", error.what()));
  }
}

std::string serialize_fields(const ExampleStruct& layout, const void* object) {
  std::vector<const ExampleField*> sorted;
  for (const ExampleField& field : layout.fields) sorted.push_back(&field);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  std::string entries;
  Feature feature;
  for (const ExampleField* field : sorted) {
    if (field->write(object, feature)) append_feature(entries, field->name, feature);
  }
  return etch::detail::make_example(entries);
}

std::unique_ptr<const FileFormat> example_format(ExampleStruct layout, TFRecordOptions options) {
  return std::make_unique<const ExampleFormat>(std::move(layout), options);
}

std::vector<ElementSpec> example_spec(const ExampleStruct& layout) {
  ElementSpec spec;
  for (const ExampleField& field : layout.fields) {
    if (field.type.kind != CellType::Kind::tensor) continue;
    if (!field.has_spec || field.optional) return {};
    spec.tensors.push_back({field.type.dtype, field.shape});
  }
  return {std::move(spec)};
}

int64_t feature_integer(uint64_t value) {
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    throw Error(cat("serialize_example: ", value, " is beyond the 64 bits with a sign that an Example holds"));
  }
  return static_cast<int64_t>(value);
}

Feature feature_of(const Tensor& tensor) {
  const etch::detail::TensorImpl& impl = etch::detail::impl_of(tensor, {});
  if (impl.kind != etch::detail::TensorImpl::Kind::eager) {
    throw Error("serialize_example: the tensor belongs to a trace and has no elements");
  }
  return dispatch(impl.dtype, [&]<class T>() -> Feature {
    return feature_of_range(
        std::span<const T>(static_cast<const T*>(impl.data), static_cast<size_t>(impl.shape.product())));
  });
}

}  // namespace detail

Example parse_example(std::string_view bytes) {
  Example example;
  std::vector<etch::detail::NamedFeature> features;
  try {
    find_features(bytes, features);
    for (const auto& [name, view] : features) {
      if (view.kind == etch::detail::FeatureKind::none) continue;
      const auto count = static_cast<size_t>(count_elements(view, bytes));
      const auto read = [&]<class T>(std::vector<T> list,
                                     void (*fill)(const etch::detail::FeatureView&, std::string_view, T*)) {
        fill(view, bytes, list.data());
        example.insert_or_assign(std::string(name), Feature(std::move(list)));
      };
      switch (view.kind) {
        case etch::detail::FeatureKind::texts: read(std::vector<std::string>(count), etch::detail::read_texts); break;
        case etch::detail::FeatureKind::floats: read(std::vector<float>(count), etch::detail::read_floats); break;
        default: read(std::vector<int64_t>(count), etch::detail::read_integers); break;
      }
    }
  } catch (const Error& error) {
    throw Error(cat("parse_example: ", error.what()));
  }
  return example;
}

std::string serialize_example(const Example& example) {
  std::string entries;
  for (const auto& [name, feature] : example) detail::append_feature(entries, name, feature);
  return etch::detail::make_example(entries);
}

}  // namespace etch::data
