"""Reads what examples/summaries wrote by TensorBoard's own package. See scripts/check_summaries."""

import hashlib
import io
import json
import pathlib
import socket
import subprocess
import sys
import urllib.request

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

ROOT = pathlib.Path(__file__).parent.parent
EXPECTED = ROOT / "tests/summary/read_back.json"


def picture(png):
    """The size of a PNG, its mode, and a hash of its pixels."""
    image = Image.open(io.BytesIO(png))
    return [image.size, image.mode, hashlib.sha256(image.tobytes()).hexdigest()]


def value(plugin, tensor):
    array = tensor_util.make_ndarray(tensor)
    if plugin == "images":
        width, height, *pngs = array.tolist()
        return [int(width), int(height)] + [picture(png) for png in pngs]
    if plugin == "text":
        return [text.decode() for text in array.ravel().tolist()]
    return array.tolist()


def node(one):
    attributes = {key: one.attr[key] for key in sorted(one.attr)}
    shapes = [[dim.size for dim in shape.dim] for shape in attributes["_output_shapes"].list.shape]
    return f"{one.name} = {one.op}({', '.join(one.input)}) : {attributes['dtype'].type}{shapes}"


def accumulator(folder):
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return events


def read_run(folder):
    events = accumulator(folder)
    found = {}
    for tag in sorted(events.Tags()["tensors"]):
        metadata = events.SummaryMetadata(tag)
        plugin = metadata.plugin_data.plugin_name
        found[f"{plugin}: {tag}"] = {
            "description": metadata.summary_description,
            "values": {str(one.step): value(plugin, one.tensor_proto) for one in events.Tensors(tag)},
        }
    if events.Tags()["graph"]:
        found["graph"] = [node(one) for one in events.Graph().node]
    return found


def tags_of(folder):
    events = accumulator(folder)
    tags = [f"{events.SummaryMetadata(tag).plugin_data.plugin_name}: {tag}, {len(events.Tensors(tag))} steps"
            for tag in sorted(events.Tags()["tensors"])]
    return tags + (["graph"] if events.Tags()["graph"] else [])


def check(logs, update):
    found = {"kinds": read_run(logs / "kinds")}
    # Of a training only the tags: its numbers depend on the processor.
    found |= {run: tags_of(logs / run) for run in ("digits/train", "digits/validation")}
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if update:
        EXPECTED.write_text(text)
        print(f"{EXPECTED.relative_to(ROOT)}: {len(text)} bytes")
    elif json.loads(EXPECTED.read_text()) != json.loads(text):
        (logs / "found.json").write_text(text)
        subprocess.run(["diff", str(EXPECTED), str(logs / "found.json")], check=False)
        sys.exit("TensorBoard reads something else")
    else:
        print(f"TensorBoard reads what is expected: {len(found['kinds'])} tags of every kind, and "
              f"{sum(len(tags) for run, tags in found.items() if run != 'kinds')} of a training")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(server, address):
    """Until TensorBoard serves all runs."""
    for _ in range(120):
        if server.poll() is not None:
            sys.exit("tensorboard ended")
        try:
            runs = json.load(urllib.request.urlopen(address + "/data/runs", timeout=5))
            if len(runs) == 3:
                return
        except OSError:
            pass
        try:
            server.wait(1)
        except subprocess.TimeoutExpired:
            pass
    sys.exit("tensorboard does not serve the runs")


# A page of TensorBoard, and what must be drawn on it, how often, before it is taken.
PAGES = {
    "scalars": ("?tagFilter=epoch_&smoothing=0#timeseries", "line-chart canvas", 2),
    "histograms": ("?tagFilter=kernel#histograms", "g.histogram path.outline", 30),
    "images": ("#images", "img", 8),
    "graph": ("#graphs", "g.nodes g.node", 8),
}
# How many elements there are of a selector, in shadow trees too.
COUNT = """selector => {
  let count = 0;
  const visit = root => {
    count += root.querySelectorAll(selector).length;
    root.querySelectorAll('*').forEach(element => element.shadowRoot && visit(element.shadowRoot));
  };
  visit(document);
  return count;
}"""


def take_pictures(logs):
    from playwright.sync_api import sync_playwright

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [pathlib.Path(sys.executable).parent / "tensorboard", "--logdir", logs, "--port", str(port), "--host", "127.0.0.1",
               "--load_fast", "false"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(server, address)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            for name, (path, selector, count) in PAGES.items():
                page.goto("about:blank")
                page.goto(f"{address}/{path}")
                page.wait_for_function(f"([selector, count]) => ({COUNT})(selector) >= count", arg=[selector, count], timeout=60000)
                page.wait_for_timeout(3000)  # lines and layouts are animated
                target = ROOT / f"docs/tensorboard_{name}.png"
                page.screenshot(path=str(target))
                print(target.relative_to(ROOT))
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    if "--pictures" in sys.argv:
        take_pictures(folder)
    else:
        check(folder, "--update" in sys.argv)
