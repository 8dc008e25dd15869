#!/bin/sh
# Builds the LIVE555 reader into the directory $1. The library's whole source comes with the Python
# package liblivemedia, which pip fetches and checks.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
version=1.0.5
digest=564f65501ea5e823e5c53b1847ce3f41bd7b71ee2e9f3ba154a7e955817dfb48
[ -x "$out/live555" ] && [ "$out/live555" -nt "$here/live555.cpp" ] && exit 0
build=$(mktemp -d "$out/live555.XXXXXX")
trap 'rm -rf "$build"' EXIT
echo "liblivemedia==$version --hash=sha256:$digest" > "$build/wanted"
python3 -m pip download --quiet --disable-pip-version-check --no-deps \
	--no-binary :all: --require-hashes --dest "$build" --requirement "$build/wanted"
tar -xzf "$build/liblivemedia-$version.tar.gz" -C "$build" --strip-components 1
cd "$build"
flags="-O1 -w -DSOCKLEN_T=socklen_t -D_LARGEFILE_SOURCE=1 -D_FILE_OFFSET_BITS=64 -DBSD=1 -DNO_OPENSSL=1"
for part in UsageEnvironment BasicUsageEnvironment groupsock liveMedia; do
	flags="$flags -I$part/include -I$part"
done
compile() {
	compiler=$1 && shift
	printf '%s\n' "$@" | xargs -P 2 -I @ $compiler $flags -c @ -o @.o
}
compile "g++ -std=c++20" BasicUsageEnvironment/*.cpp UsageEnvironment/*.cpp groupsock/*.cpp liveMedia/*.cpp
compile gcc groupsock/*.c liveMedia/*.c
g++ -std=c++20 $flags "$here/live555.cpp" ./*/*.o -o live555
mv live555 "$out/live555"
