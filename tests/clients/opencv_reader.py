"""Reads pictures of an RTSP URL with OpenCV, as scripts of camera hobbyists do.

    opencv_reader.py URL TRANSPORT FRAMES

TRANSPORT is what OpenCV's FFmpeg is told: tcp, udp, udp_multicast or http. Prints `frames=…
size=…x…`; ends with 1 when the stream cannot be opened or ends early.
"""

import os
import sys

url, transport, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{transport}"

import cv2  # noqa: E402  (reads the environment when it is loaded)

capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 20_000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 20_000])
if not capture.isOpened():
    sys.exit("failed: the stream cannot be opened")
frames, size = 0, None
while frames < wanted:
    good, picture = capture.read()
    if not good:
        sys.exit(f"failed: the stream ended after {frames} frames")
    frames += 1
    size = f"{picture.shape[1]}x{picture.shape[0]}"
print(f"frames={frames} size={size}")
