// Text to graph.
#include <algorithm>
#include <charconv>
#include <optional>

#include "compiler/ir/field_text.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "etch/error.h"

namespace etch {
namespace {

bool is_digit(char c) { return '0' <= c && c <= '9'; }
bool is_word(char c) { return is_digit(c) || c == '_' || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z'); }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/// A comment read as `file:line in scope`; either half may be missing.
struct OriginText {
  std::string_view file;
  int32_t line = 0;
  std::string_view scope;
};

/// `FILE:LINE` at the front of `text`, followed by its end or by ` in SCOPE`.
std::optional<OriginText> parse_origin(std::string_view text) {
  constexpr std::string_view kIn = "in ";
  if (text.starts_with(kIn)) return OriginText{{}, 0, text.substr(kIn.size())};
  for (size_t colon = text.find(':'); colon != text.npos; colon = text.find(':', colon + 1)) {
    OriginText origin{text.substr(0, colon), 0, {}};
    const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), origin.line);
    if (error != std::errc()) continue;
    const std::string_view rest = text.substr(end - text.data());
    if (rest.empty()) return origin;
    if (rest.front() != ' ' || !rest.substr(1).starts_with(kIn)) continue;
    origin.scope = rest.substr(1 + kIn.size());
    return origin;
  }
  return std::nullopt;
}

/// A recursive-descent parser that recurses where regions nest only. Functions return false once status_ holds an error.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  absl::StatusOr<Graph> graph() {
    if (!expect_word("graph") || !header() || !nodes() || !at_end()) return status_;
    return std::move(scope_.builder).finish(scope_.outputs);
  }

  absl::StatusOr<Type> only_type() {
    Type type;
    if (!parse(type) || !at_end()) return status_;
    return type;
  }

 private:
  struct Constant {
    size_t at;
    std::string_view text;
  };

  /// The graph, or the region inside of it, at hand.
  struct Scope {
    GraphBuilder builder;
    FlatMap<int64_t, Value> values;
    std::vector<Value> outputs;
  };

  bool header() {
    if (!expect('(')) return false;
    if (!accept(')')) {
      do {
        if (!input()) return false;
      } while (accept(','));
      if (!expect(')')) return false;
    }
    return expect('{');
  }

  bool input() {
    int64_t number = 0;
    Type type;
    const size_t at = skip();
    if (!parse_value_number(number) || !expect(':') || !parse(type)) return false;
    const absl::StatusOr<Value> value = scope_.builder.input(type);
    if (!value.ok()) return fail(at, std::string(value.status().message()));
    return define(at, number, *value);
  }

  bool nodes() {
    while (peek() == '%') {
      if (!node()) return false;
    }
    if (!expect_word("return")) return false;
    if (peek() == '%' && !values(scope_.outputs)) return false;
    return expect('}');
  }

  /// `%3, %4 = op(%2) field=5 : f32[5], i64[5]`
  bool node() {
    const size_t at = skip();
    absl::InlinedVector<int64_t, 2> numbers;
    do {
      if (!parse_value_number(numbers.emplace_back())) return false;
    } while (accept(','));
    if (!expect('=')) return false;

    const size_t op_at = skip();
    const std::string_view op_name = word();
    const std::optional<Op> found = find_op(op_name);
    if (op_name.empty()) return fail(op_at, "expected the name of an op");
    if (!found) return fail(op_at, cat("there is no op `", op_name, "`"));
    if (place(*found) == Place::input) return fail(op_at, "inputs stand in the first line only");
    absl::InlinedVector<Value, 3> operands;
    std::optional<Separator> separator;
    if (accept('(') && (!operand_list(operands, separator) || !expect(')'))) return false;

    AnyOp op = *found;
    Types types;
    constants_.clear();
    if (!fields(op) || !expect(':')) return false;
    do {
      if (!parse(types.emplace_back())) return false;
    } while (accept_on_line(','));  // a comment that follows is the origin
    if (!constants_.empty() && !read_constants(op, types[0].dtype)) return false;
    Origin where;
    if (place(op) == Place::region) {
      if (!expect('{')) return false;
      where = origin();
      if (!regions(op) || !check_separator(op, operands.size(), separator)) return false;
    } else {
      if (separator) return fail(separator->at, cat(op_name, " separates no operands by ';'"));
      where = origin();
    }
    absl::StatusOr<Results> made = scope_.builder.emit_all(op, operands, types, where);
    if (!made.ok()) return fail(op_at, std::string(made.status().message()));
    if (made->size() != static_cast<int>(numbers.size())) {
      return fail(at, cat(op_name, " has ", made->size(), made->size() == 1 ? " result" : " results"));
    }
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (!define(at, numbers[i], (*made)[static_cast<int>(i)])) return false;
    }
    return true;
  }

  /// A semicolon among operands: where it stands, and behind how many.
  struct Separator {
    size_t at;
    int leading;
  };

  bool operand_list(absl::InlinedVector<Value, 3>& operands, std::optional<Separator>& separator) {
    if (peek() != ';' && !values(operands)) return false;
    const size_t at = skip();
    if (!accept(';')) return true;
    separator = {at, static_cast<int>(operands.size())};
    return values(operands);
  }

  bool check_separator(const AnyOp& op, size_t num_operands, const std::optional<Separator>& separator) {
    const int leading = num_leading(op);
    const int expected = leading < static_cast<int>(num_operands) ? leading : -1;
    if (expected == (separator ? separator->leading : -1)) return true;
    const size_t at = separator ? separator->at : at_;
    if (expected < 0) return fail(at, cat("no ';' stands here: all operands of this ", name(op), " stand before it"));
    return fail(at, cat("the ';' of this ", name(op), " stands after operand ", expected - 1));
  }

  /// The blocks of an op's regions, `then(%0: f32[8]) {...}`, and the brace behind them.
  bool regions(AnyOp& op) {
    std::vector<Region> read;
    for (const NamedRegion& wanted : regions_of(op)) {
      const size_t at = skip();
      if (word() != wanted.name) return fail(at, cat("expected the region `", wanted.name, "`"));
      if (++depth_ > kMaxRegionDepth) return fail(at, cat("regions nest deeper than ", kMaxRegionDepth));
      Scope outer = std::exchange(scope_, {});
      if (!header() || !nodes()) return false;
      read.emplace_back(std::move(scope_.builder).finish(scope_.outputs));
      scope_ = std::move(outer);
      --depth_;
    }
    op = with_regions(op, read);
    return expect('}');
  }

  /// Replaces an op by the one with the fields that stand in the text.
  bool fields(AnyOp& op) {
    bool ok = true;
    op = op.visit([&]<class T>(T fields) -> AnyOp {
      if constexpr (std::is_same_v<T, Row>) {
        return fields.op;
      } else {
        for_each_field(fields, [&]<class Field>(std::string_view name, Field& field) {
          if constexpr (std::is_same_v<Field, Mark>) {
            field.is_set = ok && accept_word(name);
          } else if constexpr (!std::is_same_v<Field, Region>) {
            // Regions follow the types; numbers beside them may be left out.
            const bool is_left_out = T::kTraits.place == Place::region && !next_is(name);
            ok = ok && (is_left_out || (field_name(name) && parse(field)));
          }
        });
        return fields;
      }
    });
    return ok;
  }

  /// Fills in the fields that only the dtype tells how to read.
  bool read_constants(AnyOp& op, DType dtype) {
    bool ok = true;
    op = op.visit([&]<class T>(T fields) -> AnyOp {
      if constexpr (std::is_same_v<T, Row>) {
        return fields.op;
      } else {
        for_each_field(fields, [&](std::string_view, auto& field) {
          if constexpr (std::is_same_v<decltype(field), uint64_t&>) ok = ok && read_constant(field, dtype);
        });
        return fields;
      }
    });
    return ok;
  }

  bool read_constant(uint64_t& field, DType dtype) {
    const Constant constant = constants_.front();
    constants_.erase(constants_.begin());
    const std::optional<uint64_t> bits = parse_constant(constant.text, dtype);
    if (!bits) return fail(constant.at, cat("the value is not a ", name(dtype)));
    field = *bits;
    return true;
  }

  bool field_name(std::string_view name) { return expect_word(name) && expect('='); }

  /// Binds a number of the text to a new value.
  bool define(size_t at, int64_t number, Value value) {
    return scope_.values.emplace(number, value).second || fail(at, cat("%", number, " is defined already"));
  }

  template <class Values>
  bool values(Values& values) {
    do {
      int64_t number = 0;
      const size_t at = skip();
      if (!parse_value_number(number)) return false;
      const auto found = scope_.values.find(number);
      if (found == scope_.values.end()) return fail(at, cat("%", number, " is not defined before this line"));
      values.push_back(found->second);
    } while (accept(','));
    return true;
  }

  /// The comment that follows on the same line.
  Origin origin() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    if (!text_.substr(at_).starts_with("//")) return {};
    std::string_view comment = rest_of_line().substr(2);
    while (!comment.empty() && is_blank(comment.front())) comment.remove_prefix(1);
    while (!comment.empty() && is_blank(comment.back())) comment.remove_suffix(1);
    const std::optional<OriginText> parsed = parse_origin(comment);
    if (!parsed) return {};
    return {parsed->file.empty() ? -1 : scope_.builder.name(parsed->file), parsed->line,
            parsed->scope.empty() ? -1 : scope_.builder.name(parsed->scope)};
  }

  bool parse_value_number(int64_t& number) {
    const size_t at = skip();
    if (at_ < text_.size() && text_[at_] == '%') {
      ++at_;
      if (at_ < text_.size() && is_digit(text_[at_])) return parse(number);
    }
    return fail(at, "expected a value such as %0");
  }

  bool parse(int64_t& number) {
    const size_t at = skip();
    const auto [end, error] = std::from_chars(text_.data() + at, text_.data() + text_.size(), number);
    if (error == std::errc::result_out_of_range) return fail(at, "the number does not fit in 64 bits");
    if (error != std::errc()) return fail(at, "expected a number");
    at_ = end - text_.data();
    return true;
  }

  bool parse(bool& flag) {
    const size_t at = skip();
    const std::string_view text = until_blank();
    flag = text == "true";
    return flag || text == "false" || fail(at, "expected true or false");
  }

  /// A constant can be read only when its dtype is known, which follows it.
  bool parse(uint64_t&) {
    const size_t at = skip();
    constants_.push_back({at, until_blank()});
    return true;
  }

  bool parse(Dims& dims) {
    if (!expect('[')) return false;
    if (accept(']')) return true;
    do {
      const size_t at = skip();
      int64_t number = 0;
      if (!parse(number)) return false;
      if (dims.rank() == kMaxRank) return fail(at, cat("at most ", kMaxRank, " axes are supported"));
      dims.push_back(number);
    } while (accept(','));
    return expect(']');
  }

  bool parse(ReduceKind& kind) {
    const size_t at = skip();
    const std::string_view text = word();
    for (int i = 0; i < kNumReduceKinds; ++i) {
      if (name(static_cast<ReduceKind>(i)) != text) continue;
      kind = static_cast<ReduceKind>(i);
      return true;
    }
    return fail(at, "expected sum, prod, max, min, any, all, argmax or argmin");
  }

  /// `print("loss {}")`: a name of register_host_function, and a text in quotes.
  bool parse(Host& host) {
    const size_t at = skip();
    const std::string_view name = word();
    std::string text;
    if (!expect('(') || !parse(text) || !expect(')')) return false;
    const ReadHostFunction read = find_host_function(name);
    if (read == nullptr) {
      return fail(at, cat("the host function `", name, "` cannot be read from text: only the program that made it has it"));
    }
    try {
      host = Host(read(text));
    } catch (const Error& error) {
      return fail(at, error.what());
    }
    return true;
  }

  /// A text in quotes, in which a backslash stands before quotes and backslashes, and `\n` for the end of a line.
  bool parse(std::string& text) {
    if (!expect('"')) return false;
    for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      const bool is_escaped = text_[at_] == '\\' && at_ + 1 < text_.size();
      if (is_escaped) ++at_;
      text += is_escaped && text_[at_] == 'n' ? '\n' : text_[at_];
    }
    return expect('"');
  }

  bool parse(Type& type) {
    const size_t at = skip();
    if (!parse(type.dtype) || !parse(type.shape)) return false;
    if (is_representable(type.shape, size_of(type.dtype))) return true;
    return fail(at, cat(to_string(type), " is no type: extents are at least 0 and a tensor holds at most 2^46 bytes"));
  }

  bool parse(DType& dtype) {
    const size_t at = skip();
    const std::string_view text = word();
    for (int i = 0; i < kNumDTypes; ++i) {
      if (name(static_cast<DType>(i)) != text) continue;
      dtype = static_cast<DType>(i);
      return true;
    }
    return fail(at, cat("expected a type such as f32[8,4], of ", list_dtypes(TypeRule::select)));
  }

  /// Skips white space and comments; returns the position of the next token.
  size_t skip() {
    while (at_ < text_.size()) {
      if (is_blank(text_[at_]) || text_[at_] == '\n') {
        ++at_;
      } else if (text_.substr(at_).starts_with("//")) {
        rest_of_line();
      } else {
        break;
      }
    }
    return at_;
  }

  std::string_view rest_of_line() { return take(std::min(text_.find('\n', at_), text_.size())); }

  std::string_view word() {
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return take(end);
  }

  std::string_view until_blank() {
    size_t end = at_;
    while (end < text_.size() && !is_blank(text_[end]) && text_[end] != '\n') ++end;
    return take(end);
  }

  std::string_view take(size_t end) {
    const std::string_view taken = text_.substr(at_, end - at_);
    at_ = end;
    return taken;
  }

  char peek() { return skip() < text_.size() ? text_[at_] : '\0'; }

  bool accept(char c) {
    if (skip() == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool accept_on_line(char c) {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    return at_ < text_.size() && text_[at_] == c && accept(c);
  }

  bool expect(char c) { return accept(c) || fail(at_, cat("expected '", std::string(1, c), "'")); }

  bool expect_word(std::string_view expected) {
    const size_t at = skip();
    return word() == expected || fail(at, cat("expected `", expected, "`"));
  }

  bool next_is(std::string_view expected) {
    const size_t at = skip();
    const bool is_it = word() == expected;
    at_ = at;
    return is_it;
  }
  bool accept_word(std::string_view expected) { return next_is(expected) && expect_word(expected); }

  bool at_end() { return skip() == text_.size() || fail(at_, "expected the end of the text"); }

  bool fail(size_t at, std::string_view message) {
    const std::string_view before = text_.substr(0, at);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t column = at - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
    status_ = absl::InvalidArgumentError(cat(line, ":", column, ": ", message));
    return false;
  }

  const std::string_view text_;
  size_t at_ = 0;
  std::vector<Constant> constants_;  // of the node at hand, not read yet
  absl::Status status_;
  Scope scope_;
  int depth_ = 0;  // of regions around it
};

}  // namespace

absl::StatusOr<Graph> parse(std::string_view text) { return Parser(text).graph(); }

absl::StatusOr<Type> parse_type(std::string_view text) { return Parser(text).only_type(); }

}  // namespace etch
