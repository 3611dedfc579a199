// What the runs of one callable are described in.
#include "frontend/vocabulary.h"

#include <algorithm>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "frontend/user_words.h"

namespace etch::detail {

using capture::Kind;

int32_t Vocabulary::type_index(const Type& type) {
  for (size_t i = 0; i < std::min<size_t>(types_.size(), 8); ++i) {
    if (types_[i] == type) return static_cast<int32_t>(i);
  }
  const auto [known, is_new] = type_index_.try_emplace(type, static_cast<int32_t>(types_.size()));
  if (is_new) types_.push_back(type);
  return known->second;
}

int32_t Vocabulary::name(std::string_view text) {
  const auto [known, is_new] = name_index_.try_emplace(std::string(text), static_cast<int32_t>(names_.size()));
  if (is_new) names_.emplace_back(text);
  return known->second;
}

Kind Vocabulary::intern(EventKind kind) {
  const auto [known, is_new] = kind_index_.try_emplace(kind, static_cast<Kind>(kinds_.size()));
  if (is_new) kinds_.push_back(std::move(kind));
  return known->second;
}

absl::StatusOr<Kind> Vocabulary::op_kind(const AnyOp& op, std::span<const int32_t> operands, std::span<const Type> wanted,
                                         const Origin& place, Kind expected) {
  if (expected >= 0) {
    const EventKind& likely = kinds_[expected];
    const auto same_type = [&](int32_t type, const Type& want) { return types_[type] == want; };
    const bool is_it = likely.what == EventKind::What::op && likely.place.line == place.line &&
                       likely.place.file == place.file && likely.place.scope == place.scope && likely.op == op &&
                       std::ranges::equal(likely.operands, operands) &&
                       (wanted.empty() || std::ranges::equal(likely.results, wanted, same_type));
    if (is_it) return expected;
  }
  absl::InlinedVector<Type, 3> operand_types;
  for (int32_t type : operands) operand_types.push_back(types_[type]);
  absl::StatusOr<Types> types = infer(op, operand_types, wanted);
  if (!types.ok()) return types.status();
  absl::InlinedVector<int32_t, 2> results;
  for (const Type& type : *types) results.push_back(type_index(type));
  return op_kind(op, operands, results, place);
}

Kind Vocabulary::op_kind(const AnyOp& op, std::span<const int32_t> operands, std::span<const int32_t> results,
                         const Origin& place) {
  return intern({EventKind::What::op, -1, op, {operands.begin(), operands.end()}, {results.begin(), results.end()}, place});
}

Kind Vocabulary::read_kind(int32_t slot, const Origin& place) {
  const int32_t type = type_index(slots_[slot].cell->type());
  return intern({EventKind::What::read, slot, input_op(0), {type}, {type}, place});
}

Kind Vocabulary::given_kind(capture::Ref given) {
  return intern({EventKind::What::given, given, input_op(0), {}, {type_of_given(given)}, {}});
}

capture::Ref Vocabulary::give(const GivenValue& given) {
  const auto next = static_cast<capture::Ref>(-2 - static_cast<int64_t>(given_.size()));
  const auto [known, is_new] = given_index_.try_emplace(given, next);
  if (is_new) given_.push_back(given);
  return known->second;
}

capture::Ref Vocabulary::argument(int32_t index, const Type& type) {
  return give({GivenValue::What::argument, index, type_index(type)});
}

capture::Ref Vocabulary::member(int32_t index, const Type& type) {
  return give({GivenValue::What::member, index, type_index(type)});
}

capture::Ref Vocabulary::capture(const TensorImpl& impl) {
  if (const auto known = captured_index_.find(&impl); known != captured_index_.end()) return known->second;
  // A value of a trace is one of the trace around, which is the same in all runs.
  const bool is_made_by_a_run = impl.kind == TensorImpl::Kind::eager && impl.trace != 0;
  std::string content;
  if (is_made_by_a_run) {
    content = cat(to_string(impl.type()), " ");
    content.append(static_cast<const char*>(impl.data), static_cast<size_t>(impl.bytes()));
    if (const auto known = by_content_.find(content); known != by_content_.end()) return known->second;
  }
  const capture::Ref ref =
      give({GivenValue::What::capture, static_cast<int32_t>(captured_.size()), type_index(impl.type())});
  captured_.push_back(TensorAccess::share(&impl));  // while it is held no other tensor stands at this address
  captured_index_.emplace(&impl, ref);
  if (is_made_by_a_run) by_content_.emplace(std::move(content), ref);
  return ref;
}

int32_t Vocabulary::slot(VariableCell& cell, Location where) {
  const auto [known, is_new] = slot_index_.try_emplace(&cell, num_slots());
  if (is_new) {
    cell.add_reference();
    slots_.push_back({Ref<VariableCell>(&cell), where});
  }
  return known->second;
}

capture::Ref Vocabulary::initial(int32_t slot) {
  return give({GivenValue::What::variable, slot, type_index(slots_[slot].cell->type())});
}

Kind Vocabulary::end(End end) {
  const auto known = std::ranges::find(ends_, end);
  if (known != ends_.end()) return static_cast<Kind>(known - ends_.begin());
  ends_.push_back(std::move(end));
  return static_cast<Kind>(ends_.size()) - 1;
}

std::string Vocabulary::place_text(Kind kind) const {
  const EventKind& one = kinds_[kind];
  if (one.what == EventKind::What::given) return "an argument";
  if (one.place.file < 0) return cat("an op ", user_name(etch::name(one.op)));
  return cat(names_[one.place.file], ":", one.place.line);
}

std::string Vocabulary::text(Kind kind) const {
  const EventKind& one = kinds_[kind];
  if (one.what == EventKind::What::given) return "an argument";
  if (one.what == EventKind::What::read) return cat("a read of ", description(*slots_[one.slot].cell));
  const std::string name(user_name(etch::name(one.op)));
  const std::optional<uint64_t> bits = splat_bits(one.op);
  if (!bits) return cat(name, " ", to_string(types_[one.results[0]]));
  return cat(name, " ", dispatch(types_[one.results[0]].dtype, [&]<class T> {
    const T value = from_bits<T>(*bits);
    if constexpr (std::is_integral_v<T>) return number_text(Number(value));
    if constexpr (!std::is_integral_v<T>) return number_text(Number(static_cast<double>(value)));
  }));
}

std::optional<std::string> Vocabulary::type_change(Kind a, Kind b) const {
  const EventKind& first = kinds_[a];
  const EventKind& second = kinds_[b];
  const bool is_one = first.what == EventKind::What::op && second.what == EventKind::What::op &&
                      Op{first.op} == Op{second.op} && first.place.file == second.place.file &&
                      first.place.line == second.place.line && first.operands.size() == second.operands.size() &&
                      first.results.size() == second.results.size();
  if (!is_one) return std::nullopt;
  const auto types = [&](int32_t x, int32_t y) {
    return cat("an operand of ", user_name(etch::name(first.op)), " at ", place_text(a), " (", to_string(types_[x]), ", ",
               to_string(types_[y]), ")");
  };
  for (size_t i = 0; i < first.operands.size(); ++i) {
    if (first.operands[i] != second.operands[i]) return types(first.operands[i], second.operands[i]);
  }
  return std::nullopt;
}

std::string Vocabulary::end_text(Kind kind) const {
  std::string text;
  for (int32_t type : ends_[kind].types) text += cat(text.empty() ? "" : ", ", to_string(types_[type]));
  if (text.empty()) text = "no tensor";
  // Where the tensors agree with those of another end, the rest is what differs.
  const auto differs_in_key = [&](const End& other) { return other.types == ends_[kind].types && other.key != ends_[kind].key; };
  return std::ranges::any_of(ends_, differs_in_key) ? cat(text, kind == 0 ? "" : " with other C++ values beside") : text;
}

}  // namespace etch::detail
