// The wire form of tf.train.Example, read and written.
#include "frontend/files/example_wire.h"

#include <algorithm>
#include <cstring>

#include "compiler/ir/cat.h"
#include "etch/error.h"

namespace etch::detail {
namespace {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

constexpr uint32_t kValue = 1;  // the field of lists that holds their elements

/// Reads fields of a message that is a part of `whole`.
class Fields {
 public:
  Fields(std::string_view message, std::string_view whole)
      : at_(message.data()), end_(message.data() + message.size()), start_(whole.data()) {}

  /// The next field: its number and type. False at the end.
  bool next() {
    if (at_ == end_) return false;
    const uint64_t tag = varint();
    field_ = static_cast<uint32_t>(tag >> 3);
    type_ = static_cast<uint32_t>(tag & 7);
    if (tag >> 32 != 0 || field_ == 0) fail("a field has no number");
    return true;
  }
  uint32_t field() const { return field_; }
  bool is(uint32_t field, WireType type) const { return field_ == field && type_ == type; }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) fail("a number is cut off");
      const auto byte = static_cast<uint8_t>(*at_++);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    fail("a number has more than 64 bits");
  }
  std::string_view bytes() {
    const uint64_t length = varint();
    return take(length);
  }
  std::string_view take(uint64_t length) {
    const auto left = static_cast<uint64_t>(end_ - at_);
    if (length > left) fail(cat("a field has ", length, " bytes, but ", left, " are left"));
    const std::string_view bytes(at_, length);
    at_ += length;
    return bytes;
  }
  void skip() {
    switch (type_) {
      case kVarint: varint(); return;
      case kFixed64: take(8); return;
      case kBytes: bytes(); return;
      case kFixed32: take(4); return;
      default: fail(cat("a field has the unknown type ", type_));
    }
  }
  bool at_end() const { return at_ == end_; }
  [[noreturn]] void fail(std::string_view reason) const {
    throw Error(cat("the Example is malformed at byte ", at_ - start_, ": ", reason));
  }

 private:
  const char* at_;
  const char* end_;
  const char* start_;
  uint32_t field_ = 0;
  uint32_t type_ = 0;
};

/// Calls f with the bytes of each sub-message of number `field`.
template <class F>
void for_each_message(std::string_view message, uint32_t field, std::string_view whole, F f) {
  for (Fields fields(message, whole); fields.next();) {
    if (fields.is(field, kBytes)) {
      f(fields.bytes());
    } else {
      fields.skip();
    }
  }
}

FeatureView feature_in(std::string_view message, std::string_view whole) {
  FeatureView feature;
  for (Fields fields(message, whole); fields.next();) {
    if (fields.field() > 3 || !fields.is(fields.field(), kBytes)) {
      fields.skip();
      continue;
    }
    feature.kind = static_cast<FeatureKind>(fields.field());
    feature.list = fields.bytes();
  }
  return feature;
}

NamedFeature entry_in(std::string_view message, std::string_view whole) {
  NamedFeature named;
  for (Fields fields(message, whole); fields.next();) {
    if (fields.is(1, kBytes)) {
      named.name = fields.bytes();
    } else if (fields.is(2, kBytes)) {
      named.feature = feature_in(fields.bytes(), whole);
    } else {
      fields.skip();
    }
  }
  return named;
}

/// Calls f(fields) at each element of a list: at the text of one, at the bytes of a packed run, or at a single number.
template <class OnPacked, class OnOne>
void for_each_element(const FeatureView& feature, std::string_view whole, WireType one, OnPacked packed, OnOne single) {
  for (Fields fields(feature.list, whole); fields.next();) {
    if (one != kBytes && fields.is(kValue, kBytes)) {
      packed(fields, fields.bytes());
    } else if (fields.is(kValue, one)) {
      single(fields);
    } else {
      fields.skip();
    }
  }
}

void append_varint(std::string& to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) to += static_cast<char>(value | 0x80);
  to += static_cast<char>(value);
}

void append_field(std::string& to, uint32_t field, std::string_view bytes) {
  append_varint(to, field << 3 | kBytes);
  append_varint(to, bytes.size());
  to += bytes;
}

WireType type_of(FeatureKind kind) {
  return kind == FeatureKind::texts ? kBytes : kind == FeatureKind::floats ? kFixed32 : kVarint;
}

}  // namespace

void find_features(std::string_view example, std::vector<NamedFeature>& features) {
  features.clear();
  for_each_message(example, 1, example, [&](std::string_view message) {
    for_each_message(message, 1, example,
                     [&](std::string_view entry) { features.push_back(entry_in(entry, example)); });
  });
}

int64_t count_elements(const FeatureView& feature, std::string_view example) {
  int64_t count = 0;
  for_each_element(
      feature, example, type_of(feature.kind),
      [&](const Fields& fields, std::string_view run) {
        if (feature.kind == FeatureKind::floats) {
          if (run.size() % sizeof(float) != 0) fields.fail("a list of floats ends within one");
          count += static_cast<int64_t>(run.size() / sizeof(float));
        } else {
          // A number ends with a byte below 128.
          count += std::count_if(run.begin(), run.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
        }
      },
      [&](Fields& fields) {
        fields.skip();
        ++count;
      });
  return count;
}

void read_texts(const FeatureView& feature, std::string_view example, std::string* to) {
  for_each_element(
      feature, example, kBytes, [](const Fields&, std::string_view) {},
      [&](Fields& fields) { *to++ = fields.bytes(); });
}

void read_floats(const FeatureView& feature, std::string_view example, float* to) {
  for_each_element(
      feature, example, kFixed32,
      [&](const Fields&, std::string_view run) {
        if (!run.empty()) std::memcpy(to, run.data(), run.size());
        to += run.size() / sizeof(float);
      },
      [&](Fields& fields) { std::memcpy(to++, fields.take(sizeof(float)).data(), sizeof(float)); });
}

void read_integers(const FeatureView& feature, std::string_view example, int64_t* to) {
  for_each_element(
      feature, example, kVarint,
      [&](const Fields&, std::string_view run) {
        for (Fields numbers(run, example); !numbers.at_end();) *to++ = static_cast<int64_t>(numbers.varint());
      },
      [&](Fields& fields) { *to++ = static_cast<int64_t>(fields.varint()); });
}

void append_texts(std::string& to, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) append_field(to, kValue, text);
}

void append_floats(std::string& to, const std::vector<float>& floats) {
  if (floats.empty()) return;
  append_field(to, kValue, {reinterpret_cast<const char*>(floats.data()), floats.size() * sizeof(float)});
}

void append_integers(std::string& to, const std::vector<int64_t>& integers) {
  if (integers.empty()) return;
  std::string run;
  for (int64_t value : integers) append_varint(run, static_cast<uint64_t>(value));
  append_field(to, kValue, run);
}

void append_entry(std::string& to, std::string_view name, FeatureKind kind, std::string_view list) {
  std::string feature;
  append_field(feature, static_cast<uint32_t>(kind), list);
  std::string entry;
  append_field(entry, 1, name);
  append_field(entry, 2, feature);
  append_field(to, 1, entry);
}

std::string make_example(std::string_view entries) {
  std::string example;
  append_field(example, 1, entries);
  return example;
}

}  // namespace etch::detail
