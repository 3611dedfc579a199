#!/usr/bin/env python3
"""One system in a process of its own: worker.py SYSTEM THREADS. Speaks JSON, a line at a time, on standard input and output.

On start it prints {"ready": {"system", "version", "settings", "empty_call_us"}}; then it answers
    {"cmd": "prepare", "workload", "sizes", "details", "inputs": [PATH.npy], "outputs": "fresh" | "reused"}
        -> {"first_ms", "split"} | {"unsupported": why} | {"error": why}
    {"cmd": "results", "folder"} -> {"results": [PATH.npy]}   of `checked_calls` calls from the fresh state
    {"cmd": "time", "seconds"} -> {"us": [of each call], "calls"}   calls shorter than 20 us are timed in batches
    {"cmd": "compile", "seed", "details"} -> {"ms", "split"}   for workloads that time a first call
    {"cmd": "drop"} -> {}   frees the case
    {"cmd": "quit"}
The driver pins the process to as many processors as there are threads and sets the libraries' thread counts (process.py).
`split` is the parts of a first call in ms, by name, where a system knows them, or null. bench_rows (Etch) and bench_native
(libraries) speak the same.
"""

import gc
import json
import os
import sys
import time
import traceback

SHORTEST_TIMED = 20e-6


def time_calls(call, seconds):
    """Times of calls, in microseconds, until so many seconds have gone."""
    clock = time.perf_counter
    start = clock()
    call()
    one = clock() - start
    if one >= seconds:
        return [one * 1e6], 1
    batch = 1 if one > SHORTEST_TIMED else max(1, int(SHORTEST_TIMED / max(one, 1e-8)) + 1)
    times, end = [], clock() + seconds
    while True:
        start = clock()
        for _ in range(batch):
            call()
        now = clock()
        times.append((now - start) / batch * 1e6)
        if now >= end:
            return times, batch * len(times)


class Worker:
    """Answers commands with one system; holds one case at a time."""

    def __init__(self, system):
        import numpy
        import workloads
        self.np, self.workloads, self.system = numpy, workloads, system
        self.drop()

    def drop(self):
        self.case = self.built = self.inputs = None
        gc.collect()
        return {}

    def prepare(self, workload, sizes, details, inputs, outputs):
        self.drop()
        self.case = self.workloads.make_case(workload, sizes)
        self.inputs = [self.np.load(path) for path in inputs]
        if self.case.is_compile:
            return self.first_call(details)
        self.built = self.system.build(self.case, self.inputs, details, outputs == "reused")
        return {"first_ms": self.timed_first(self.built), "split": None}

    def first_call(self, details):
        self.built = self.system.build(self.case, self.inputs, details, False)
        return {"first_ms": self.timed_first(self.built), "split": None}

    @staticmethod
    def timed_first(built):
        start = time.perf_counter()
        built.prepare()
        built.call()
        return (time.perf_counter() - start) * 1e3

    def results(self, folder):
        """Writes what `checked_calls` calls give."""
        self.built.reset()
        paths = []
        for _ in range(self.case.checked_calls):
            for value in self.built.fetch(self.built.call()):
                paths.append(os.path.join(folder, f"{len(paths)}.npy"))
                self.np.save(paths[-1], value)
        return {"results": paths}

    def time(self, seconds):
        gc.collect()
        gc.disable()
        try:
            times, calls = time_calls(self.built.call, seconds)
        finally:
            gc.enable()
        return {"us": times, "calls": calls}

    def compile(self, seed, details):
        answer = self.first_call(details)
        return {"ms": answer["first_ms"], "split": answer["split"]}

    def empty_call_us(self):
        call = self.system.empty_call()
        for _ in range(100):
            call()
        times, _ = time_calls(call, 0.05)
        return sorted(times)[len(times) // 2]


def answer(worker, request):
    """What a request gets; an exception of the system becomes an answer."""
    from systems.base import Unsupported
    try:
        return getattr(worker, request.pop("cmd"))(**request)
    except Unsupported as why:
        worker.drop()
        return {"unsupported": str(why)}
    except Exception as why:
        traceback.print_exc()
        worker.drop()
        return {"error": f"{type(why).__name__}: {str(why)[:300]}"}


def main():
    name, threads = sys.argv[1], int(sys.argv[2])
    # Libraries that print go to the log: standard output belongs to the protocol.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import systems
    worker = Worker(systems.make(name, threads))
    system = worker.system

    def say(message):
        out.write(json.dumps(message) + "\n")
        out.flush()

    say({"ready": {"system": name, "version": system.version, "settings": system.settings, "empty_call_us": worker.empty_call_us()}})
    for line in sys.stdin:
        request = json.loads(line)
        if request["cmd"] == "quit":
            return
        say(answer(worker, request))


if __name__ == "__main__":
    main()
    # Some libraries crash while the interpreter ends.
    sys.stdout.flush()
    os._exit(0)
