// Every public op against values that NumPy computed (expected.txt, made by make_expected.py), and traced as eager.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "cases.h"
#include "compiler/codegen/target.h"
#include "etch/function.h"
#include "runtime/parallel.h"

namespace etch {
namespace {

/// One line `case`: inputs and what comes out, within `ulp` units in the last place or `absolute`.
struct Example {
  int64_t ulp = 0;
  double absolute = 0;
  std::string input_ids;
  Tensors inputs;
  Tensors outputs;
};

template <class T>
T parse_value(const std::string& text) {
  if constexpr (is_floating(dtype_of<T>)) {
    return static_cast<T>(std::strtod(text.c_str(), nullptr));  // the file's numbers are exact
  } else if constexpr (std::is_unsigned_v<T>) {
    return static_cast<T>(std::stoull(text));
  } else {
    return static_cast<T>(std::stoll(text));
  }
}

DType parse_dtype(const std::string& text) {
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (text == name(dtype) || (dtype == DType::boolean && text == "boolean")) return dtype;
  }
  throw std::invalid_argument("no dtype: " + text);
}

/// `f32[2,3] VALUES...`
Tensor parse_tensor(std::istream& words) {
  std::string type;
  words >> type;
  const size_t bracket = type.find('[');
  Shape shape;
  std::istringstream extents(type.substr(bracket + 1, type.size() - bracket - 2));
  for (std::string extent; std::getline(extents, extent, ',');) shape.push_back(std::stoll(extent));
  return dispatch(parse_dtype(type.substr(0, bracket)), [&]<class T>() {
    std::vector<T> values;
    for (std::string word; words >> word;) values.push_back(parse_value<T>(word));
    return Tensor::from(values, shape);
  });
}

class ExpectedFile {
 public:
  static const ExpectedFile& instance() {
    static const ExpectedFile file;
    return file;
  }

  const std::map<std::string, std::vector<Example>>& examples() const { return examples_; }

 private:
  ExpectedFile() {
    std::ifstream file(ETCH_SOURCE_DIR "/tests/numpy/expected.txt");
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string first;
      words >> first;
      if (first == "case") {
        read_case(words);
      } else if (first != "#") {
        tensors_[first] = parse_tensor(words);
      }
    }
  }

  void read_case(std::istream& words) {
    Example example;
    std::string output_ids;
    std::string expression;
    words >> example.ulp >> example.absolute >> example.input_ids >> output_ids;
    words.ignore(3);
    std::getline(words, expression);
    if (example.input_ids != "-") example.inputs = tensors_of(example.input_ids);
    example.outputs = tensors_of(output_ids);
    examples_[expression].push_back(std::move(example));
  }

  Tensors tensors_of(const std::string& ids) const {
    Tensors tensors;
    std::istringstream words(ids);
    for (std::string id; std::getline(words, id, ',');) tensors.push_back(tensors_.at(id));
    return tensors;
  }

  std::map<std::string, Tensor> tensors_;
  std::map<std::string, std::vector<Example>> examples_;
};

/// The place of a float in the order of all floats; both zeros have place 0.
template <class T>
int64_t place(T value) {
  using Bits = std::conditional_t<sizeof(T) == 2, int16_t, std::conditional_t<sizeof(T) == 4, int32_t, int64_t>>;
  const auto bits = std::bit_cast<Bits>(value);
  return bits < 0 ? int64_t{std::numeric_limits<Bits>::min()} - bits : bits;
}

template <class T>
bool agree(T got, T want, const Example& example) {
  if constexpr (is_floating(dtype_of<T>)) {
    if (want != want || got != got) return want != want && got != got;
    const bool far_apart = std::signbit(static_cast<double>(got)) != std::signbit(static_cast<double>(want));
    if (example.ulp == 0 && example.absolute == 0) return got == want && !far_apart;
    if (got == want) return true;
    // Places of opposite signs may overflow.
    if (!far_apart && std::abs(place(got) - place(want)) <= example.ulp) return true;
    if (far_apart && std::abs(place(got)) + std::abs(place(want)) <= example.ulp) return true;
    return std::abs(static_cast<double>(got) - static_cast<double>(want)) <= example.absolute;
  } else {
    return got == want;
  }
}

template <class T>
auto printable(T value) {
  if constexpr (computes_itself(dtype_of<T>)) {
    return +value;
  } else {
    return static_cast<float>(value);
  }
}

std::string type_of(const Tensor& tensor) { return std::string(name(tensor.dtype())) + to_string(tensor.shape()); }

void expect_agreement(const Tensor& got, const Tensor& want, const Example& example) {
  ASSERT_EQ(type_of(got), type_of(want));
  dispatch(got.dtype(), [&]<class T>() {
    const auto a = got.data<T>();
    const auto b = want.data<T>();
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_TRUE(agree(a[i], b[i], example))
          << "element " << i << " is " << std::hexfloat << printable(a[i]) << ", NumPy's " << printable(b[i])
          << std::defaultfloat << "; allowed are " << example.ulp << " ulp or " << example.absolute;
    }
  });
}

void expect_same_bits(const Tensor& got, const Tensor& want) {
  ASSERT_EQ(type_of(got), type_of(want));
  dispatch(got.dtype(), [&]<class T>() {
    const auto a = got.data<T>();
    const auto b = want.data<T>();
    if (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0) return;
    for (size_t i = 0; i < a.size(); ++i) {
      const bool both_nan = a[i] != a[i] && b[i] != b[i];  // which NaN is not promised
      if (both_nan || std::memcmp(&a[i], &b[i], sizeof(T)) == 0) continue;
      FAIL() << "element " << i << " is " << std::hexfloat << printable(a[i]) << ", eagerly " << printable(b[i]);
    }
  });
}

