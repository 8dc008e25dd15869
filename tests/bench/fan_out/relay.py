#!/usr/bin/python3
"""Relays an RTSP stream with GStreamer's RTSP server: relay.py URL, then "ready PORT".

Ends with its standard input. Debian 12: python3-gi gir1.2-gst-rtsp-server-1.0
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f"( rtspsrc location={sys.argv[1]} protocols=tcp latency=0 ! rtph264depay ! h264parse"
    " ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
)
factory.set_shared(True)
factory.set_latency(0)
server.get_mount_points().add_factory("/gate", factory)
server.attach(None)
print(f"ready {server.get_bound_port()}", flush=True)
loop = GLib.MainLoop()
GLib.io_add_watch(sys.stdin, GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
loop.run()
