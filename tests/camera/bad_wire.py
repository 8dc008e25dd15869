#!/usr/bin/python3
"""A bad wire between two networks: loses, doubles and delays packets as `tc netem` does.

    bad_wire.py --loss 0.01 --double 0.01 --late 0.02 [--seed N]

Started in a network namespace of its own: that is the camera's, 10.77.0.1. It makes another one, the
box's, 10.77.0.2, and carries every packet between the two itself, through a TUN device at each end:
UDP and TCP alike, and without the kernel module that netem is. Late packets are overtaken by those
behind them. Says "ready CAMERA_PID BOX_PID", processes whose namespaces can be entered; at the end
of its standard input what it did, and ends.
"""

import argparse
import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
CLONE_NEWNET = 0x40000000  # linux/sched.h
PACKET_BYTES_MAX = 65_536
LATE_SECS = (0.002, 0.008)


def tun(name, own, peer):
    """A device of the namespace that this process is in; what is sent to it is read here."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    for line in (
        f"address add {own} peer {peer} dev {name}",
        f"link set {name} up mtu 1500",
        "link set lo up",
    ):
        subprocess.run(["ip", *line.split()], check=True)
    return device


def box_end():
    """The device of the box's namespace, and the process that keeps it."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            os._exit(1)
        device = tun("box", "10.77.0.2", "10.77.0.1")
        socket.send_fds(theirs, [b"d"], [device])
        theirs.recv(1)  # until the other end is gone
        os._exit(0)
    theirs.close()
    _, devices, _, _ = socket.recv_fds(ours, 1, 1)
    return pid, devices[0], ours


class Wire:
    """What happens to packets between two devices."""

    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.waiting = []
        self.count = dict.fromkeys(("carried", "lost", "doubled", "late"), 0)

    def carry(self, packet, to):
        self.count["carried"] += 1
        if self.random.random() < self.options.loss:
            self.count["lost"] += 1
            return
        if self.random.random() < self.options.double:
            self.count["doubled"] += 1
            put(to, packet)
        if self.random.random() < self.options.late:
            self.count["late"] += 1
            due = time.monotonic() + self.random.uniform(*LATE_SECS)
            heapq.heappush(self.waiting, (due, self.count["carried"], packet, to))
        else:
            put(to, packet)

    def deliver(self):
        """Lets go of what is late enough; for how long there is nothing more to do."""
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _, _, packet, to = heapq.heappop(self.waiting)
            put(to, packet)
        return max(self.waiting[0][0] - time.monotonic(), 0) if self.waiting else None


def put(device, packet):
    try:
        os.write(device, packet)
    except (BlockingIOError, OSError):
        pass  # a queue is full: lost, as on any wire


def run(wire, ends):
    others = {ends[0]: ends[1], ends[1]: ends[0]}
    while True:
        ready, _, _ = select.select([sys.stdin, *ends], [], [], wire.deliver())
        if sys.stdin in ready:
            return
        for device in ready:
            try:
                while True:
                    wire.carry(os.read(device, PACKET_BYTES_MAX), others[device])
            except BlockingIOError:
                pass


def main():
    parser = argparse.ArgumentParser()
    for what in ("loss", "double", "late"):
        parser.add_argument(f"--{what}", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    pid, box, _keeps = box_end()
    camera = tun("camera", "10.77.0.1", "10.77.0.2")
    print(f"ready {os.getpid()} {pid}", flush=True)
    wire = Wire(options)
    run(wire, [camera, box])
    print(" ".join(f"{what}={count}" for what, count in wire.count.items()), flush=True)


if __name__ == "__main__":
    main()
