#!/bin/sh
# Builds the readers that Debian does not have into the directory $1: LIVE555 and libcurl's RTSP, each a
# few lines of ours around the library, and OpenCV in a Python environment of its own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
exec 9>"$out/clients.lock"
flock 9
"$here/make_live555.sh" "$out"
[ "$out/curl_rtsp" -nt "$here/curl_rtsp.c" ] || gcc -O1 -Wall -Wextra -o "$out/curl_rtsp" "$here/curl_rtsp.c" -lcurl
if [ ! -e "$out/opencv/ready" ]; then
	/usr/bin/python3 -m venv "$out/opencv"
	"$out/opencv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.12.0.88
	touch "$out/opencv/ready"
fi
