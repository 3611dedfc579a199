"""The probe of the machine, beside each round: builds probe.c once and asks it."""

import json
import pathlib
import subprocess

from stats import median

HERE = pathlib.Path(__file__).resolve().parent
MOST_BYTES = 256 << 20


class Probe:
    """Rates of this minute in 1e9 operations or bytes a second, with buffers of a row's size."""

    def __init__(self, threads, build):
        program = pathlib.Path(build) / "peers_probe"
        source = HERE / "probe.c"
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            program.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cc", "-O3", "-march=native", "-pthread", str(source), "-o", str(program)], check=True)
        self.process = subprocess.Popen([str(program), str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def rates(self, size):
        """One measurement, which takes about 20 ms."""
        self.process.stdin.write(f"{min(max(size, 8192), MOST_BYTES)}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def median_rates(measured):
    """Of several measurements, each rate's median."""
    return {name: median([rates[name] for rates in measured]) for name in measured[0]}
