#!/usr/bin/python3
"""An RTSP camera for the tests, on GStreamer's RTSP server.

    camera.py --media DIR [--address A] [--port N] [--user NAME --password WORD] [--certificate PEM]

Serves what tests/harness makes in DIR, at the speed of life, over TCP and UDP:
/h264 (H.264 + AAC), /h265, /bframes (H.264 with B-frames), /g711 (H.264 + A-law), and a test
picture as /jpeg. With a user
it asks for Digest credentials. Says "ready PORT" once it listens on 127.0.0.1, or on A; ends with its
standard input, so that it never outlives the test that started it.

Each file is long enough for a test; when it ends, the camera says goodbye and a client that
comes back begins at the front, as after a reboot.

Debian 12: python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly}
"""

import argparse
import os
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402

H264 = "h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"
MOUNTS = {
    "/h264": ("h264.mp4", H264, "aacparse ! rtpmp4gpay name=pay1 pt=97"),
    "/h265": ("h265.mp4", "h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1", None),
    "/bframes": ("bframes.mp4", H264, None),
    "/bulk": ("bulk.mp4", H264, None),
    "/g711": ("g711.mov", H264, "rtppcmapay name=pay1 pt=8"),
}


def launch(path, video, audio):
    """The pipeline of one mount: what is in the file, packed as it is."""
    text = f"filesrc location={path} ! qtdemux name=d d.video_0 ! queue ! {video}"
    if audio:
        text += f" d.audio_0 ! queue ! {audio}"
    return f"( {text} )"


# A test picture as JPEG (RFC 2435).
JPEG = (
    "( videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=15/1"
    " ! jpegenc ! rtpjpegpay name=pay0 )"
)


def factory(text, role):
    made = GstRtspServer.RTSPMediaFactory()
    made.set_launch(text)
    made.set_shared(True)
    if role:
        allowed = Gst.Structure.new_from_string(
            f"{role}, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
        )
        made.add_role_from_structure(allowed)
    return made


def guard(server, user, password, role, certificate):
    """Asks every client for Digest credentials; with a certificate, and its key, over TLS."""
    auth = GstRtspServer.RTSPAuth()
    # GstRTSPAuthMethod: 1 is Basic, 2 is Digest (gstrtspdefs.h).
    auth.set_supported_methods(2)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", role)
    auth.add_digest(user, password, token)
    if certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    server.set_auth(auth)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--media", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--certificate")
    options = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(options.address)
    server.set_service(str(options.port))
    role = "viewer" if options.user else None
    if role:
        guard(server, options.user, options.password, role, options.certificate)
    mounts = server.get_mount_points()
    for mount, (name, video, audio) in MOUNTS.items():
        path = os.path.join(options.media, name)
        if os.path.exists(path):
            mounts.add_factory(mount, factory(launch(path, video, audio), role))
    mounts.add_factory("/jpeg", factory(JPEG, role))
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on {options.address}:{options.port}")
    print(f"ready {server.get_bound_port()}", flush=True)

    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin, GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
    loop.run()


if __name__ == "__main__":
    main()