Tensors run(const Case& c, const Tensors& inputs) {
  const auto input = [&](size_t i) { return i < inputs.size() ? inputs[i] : Tensor(); };
  return c.run(input(0), input(1), input(2));
}

std::string description(const Case& c, const Example& example) {
  std::string text = c.expression;
  for (size_t i = 0; i < example.inputs.size(); ++i) {
    text += std::string(i == 0 ? " of " : ", ") + type_of(example.inputs[i]);
  }
  return text + " (" + example.input_ids + " in expected.txt)";
}

class NumPy : public testing::TestWithParam<size_t> {
 protected:
  /// Calls `check(case, example)` for all examples of the expression.
  template <class Check>
  void for_each_example(Check check) const {
    const Case& c = numpy_cases()[GetParam()];
    const auto& examples = ExpectedFile::instance().examples();
    const auto found = examples.find(c.expression);
    ASSERT_TRUE(found != examples.end()) << "make_expected.py has no values for " << c.expression;
    for (const Example& example : found->second) {
      SCOPED_TRACE(description(c, example));
      check(c, example);
    }
  }

  /// Traced, with these options and flags, and eager with the flags, against eager without.
  void expect_eager_bits(const FunctionOptions& options, const std::string& flags = "") const {
    for_each_example([&](const Case& c, const Example& example) {
      const Tensors want = run(c, example.inputs);
      const auto expect_bits = [&](const Tensors& got) {
        ASSERT_EQ(got.size(), want.size());
        for (size_t i = 0; i < got.size(); ++i) expect_same_bits(got[i], want[i]);
      };
      const ScopedFlags scoped(flags);
      expect_bits(function([&c](const Tensors& inputs) { return run(c, inputs); }, options)(example.inputs));
      if (!flags.empty()) expect_bits(run(c, example.inputs));
    });
  }

  static void TearDownTestSuite() {
    if (testing::UnitTest::GetInstance()->test_to_run_count() < 1000) return;  // a filter is on
    EXPECT_GT(num_split_loops(), 1000) << "'split over two threads' did not split";
  }
};

TEST_P(NumPy, EagerAgrees) {
  for_each_example([](const Case& c, const Example& example) {
    const Tensors got = run(c, example.inputs);
    ASSERT_EQ(got.size(), example.outputs.size());
    for (size_t i = 0; i < got.size(); ++i) expect_agreement(got[i], example.outputs[i], example);
  });
}

TEST_P(NumPy, UnfusedHasTheEagerBits) { expect_eager_bits({.fuse = false}); }
TEST_P(NumPy, FusedHasTheEagerBits) { expect_eager_bits({}); }
TEST_P(NumPy, SplitOverTwoThreadsHasTheEagerBits) {
  expect_eager_bits({}, "threads=2,grain=" + std::to_string(1 + GetParam() % 4));
}
TEST_P(NumPy, OtherTargetsHaveTheEagerBits) {
  for (const std::string& name : target_names()) {
    const Target& target = *find_target(name);
    if (target == host_target() || !missing_features(target).empty()) continue;
    expect_eager_bits({}, "threads=2,grain=1,target=" + name);
  }
}

/// The op that an expression starts with and the place in the table: `layer_norm_17`.
std::string test_name(const testing::TestParamInfo<size_t>& info) {
  std::string op;
  for (const char* c = numpy_cases()[info.param].expression; std::isalnum(*c) || *c == '_'; ++c) op += *c;
  return op + "_" + std::to_string(info.param);
}

INSTANTIATE_TEST_SUITE_P(Ops, NumPy, testing::Range(size_t{0}, numpy_cases().size()), test_name);

TEST(NumPyTable, HasEveryExpressionOfTheFileOnce) {
  std::set<std::string> table;
  for (const Case& c : numpy_cases()) EXPECT_TRUE(table.insert(c.expression).second) << c.expression << " stands twice";
  for (const auto& [expression, examples] : ExpectedFile::instance().examples()) {
    EXPECT_TRUE(table.contains(expression)) << expression << " is not in the table";
  }
  EXPECT_GT(table.size(), 400u);
}

TEST(NumPyTable, HasEveryPublicOp) {
  std::ifstream header(ETCH_SOURCE_DIR "/frontend/include/etch/ops.h");
  const std::regex declaration(R"(^(?:\[\[nodiscard\]\] )?(Tensor|std::vector<Tensor>|TopK) (\w+)\()");
  std::set<std::string> ops;
  for (std::string line; std::getline(header, line);) {
    std::smatch match;
    if (std::regex_search(line, match, declaration)) ops.insert(match[2]);
  }
  EXPECT_GT(ops.size(), 130u);

  std::set<std::string> called;
  const std::regex call(R"((^|[^.\w])(\w+)\()");
  for (const Case& c : numpy_cases()) {
    const std::string text = c.expression;
    for (std::sregex_iterator it(text.begin(), text.end(), call), end; it != end; ++it) called.insert((*it)[2]);
  }
  for (const std::string& op : ops) EXPECT_TRUE(called.contains(op)) << op << " has no case";
}

}  // namespace
}  // namespace etch
