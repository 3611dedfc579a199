"""Runs rows: fresh inputs, the reference, then every system's results, then rounds in which the systems alternate."""

import json
import math
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import zlib

import numpy as np

from probe import Probe, median_rates
from process import HERE, NATIVE, Died, Late, Process
from stats import limit_us, median, summarise
from workloads import make_case, make_inputs

# The groups that libraries of matrix products have a part in.
PRODUCTS = (8, 9, 10, 11)
LIMIT = 60.0
LIMITS_OF_PREPARE = {"torch_compile": 180.0}
# Untimed calls of several threads before those of a round.
SPREAD = 0.01
# What the cases of one row may hold together, and what a case holds as a multiple of the bytes of the row: its inputs twice, two results.
MEMORY = 9e9
COPIES = 2
# After so many rounds a system that is so much slower than the fastest takes part in every fourth only.
LOOKED_AT, SLOW, SKIPPED_TO = 3, 4.0, 4
# Rounds of first calls: each is a new function.
COMPILE_ROUNDS = 7
FRESH_PROCESS_ROUNDS = 3


class Row:
    """A row with its inputs on disk and its reference."""

    def __init__(self, row, threads, seed):
        self.row, self.threads = row, threads
        self.case = make_case(row.workload, row.sizes)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="etch_row_"))
        rng = np.random.default_rng([seed, zlib.crc32(row.name.encode())])
        self.inputs = make_inputs(self.case, rng)
        self.paths = []
        for i, value in enumerate(self.inputs):
            self.paths.append(str(self.folder / f"input_{i}.npy"))
            np.save(self.paths[-1], value)
        self.expected = self.reference()

    def reference(self):
        """The list of results in f64."""
        name = self.row.workload
        if not hasattr(self.case, "reference"):
            return self.train_reference(name)
        wide = [value.astype(np.float64) if value.dtype == np.float32 else value for value in self.inputs]
        with np.errstate(all="ignore"):
            return [np.asarray(value) for value in self.case.reference(*wide)]

    def train_reference(self, name):
        path = self.folder / "losses.npy"
        subprocess.run([sys.executable, str(HERE / "train_reference.py"), name, json.dumps(self.row.sizes), str(path), *self.paths],
                       check=True, stderr=subprocess.DEVNULL)
        return list(np.load(path))

    def product(self):
        """Of the first two inputs."""
        return self.inputs[0].astype(np.float64) @ self.inputs[1]

    def error(self, paths, expected):
        """How far results are from what is expected."""
        results = [np.load(path) for path in paths]
        with np.errstate(all="ignore"):
            return self.case.error(results, expected, self.inputs)

    def prepare_request(self, outputs):
        details = self.case.details()
        return {"cmd": "prepare", "workload": self.row.workload, "sizes": {**details, **self.row.sizes}, "details": details,
                "inputs": self.paths, "outputs": outputs}

    def description(self):
        case, row = self.case, self.row
        sizes = {key: list(value) if isinstance(value, tuple) else value for key, value in row.sizes.items()}
        return {"group": row.group, "workload": row.workload, "name": row.name, "sizes": sizes, "drawn": row.drawn,
                "threads": self.threads, "bytes": case.bytes, "result_bytes": case.result_bytes, "flops": case.flops,
                "dtype": case.inputs[-1][2], "compile": case.is_compile, "cells": {}}

    def drop(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Driver:
    """All systems at one number of threads."""

    def __init__(self, names, threads, options):
        self.threads, self.options = threads, options
        self.random = random.Random(options.seed)
        self.processes = {name: Process(name, threads, options.build, options.log) for name in names}
        self.probe = Probe(threads, options.build)

    def end(self):
        for process in self.processes.values():
            process.end()
        self.probe.end()

    def about(self):
        """What each system that ran says about itself."""
        return {name: process.ready for name, process in self.processes.items() if process.ready}

    def run(self, row):
        """The row's entry in the results."""
        work = Row(row, self.threads, self.options.seed)
        entry = work.description()
        try:
            for outputs in self.options.outputs.split(",") if not work.case.is_compile else ("fresh",):
                for names in self.shares(work):
                    self.run_share(work, entry, names, outputs)
            if entry.get("probe"):
                entry["probe"] = median_rates(entry["probe"])
                entry["limit_us"] = limit_us(entry, entry["probe"])
        finally:
            work.drop()
        return entry

    def shares(self, work):
        """The systems that take part at a time: all, unless their arrays would fill the memory; Etch is in each share."""
        names = [name for name, process in self.processes.items()
                 if process.exists and (name not in NATIVE or work.row.group in PRODUCTS)]
        room = max(2, int(MEMORY / (COPIES * max(work.case.bytes, 1))))
        if len(names) <= room:
            return [names]
        ours = [name for name in names if name == "etch"]
        others = [name for name in names if name != "etch"]
        step = room - len(ours)
        return [ours + others[i:i + step] for i in range(0, len(others), step)]

    def run_share(self, work, entry, names, outputs):
        ready = [name for name in names if self.prepare(work, entry, name, outputs)]
        if self.options.check or not ready:
            pass
        elif work.case.is_compile:
            self.compile_rounds(work, entry, ready)
        else:
            self.rounds(entry, ready, outputs)
        for name in names:
            if self.processes[name].runs:
                self.attempt(name, LIMIT, cmd="drop")

    def attempt(self, name, limit, **request):
        """The answer, or what went wrong in the same form."""
        try:
            answer = self.processes[name].ask(limit, **request)
        except Late as late:
            return {"failed": str(late), "late_s": limit}
        except (Died, ValueError) as died:
            return {"failed": str(died)}
        return {"failed": answer["error"]} if "error" in answer else answer

    def prepare(self, work, entry, name, outputs):
        """Prepares a system's case and compares its results; False if it has none. A system whose results are wrong is timed all
        the same, and marked."""
        cells = entry["cells"].setdefault(name, {})
        if outputs == "reused" and "fresh" in cells and "error" not in cells["fresh"]:
            return False
        done = self.attempt(name, LIMITS_OF_PREPARE.get(name, LIMIT), **work.prepare_request(outputs))
        if "first_ms" not in done:
            # That results cannot be used again is said by their absence.
            if outputs == "fresh" or "unsupported" not in done:
                cells[outputs] = done
            return False
        part = {"part": done["part"]} if done.get("part") else {}
        found = {**self.compared(work, name, part), **part}
        if "failed" in found:
            cells[outputs] = found
            return False
        # A second share keeps the first one's rounds of Etch.
        cells.setdefault(outputs, {"first_ms": done["first_ms"], "split": done.get("split"), "rounds_us": [], "calls": 0}).update(found)
        return True

    def compared(self, work, name, part):
        """The error of a system's results; of a library that does the workload's product alone, that of the product."""
        folder = work.folder / name
        folder.mkdir(exist_ok=True)
        found = self.attempt(name, LIMIT, cmd="results", folder=str(folder))
        if "results" not in found:
            return {"failed": "no results", **found}
        if work.case.is_compile and not found["results"]:
            return {"error": None, "right": True}
        try:
            error = work.error(found["results"], [work.product()] if part else work.expected)
        except Exception as why:
            return {"failed": f"results: {why}"}
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return {"error": None if math.isnan(error) else error, "right": error <= work.case.tolerance}

    def rounds(self, entry, names, outputs):
        """Alternating rounds in a new order each; a system much slower than the fastest takes part in every fourth."""
        times = {name: [] for name in names}
        for name in names:
            self.processes[name].wait_until_idle()
        for turn in range(self.options.rounds):
            entry.setdefault("probe", []).append(self.probe.rates(entry["bytes"]))
            active = [name for name in times if self.takes_part(name, turn, times)]
            self.random.shuffle(active)
            for name in active:
                if self.threads > 1:
                    # Threads that have just woken up may share a processor until the kernel has spread them.
                    self.attempt(name, LIMIT, cmd="time", seconds=SPREAD)
                answer = self.attempt(name, LIMIT, cmd="time", seconds=self.options.seconds)
                self.processes[name].wait_until_idle()
                if "us" not in answer:
                    entry["cells"][name][outputs] = {"failed": "no times", **answer}
                    del times[name]
                    continue
                times[name].append(float(f"{median(answer['us']):.5g}"))
                entry["cells"][name][outputs]["calls"] += answer["calls"]
        for name, rounds in times.items():
            cell = entry["cells"][name][outputs]
            cell["rounds_us"] += rounds
            cell.update(summarise(cell["rounds_us"]))

    @staticmethod
    def takes_part(name, turn, times):
        if turn < LOOKED_AT or turn % SKIPPED_TO == 0 or name == "etch":
            return True
        typical = {other: median(rounds) for other, rounds in times.items() if rounds}
        return typical[name] <= SLOW * min(typical.values())

    def compile_rounds(self, work, entry, names):
        """First calls of new functions, the systems alternating; what takes seconds is asked three times."""
        found = {name: [] for name in names}
        turns = FRESH_PROCESS_ROUNDS if work.case.fresh_process else COMPILE_ROUNDS
        for turn in range(min(self.options.rounds, turns)):
            seed = self.random.randrange(1, 1 << 30)
            for name in self.random.sample(list(found), len(found)):
                if turn >= LOOKED_AT and found[name][0]["ms"] > 5000:
                    continue
                answer = self.first_call(work, name, seed)
                if "ms" not in answer:
                    entry["cells"][name]["fresh"] = {"failed": "no time", **answer}
                    del found[name]
                    continue
                found[name].append(answer)
        for name, answers in found.items():
            cell = entry["cells"][name]["fresh"]
            cell["rounds_us"] = [answer["ms"] * 1e3 for answer in answers]
            cell.update(summarise(cell["rounds_us"]), split=median_split(answers), calls=len(answers))

    def first_call(self, work, name, seed):
        """The first call of a function that is drawn from a seed."""
        limit, details = LIMITS_OF_PREPARE.get(name, LIMIT), work.case.details(seed)
        if not work.case.fresh_process:
            return self.attempt(name, limit, cmd="compile", seed=seed, details=details)
        self.processes[name].end()
        answer = self.attempt(name, limit, **{**work.prepare_request("fresh"), "details": details})
        return {**answer, "ms": answer["first_ms"]} if "first_ms" in answer else answer


def median_split(answers):
    """The median of each part of a first call, or None where a system does not know them."""
    splits = [answer["split"] for answer in answers if answer.get("split")]
    return {part: median([split[part] for split in splits]) for part in splits[0]} if splits else None
