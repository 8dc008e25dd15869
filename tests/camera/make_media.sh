#!/bin/sh
# Makes the files that camera.py serves, in the directory given; what is there stays.
# Every picture of testsrc2 is unlike every other, so checksums tell which is missing.
# Debian 12: ffmpeg
set -eu
cd "$1"
make() {
    name=$1
    shift
    [ -s "$name" ] && return
    ffmpeg -hide_banner -loglevel error -nostdin -y "$@" "part-$$-$name"
    mv "part-$$-$name" "$name"
}
picture() { echo "testsrc2=size=640x360:rate=25:duration=$1"; }
x264="-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 25 -keyint_min 25 -sc_threshold 0 -b:v 1200k"
tone="-f lavfi -i sine=frequency=440:beep_factor=4:sample_rate=48000"

# shellcheck disable=SC2086 # the options are words
{
    make h264.mp4 -f lavfi -i "$(picture 150)" $tone $x264 -bf 0 -c:a aac -b:a 64k -shortest
    make bframes.mp4 -f lavfi -i "$(picture 60)" $x264 -bf 3
    make g711.mov -f lavfi -i "$(picture 60)" $tone $x264 -bf 0 \
        -c:a pcm_alaw -ar 8000 -ac 1 -shortest
    make h265.mp4 -f lavfi -i "$(picture 60)" -c:v libx265 -preset superfast -pix_fmt yuv420p \
        -x265-params log-level=error:open-gop=0:keyint=25:min-keyint=25:scenecut=0 -b:v 800k -tag:v hvc1
}
