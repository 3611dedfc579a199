"""A system's process: started when it is wanted, ended when it is late, and started anew for the next row."""

import functools
import json
import os
import pathlib
import select
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OURS = ("etch", "etch_unfused", "etch_eager")
NATIVE = ("openblas", "blis", "onednn", "libxsmm", "eigen")
START_LIMIT = 120.0
# A process is idle if its threads run for less than this share of a pause.
PAUSE, MOST_PAUSES, IDLE_SHARE = 0.003, 40, 0.2


class Late(Exception):
    """No answer within the limit."""


class Died(Exception):
    """The process ended without an answer."""


def command(system, threads, build):
    """How a system is started."""
    programs = pathlib.Path(build) / "benchmarks"
    if system in OURS:
        return [str(programs / "bench_rows"), system, str(threads)]
    if system in NATIVE:
        return [str(programs / "bench_native"), system, str(threads)]
    return [sys.executable, str(HERE / "worker.py"), system, str(threads)]


def processors(threads):
    """The first so many that this process may use."""
    return sorted(os.sched_getaffinity(0))[:threads]


def environment(threads):
    """Thread counts of libraries that read them when they are loaded, and nothing that was set for another library."""
    kept = {name: value for name, value in os.environ.items() if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "ETCH_FLAGS")}
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {**kept, **dict.fromkeys(counts, str(threads))}


class Process:
    """Sends commands as lines of JSON and reads the answers."""

    def __init__(self, system, threads, build, log):
        self.system, self.threads, self.command, self.log = system, threads, command(system, threads, build), log
        self.process = self.ready = None

    @property
    def exists(self):
        return os.path.exists(self.command[0])

    @property
    def runs(self):
        return self.process is not None

    def start(self):
        """What the process says about itself."""
        if self.process is None:
            pin = functools.partial(os.sched_setaffinity, 0, processors(self.threads))
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, bufsize=0,
                                            preexec_fn=pin, env=environment(self.threads))
            self.left = b""
            self.ready = self.read(START_LIMIT)["ready"]
        return self.ready

    def ask(self, limit, **request):
        """The answer to a command; Late or Died end the process."""
        self.start()
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            self.end()
            raise Died(f"ended with {self.code}") from None
        return self.read(limit)

    def read(self, limit):
        while b"\n" not in self.left:
            if not select.select([self.process.stdout], [], [], limit)[0]:
                self.end()
                raise Late(f"longer than {limit:.0f} s")
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            if not piece:
                self.end()
                raise Died(f"ended with {self.code}")
            self.left += piece
        line, self.left = self.left.split(b"\n", 1)
        return json.loads(line)

    def run_time(self):
        """Nanoseconds that its threads have run so far; 0 where it has ended or the kernel does not count them."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat") if self.runs else ():
            try:
                total += int(task.read_text().split()[0])
            except (OSError, ValueError):
                continue
        return total

    def wait_until_idle(self):
        """Waits while its threads still spin for more work (those of OpenBLAS do for 20 ms), which would take a processor from the next
        system."""
        before = self.run_time()
        for _ in range(MOST_PAUSES):
            time.sleep(PAUSE)
            now = self.run_time()
            if now - before < IDLE_SHARE * PAUSE * 1e9:
                return
            before = now

    def end(self):
        """Ends the process at once."""
        if self.process is None:
            return
        self.process.kill()
        self.code = self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process = None
