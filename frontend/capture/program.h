// What a program does in one run, without tensors: events, questions between them, and an end.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace etch::capture {

/// What an event is: op, fields, types, number of results and place. Equal events have equal numbers, in all runs.
using Kind = int32_t;

/// A value of a run. Results of events are numbered from 0 on, in order; what is there before the run begins (arguments,
/// captured tensors, first values of variables) has negative numbers, the same in all runs.
using Ref = int32_t;

/// The answers to the first questions of a run, in order.
using Decisions = std::vector<uint8_t>;

/// What stands in a slot (a variable) when a run ends.
struct Final {
  int32_t slot = 0;
  Ref value = 0;
  bool operator==(const Final&) const = default;
};

/// What a run tells, and who answers its questions.
class Listener {
 public:
  /// The first result of an event.
  virtual Ref event(Kind kind, std::span<const Ref> operands, int num_results) = 0;
  /// The answer to a question. @param place the kind of what made the condition.
  virtual bool ask(Ref condition, Kind place) = 0;
  /// The end. @param what stands for types and structure of the results. @param finals by ascending slots.
  virtual void end(Kind what, std::span<const Ref> results, std::span<const Final> finals) = 0;
  /// The kind of event that comes next if all goes as before, or -1.
  virtual Kind expected() const { return -1; }

 protected:
  ~Listener() = default;
};

/// Thrown through a run that does not end by itself.
struct Abandoned {};

/// What stopped a run before its end.
struct Failure {
  std::string text;             // for the Error, with the place where it is known
  std::exception_ptr error;     // that the program threw
  bool is_missing = false;      // a tensor that another path would have assigned
};

struct Automaton;

/// A program that can be run again and again from the same beginning.
class Program {
 public:
  virtual ~Program() = default;
  /// Runs once. Abandoned passes through, or is what the program made of it.
  virtual std::optional<Failure> run(Listener& listener) = 0;
  /// True if the same was confirmed before, as another program: then merges are looked at, no more.
  virtual bool is_confirmed(const Automaton&) { return false; }
  /// What stands in a slot when a run begins.
  virtual Ref initial(int32_t slot) = 0;

  // For errors.
  virtual std::string name() const = 0;
  /// `constant 57`.
  virtual std::string text_of(Kind kind) const = 0;
  /// `demo.cc:12`.
  virtual std::string place_of(Kind kind) const = 0;
  /// Where two kinds are one op at one place on other types: `slice at demo.cc:13 (f32[3], f32[4])`.
  virtual std::optional<std::string> type_change(Kind, Kind) const { return std::nullopt; }
  /// `f32[3]`, of the results of a run that ended so.
  virtual std::string text_of_end(Kind what) const = 0;
};

}  // namespace etch::capture
