// etch-opt: runs passes on the text of a graph, or of its gradient.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "compiler/passes/describe.h"
#include "compiler/passes/pass.h"
#include "tools/harness.h"

namespace etch {
namespace {

constexpr std::string_view kHelp = R"(etch-opt: runs passes on the text of a graph

  etch-opt [options] FILE      FILE may be - for the standard input

  --gradient       take the gradient of the outputs in the inputs: a graph that takes a cotangent for each output
                   behind the inputs; inputs that have none are named above it, with the reason
  --passes=a,b,c   these passes, in this order; none if empty (default: all, in the order of --list-passes)
  --print-before   print the graph before each pass
  --print-after    print the graph after each pass
  --verify         check the graph after each pass
  -o FILE          write the result to FILE, not to the standard output
  --list-passes    list name, use and reason of each pass
  --list-ops       list the ops
  --help           this text

The exit code is 0, or 2 with one line on the standard error if the input or an option is wrong.
)";

struct Options {
  std::vector<const Pass*> passes;
  std::string input;
  std::string output;
  bool gradient = false;
  bool print_before = false;
  bool print_after = false;
  bool verify = false;
};

absl::Status error(const std::string& text) { return absl::InvalidArgumentError(text); }

absl::StatusOr<std::vector<const Pass*>> parse_passes(std::string_view names) {
  std::vector<const Pass*> result;
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find(','));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
    const Pass* pass = find_pass(name);
    if (!pass) return error(cat("there is no pass '", name, "'; see --list-passes"));
    result.push_back(pass);
  }
  return result;
}

absl::StatusOr<Options> parse_options(const std::vector<std::string_view>& arguments) {
  constexpr std::string_view kPasses = "--passes=";
  Options options;
  for (const Pass& pass : passes()) options.passes.push_back(&pass);
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument.starts_with(kPasses)) {
      absl::StatusOr<std::vector<const Pass*>> chosen = parse_passes(argument.substr(kPasses.size()));
      if (!chosen.ok()) return chosen.status();
      options.passes = *chosen;
    } else if (argument == "--gradient") {
      options.gradient = true;
    } else if (argument == "--print-before") {
      options.print_before = true;
    } else if (argument == "--print-after") {
      options.print_after = true;
    } else if (argument == "--verify") {
      options.verify = true;
    } else if (argument == "-o") {
      if (++i == arguments.size()) return error("-o needs a file");
      options.output = arguments[i];
    } else if (argument.starts_with("-") && argument != "-") {
      return error(cat("there is no option '", argument, "'; see --help"));
    } else if (!options.input.empty()) {
      return error(cat("there is one input, but '", options.input, "' and '", argument, "' are given"));
    } else {
      options.input = argument;
    }
  }
  if (options.input.empty()) return error("there is no input; give a file, or - for the standard input");
  return options;
}

absl::StatusOr<std::string> read(const std::string& path) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream file(path, std::ios::binary);
  std::string text;
  char block[1 << 16];
  while (file.read(block, sizeof block), file.gcount() > 0) text.append(block, file.gcount());
  if (!file.eof()) return error(cat("cannot read '", path, "'"));
  return text;
}

absl::Status write(const std::string& path, const std::string& text) {
  std::ofstream file;
  if (!path.empty()) file.open(path, std::ios::binary);
  std::ostream& out = path.empty() ? std::cout : file;
  out << text << std::flush;
  return out ? absl::OkStatus() : error(cat("cannot write '", path.empty() ? "the standard output" : path, "'"));
}

absl::StatusOr<Graph> run(const Pass& pass, const Graph& graph, const Options& options) {
  if (options.print_before) std::cout << "// before " << pass.name << "\n" << print(graph);
  absl::StatusOr<Graph> result = pass.run(graph);
  if (!result.ok()) return result;
  if (options.print_after) {
    std::cout << "// after " << pass.name << ": " << describe_change(graph, *result) << "\n" << print(*result);
  }
  if (!options.verify) return result;
  if (absl::Status status = verify(*result); !status.ok()) return status;
  return result;
}

/// Replaces the graph by its gradient. Gives a line for each input that has none.
std::string replace_by_gradient(Graph& graph) {
  GradientGraph gradient = differentiate_all(graph);
  std::string lines;
  for (size_t i = 0; i < gradient.outputs.size(); ++i) {
    const Value input = graph.inputs()[i];
    if (gradient.outputs[i]) continue;
    lines += cat("// no gradient in %", input.id, ": ", why_no_gradient(graph, float_outputs(graph), input), "\n");
  }
  graph = std::move(gradient.graph);
  return lines;
}

absl::Status optimize(const Options& options) {
  absl::StatusOr<std::string> text = read(options.input);
  if (!text.ok()) return text.status();
  absl::StatusOr<Graph> graph = parse(*text);
  if (!graph.ok()) return error(cat(options.input, ":", std::string(graph.status().message())));
  const std::string without_gradient = options.gradient ? replace_by_gradient(*graph) : "";
  for (const Pass* pass : options.passes) {
    graph = run(*pass, *graph, options);
    if (!graph.ok()) return graph.status();
  }
  if (options.print_before || options.print_after) std::cout << "// result\n";
  return write(options.output, without_gradient + print(*graph));
}

std::string padded(std::string_view text, size_t width) {
  return std::string(text) + std::string(text.size() < width ? width - text.size() : 1, ' ');
}

void list_passes() {
  for (const Pass& pass : passes()) {
    std::cout << padded(pass.name, 18) << padded(name(pass.use), 10) << pass.reason << "\n";
  }
}

std::string_view describe(TypeRule rule) {
  switch (rule) {
    case TypeRule::floating: return "float";
    case TypeRule::numeric: return "numeric";
    case TypeRule::integer: return "integer";
    case TypeRule::word64: return "u64";
    case TypeRule::logical: return "bool";
    case TypeRule::equality: return "any -> bool";
    case TypeRule::ordering: return "numeric -> bool";
    case TypeRule::predicate: return "float -> bool";
    case TypeRule::select: break;
  }
  return "bool, any, any";
}

void list_ops() {
  std::cout << padded("op", 16) << padded("operands", 10) << padded("accuracy", 13) << padded("cost", 6) << "types\n";
  for (int i = 0; i < kNumOps; ++i) {
    const Op op = static_cast<Op>(i);
    if (i >= kNumTableOps) {
      std::cout << padded(name(op), 16) << "structural\n";
      continue;
    }
    const OpInfo& row = info(op);
    std::cout << padded(row.name, 16) << padded(std::to_string(row.arity), 10)
              << padded(row.accuracy == Accuracy::exact ? "exact" : "approximate", 13)
              << padded(std::to_string(row.cost), 6) << describe(row.rule) << "\n";
  }
}

/// Shows what was asked for in place of a run, if anything was.
bool shows_list(const std::vector<std::string_view>& arguments) {
  for (std::string_view argument : arguments) {
    if (argument == "--help") return std::cout << kHelp, true;
    if (argument == "--list-passes") return list_passes(), true;
    if (argument == "--list-ops") return list_ops(), true;
  }
  return false;
}

int run_main(const std::vector<std::string_view>& arguments) {
  if (shows_list(arguments)) return 0;
  absl::StatusOr<Options> options = parse_options(arguments);
  const absl::Status status = options.ok() ? optimize(*options) : options.status();
  if (status.ok()) return 0;
  std::string line(status.message());
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  std::cerr << "etch-opt: " << line << "\n";
  return 2;
}

}  // namespace
}  // namespace etch

int main(int argc, char** argv) { return etch::run_main({argv + 1, argv + argc}); }
