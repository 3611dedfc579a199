"""A system's process: started when it is wanted, ended when it is late, and started anew for the next row."""

import json
import os
import pathlib
import select
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OURS = ("etch", "etch_unfused", "etch_eager")
NATIVE = ("openblas", "blis", "onednn", "libxsmm", "eigen")
START_LIMIT = 120.0


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
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, bufsize=0)
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

    def end(self):
        """Ends the process at once."""
        if self.process is None:
            return
        self.process.kill()
        self.code = self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process = None
