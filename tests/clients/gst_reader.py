"""Reads an RTSP URL with GStreamer's rtspsrc, the client inside many recorders.

    gst_reader.py URL FRAMES [--protocols tcp|udp|udp-mcast] [--user NAME --password SECRET]
                  [--pause-ms N] [--hold-s N]

Decodes video until FRAMES pictures have come; with --pause-ms pauses, waits, and plays until FRAMES
more have come; with --hold-s plays on for that long and keeps the session alive as rtspsrc does.
TLS and the HTTP tunnel are asked for by the URL: rtsps://, rtsph://.
Prints `frames=… errors=0` and ends with 0, or says what failed.
"""

import argparse
import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("frames", type=int)
parser.add_argument("--protocols", default="")
parser.add_argument("--user", default="")
parser.add_argument("--password", default="")
parser.add_argument("--pause-ms", type=int, default=0)
parser.add_argument("--hold-s", type=float, default=0)
options = parser.parse_args()

Gst.init(None)
pipeline = Gst.parse_launch("rtspsrc name=source latency=200 ! decodebin ! fakesink name=sink signal-handoffs=true sync=false async=false")
source = pipeline.get_by_name("source")
source.set_property("location", options.url)
if options.protocols:
    source.set_property("protocols", options.protocols)
source.set_property("tls-validation-flags", 0)
source.set_property("user-id", options.user)
source.set_property("user-pw", options.password)
count = 0


def came(*_):
    global count
    count += 1


# Audio, where there is some, stays unlinked: this reader looks at pictures.
source.connect("select-stream", lambda _source, _number, caps: caps.get_structure(0).get_string("media") == "video")
pipeline.get_by_name("sink").connect("handoff", came)
bus = pipeline.get_bus()


def run_until(done, what, limit=40):
    late = time.monotonic() + limit
    while not done():
        message = bus.timed_pop_filtered(50 * Gst.MSECOND, Gst.MessageType.ERROR | Gst.MessageType.EOS)
        if message and message.type == Gst.MessageType.EOS:
            sys.exit(f"failed: {what}: the stream ended after {count} frames")
        if message:
            error, more = message.parse_error()
            sys.exit(f"failed: {what}: {error.message} {more}")
        if time.monotonic() > late:
            sys.exit(f"failed: {what}: only {count} frames came")


pipeline.set_state(Gst.State.PLAYING)
run_until(lambda: count >= options.frames, "play")
if options.pause_ms:
    pipeline.set_state(Gst.State.PAUSED)
    # rtspsrc says PAUSE on a thread of its own.
    end = time.monotonic() + options.pause_ms / 1000
    run_until(lambda: time.monotonic() > end, "pause")
    before = count
    pipeline.set_state(Gst.State.PLAYING)
    run_until(lambda: count >= before + options.frames, "resume")
if options.hold_s:
    end = time.monotonic() + options.hold_s
    run_until(lambda: time.monotonic() > end, "hold", options.hold_s + 40)
    before = count
    run_until(lambda: count >= before + options.frames, "after hold")
pipeline.set_state(Gst.State.NULL)
print(f"frames={count} errors=0")
