"""Plays an RTSP URL with GStreamer into a file until its end; seeks once if told to where."""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

url, path, seek = sys.argv[1], sys.argv[2], sys.argv[3]
Gst.init(None)
pipeline = Gst.parse_launch(
    f'rtspsrc name=source location="{url}" protocols=tcp ! rtph264depay ! h264parse ! '
    f"video/x-h264,stream-format=byte-stream,alignment=au ! filesink location={path}"
)
loop = GLib.MainLoop()
failed = []


def on_message(_, message):
    if message.type == Gst.MessageType.EOS:
        loop.quit()
    elif message.type == Gst.MessageType.ERROR:
        failed.append(message.parse_error())
        loop.quit()


def jump():
    target = int(float(seek) * Gst.SECOND)
    if not pipeline.seek_simple(Gst.Format.TIME, Gst.SeekFlags.FLUSH, target):
        failed.append("the seek was refused")
        loop.quit()
    return False


bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message", on_message)
pipeline.set_state(Gst.State.PLAYING)
if seek:
    GLib.timeout_add(1000, jump)
GLib.timeout_add_seconds(40, lambda: (failed.append("no end"), loop.quit()))
loop.run()
pipeline.set_state(Gst.State.NULL)
if failed:
    sys.exit(str(failed))
