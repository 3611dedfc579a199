// CSV files: quotes, headers, types, missing values and the places of errors.
#include "etch/data/csv.h"

#include <cmath>
#include <limits>
#include <optional>
#include <tuple>

#include "tests/files/files.h"

namespace etch::data {
namespace {

using testing::ElementsAre;

class Csv : public Files {
 protected:
  /// The rows of a file of these bytes.
  template <class T>
  std::vector<T> rows(std::string_view bytes, CsvOptions options = {}) const {
    return csv<T>(write("a.csv", bytes), std::move(options)).to_vector();
  }
  template <class T>
  std::string error(std::string_view bytes, CsvOptions options = {}) const {
    return first_error(csv<T>(write("a.csv", bytes), std::move(options)));
  }
};

struct Quoted {
  int64_t id = 0;
  std::string text;
  std::optional<double> score;
  friend bool operator==(const Quoted&, const Quoted&) = default;
};

struct Person {
  std::string name;
  int32_t age = 0;
  friend bool operator==(const Person&, const Person&) = default;
};

TEST_F(Csv, ReadsWhatPythonWrote) {
  const auto rows = csv<Quoted>(kMade + "quoted.csv");
  EXPECT_THAT(rows.to_vector(), ElementsAre(Quoted{1, "say \"hi\", twice", 0.5}, Quoted{2, "two\nlines", -1e-3},
                                            Quoted{3, "cr\r\nlf", 1e10}, Quoted{4, "", std::nullopt}));
  expect_resumes(rows);
}

TEST_F(Csv, ReadsOtherDelimitersWithoutHeader) {
  using Row = std::tuple<int, std::string, float>;
  EXPECT_THAT(csv<Row>(kMade + "semicolons.csv", {.header = false, .delimiter = ';'}).to_vector(),
              ElementsAre(Row(5, "x;y", 2.0f)));
}

TEST_F(Csv, MembersFindTheirColumnsByName) {
  EXPECT_THAT(rows<Person>("height,age,name\n1.8,30,Ann\n1.7,40,Bob\n"),
              ElementsAre(Person{"Ann", 30}, Person{"Bob", 40}));
  EXPECT_THAT(rows<Person>("Age (y),Name\n30,Ann\n", {.columns = {"Name", "Age (y)"}}), ElementsAre(Person{"Ann", 30}));
}

TEST_F(Csv, WithoutHeaderColumnsGoByOrder) {
  EXPECT_THAT(rows<Person>("Ann,30\nBob,40", {.header = false}), ElementsAre(Person{"Ann", 30}, Person{"Bob", 40}));
}

TEST_F(Csv, EachFileHasItsOwnHeader) {
  const auto people = csv<Person>({write("a", "name,age\nAnn,30\n"), write("b", "age,name\n40,Bob\n41,Cy")});
  EXPECT_THAT(people.to_vector(), ElementsAre(Person{"Ann", 30}, Person{"Bob", 40}, Person{"Cy", 41}));
  expect_resumes(people);
}

TEST_F(Csv, EmptyLinesAndAByteOrderMarkArePassedOver) {
  EXPECT_THAT(rows<Person>("\xef\xbb\xbfname,age\r\n\r\nAnn,30\r\n\n"), ElementsAre(Person{"Ann", 30}));
}

TEST_F(Csv, MarksAreCharactersWithoutQuotes) {
  EXPECT_THAT(rows<Person>("name,age\n\"A\"n\"n,30\n", {.quotes = false}), ElementsAre(Person{"\"A\"n\"n", 30}));
}

TEST_F(Csv, NumbersOfAllTypes) {
  using Row = std::tuple<bool, int8_t, uint16_t, int64_t, uint64_t, float, double, float16>;
  const auto read =
      rows<Row>("true, -128 ,65535,-9223372036854775808,18446744073709551615,+1.5,-inf,0.1\n", {.header = false});
  EXPECT_EQ(read, std::vector{Row(true, -128, 65535, INT64_MIN, UINT64_MAX, 1.5f,
                                  -std::numeric_limits<double>::infinity(), float16(0.1f))});
}

TEST_F(Csv, FloatsAreTheNearest) {
  using Row = std::tuple<float, double>;
  EXPECT_EQ(
      rows<Row>("0.1,0.1\n1e-50,1e-400\n3.4028235e38,5e-324\n-1e-50,-1e-400\n", {.header = false}),
      (std::vector{Row(0.1f, 0.1), Row(0.0f, 0.0), Row(std::numeric_limits<float>::max(), 5e-324), Row(-0.0f, -0.0)}));
  EXPECT_TRUE(std::isnan(std::get<0>(rows<Row>("nan,0", {.header = false})[0])));
}

TEST_F(Csv, TensorsHaveRankZeroOrARow) {
  struct Row {
    Tensor x;
    Tensor label;
  };
  const auto data = csv<Row>(write("a", "x,label\n1.5,3\n,4\n"), Row{.x = {}, .label = Tensor(int64_t{0})}, {});
  EXPECT_EQ(to_string(data.element_spec().at(0)), "f32[], i64[]");
  const auto walked = walk(data);
  ASSERT_EQ(walked.elements.size(), 1u);
  EXPECT_EQ(walked.elements[0].x.item<float>(), 1.5f);
  EXPECT_EQ(walked.elements[0].label.item<int64_t>(), 3);
  EXPECT_THAT(walked.errors,
              ElementsAre("cannot read a:3:1: column 'x' holds no value; give a default, or make the member a "
                          "std::optional"));
  const auto matrix = rows<Tensor>("a,b,c\n1,2,3\n4,5,6\n", {.dtype = DType::i16});
  EXPECT_EQ(matrix.at(1).to_vector<int16_t>(), (std::vector<int16_t>{4, 5, 6}));
  EXPECT_EQ(rows<Tensor>("a,b,c\n1,2,3\n", {.columns = {"c", "a"}}).at(0).to_vector<float>(),
            (std::vector<float>{3, 1}));
}

TEST_F(Csv, MissingValuesTakeDefaults) {
  struct Row {
    int32_t a;
    std::string b;
    std::optional<float> c;
    bool operator==(const Row&) const = default;
  };
  const std::string file = write("a", "a,b,c\n,,\nNA,NA,NA\n1,x,2\n\" \",\"\",\n");
  EXPECT_THAT(csv<Row>(file, Row{-1, "none", 9.0f}, {.missing = {"NA"}}).to_vector(),
              ElementsAre(Row{-1, "none", 9.0f}, Row{-1, "none", 9.0f}, Row{1, "x", 2.0f}, Row{-1, "", 9.0f}));
}

TEST_F(Csv, MissingValuesWithoutDefaultAreErrorsOfNumbersOnly) {
  using Row = std::tuple<std::string, std::optional<int>, int>;
  EXPECT_EQ(rows<Row>(",,3\n", {.header = false}), std::vector{Row("", std::nullopt, 3)});
  EXPECT_EQ(error<Row>("a,1,2\nb,2,\n", {.header = false}),
            "cannot read a.csv:2:5: column 3 holds no value; give a default, or make the member a std::optional");
}

TEST_F(Csv, ErrorsAreOfOneRowAndNameItsPlace) {
  const auto walked = walk(csv<Person>(write("a.csv", "name,age\nAnn,x\nBob,40\n\"C\nD\",1e3\nEve\nFay,50\n")));
  EXPECT_THAT(walked.elements, ElementsAre(Person{"Bob", 40}, Person{"Fay", 50}));
  EXPECT_THAT(walked.errors, ElementsAre("cannot read a.csv:2:5: column 'age' holds 'x', which is no i32",
                                         "cannot read a.csv:5:4: column 'age' holds '1e3', which is no i32",
                                         "cannot read a.csv:6:1: the row has 1 cells, but the header has 2"));
}

TEST_F(Csv, NumbersBeyondTheirTypeAreErrors) {
  const auto error_in = [&]<class T>(T, std::string_view cell) {
    return error<std::tuple<T>>(cell, {.header = false});
  };
  EXPECT_EQ(error_in(int8_t(), "128"), "cannot read a.csv:1:1: column 1 holds '128', which is beyond the range of i8");
  EXPECT_EQ(error_in(uint8_t(), "-1"), "cannot read a.csv:1:1: column 1 holds '-1', which is beyond the range of u8");
  EXPECT_EQ(error_in(float(), "1e39"),
            "cannot read a.csv:1:1: column 1 holds '1e39', which is beyond the range of f32");
  EXPECT_EQ(error_in(double(), "1e400"),
            "cannot read a.csv:1:1: column 1 holds '1e400', which is beyond the range of f64");
  EXPECT_EQ(error_in(float16(), "65520"),
            "cannot read a.csv:1:1: column 1 holds '65520', which is beyond the range of f16");
  EXPECT_EQ(error_in(bool(), "2"), "cannot read a.csv:1:1: column 1 holds '2', which is no bool");
  EXPECT_EQ(error_in(int(), "1.0"), "cannot read a.csv:1:1: column 1 holds '1.0', which is no i32");
}

TEST_F(Csv, MisplacedMarksAreErrors) {
  using Row = std::tuple<std::string, std::string>;
  const auto error_in = [&](std::string_view bytes) { return error<Row>(bytes, {.header = false}); };
  EXPECT_EQ(error_in("a,b\"c\"\n"),
            "cannot read a.csv:1:4: a quotation mark within a cell that does not begin with one; double it "
            "in a quoted cell, or read with .quotes = false");
  EXPECT_EQ(error_in("\"a\"b,c\n"), "cannot read a.csv:1:4: 'b' follows a closing quotation mark");
  EXPECT_EQ(error_in("x,y\na,\"b\nc\n"),
            "cannot read a.csv:2:3: the quotation mark is not closed before the file ends");
}

TEST_F(Csv, HeadersThatDoNotFitAreErrors) {
  EXPECT_EQ(error<Person>("name,ago\nAnn,30\n"),
            "cannot read a.csv:1:1: the header has no column 'age', but 'name', 'ago'; state the names in "
            "CsvOptions::columns");
  EXPECT_EQ(error<Person>("name,age,age\nAnn,30,31\n"), "cannot read a.csv:1:1: the header has the column 'age' twice");
  EXPECT_EQ(error<Person>(""), "cannot read a.csv: it has no line, and so no header");
  EXPECT_EQ(error<Person>("Ann,30,1\n", {.header = false}),
            "cannot read a.csv:1:1: the row has 3 cells, but the row type 2 members");
}

TEST_F(Csv, RowsAreBounded) {
  const std::string file = "name,age\n\"" + std::string(500, '\n') + "\",3\n";
  EXPECT_EQ(error<Person>(file, {.most_row_bytes = 100}),
            "cannot read a.csv:2:1: the row is longer than the limit of 100 bytes");
}

TEST_F(Csv, OptionsThatCannotBeAreErrors) {
  EXPECT_THAT(error_of([] { csv<Person>("a", {.delimiter = '"'}); }),
              testing::EndsWith("csv: the delimiter is a quotation mark or a line end"));
  EXPECT_THAT(error_of([] { csv<Person>("a", {.columns = {"x"}}); }),
              testing::EndsWith("csv: 1 columns are named for 2 members"));
  EXPECT_THAT(error_of([] { csv<Person>("a", {.header = false, .columns = {"x", "y"}}); }),
              testing::EndsWith("csv: columns are named, but there is no header to find them by"));
}

}  // namespace
}  // namespace etch::data
