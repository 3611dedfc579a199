"""What a system offers to worker.py."""

import numpy as np


class Unsupported(Exception):
    """A workload that a system cannot do, or that makes no sense in it."""


class Built:
    """A workload that is ready to be called.

    `call` does the work and returns its results when they are there; `fetch` turns them into a list of NumPy arrays; `prepare`
    is what stands between placing the inputs and the first call and counts into its time; `reset` puts held state back to what
    it was before the first call.
    """

    def __init__(self, call, fetch, prepare=None, reset=None):
        self.call, self.fetch = call, fetch
        self.prepare = prepare or (lambda: None)
        self.reset = reset or (lambda: None)


class System:
    """A system with a number of threads. A subclass has `name`, `version`, `settings`, and either overrides `build` or has
    `definitions`, `put`, `compile` and `fetch`."""

    # Said in a sentence that somebody can repeat.
    settings = ""
    version = ""
    # False: there is nothing to compile, so that a first call is like any other.
    compiles = True

    def __init__(self, threads):
        self.threads = threads

    def build(self, case, inputs, details, reuse):
        """A Built for a workload's case; `reuse`: into the same results at each call."""
        if reuse:
            raise Unsupported("has no results that are used again")
        if case.is_compile and not self.compiles:
            raise Unsupported("compiles nothing")
        if case.name.startswith("train_") or case.name == "compile_training":
            return self.build_training(case, inputs, details)
        function = self.definitions.make(case, details)
        compiled = self.compile(function)
        if case.name == "thousand_sizes":
            return self.build_sizes(case, compiled, inputs[0])
        arguments = [self.put(value) for value in inputs]
        return Built(lambda: self.wait(compiled(*arguments)), self.fetch)

    def build_training(self, case, inputs, details):
        raise Unsupported("has no gradients")

    def build_sizes(self, case, compiled, x):
        """One function that is called with all lengths."""
        arguments = [self.put(x[:length]) for length in case.lengths()]

        def call():
            results = [self.wait(compiled(argument)) for argument in arguments]
            return results[0], results[-1]
        return Built(call, self.fetch)

    def put(self, value):
        """An array of NumPy in the system's own form."""
        raise NotImplementedError

    def compile(self, function):
        return function

    def wait(self, result):
        return result

    def fetch(self, result):
        return [np.asarray(value) for value in as_list(result)]

    def empty_call(self):
        """The smallest call that there is, to be timed."""
        raise NotImplementedError


def as_list(result):
    return list(result) if isinstance(result, (list, tuple)) else [result]
