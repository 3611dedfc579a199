#!/usr/bin/env python3
"""Writes expected.tfevents by TensorBoard's own writer: what summaries_test.cc writes, too. Needs: pip install tensorboard."""

import os
import sys

import numpy as np
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.histogram import summary_v2 as histogram
from tensorboard.plugins.scalar import summary_v2 as scalar
from tensorboard.plugins.text import summary_v2 as text
from tensorboard.summary.writer.record_writer import RecordWriter

HISTOGRAMS = {
    "thirds": np.array([0, 1, 2, 3, 3.5, 6, 9, 9, 8.25, -3], np.float32) / 3,
    "equal": np.full(7, -2.5, np.float32),
    "none": np.zeros(0, np.float32),
    "integers": np.arange(-50, 51, dtype=np.int32) ** 3,
    "halves": np.array([[0.5, 1.5], [2.5, 1.0]], np.float64),
    "large": np.array([-1e308, 0, 3e307, 1e308, -1e308 / 3], np.float64) / 2,
    "wave": (np.arange(1000, dtype=np.int64) * 7919 % 1000).astype(np.float32) / np.float32(1000),
}


def event(summary, step, time=1700000000.25):
    return event_pb2.Event(wall_time=time, step=step, summary=summary)


def main():
    events = [
        event_pb2.Event(wall_time=1700000000.25, file_version="brain.Event:2",
                        source_metadata=event_pb2.SourceMetadata(writer="etch.summary"))
    ]
    events.append(event(scalar.scalar_pb("loss", 0.1), 0))
    events.append(event(scalar.scalar_pb("train/loss", np.float32(-3e38), "the *loss*"), 1 << 40))
    events.append(event(scalar.scalar_pb("zero", 0.0), -1))
    for name, data in HISTOGRAMS.items():
        events.append(event(histogram.histogram_pb(name, data, buckets=5 if name == "thirds" else None), 7))
    events.append(event(text.text_pb("note", "**bold** \u00fc"), 2))
    events.append(event(text.text_pb("table", np.array(["a", "", "c"], object)), 3))

    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "expected.tfevents")
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        for one in events:
            writer.write(one.SerializeToString())
    print(f"{path}: {len(events)} events", file=sys.stderr)


if __name__ == "__main__":
    main()
