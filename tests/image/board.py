"""A virtual board that boots an image from its own boot chain: power, console, network, and, on test images,
hands inside. What qemu is started with stands in board/<board>/firmware."""

import base64
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

TREE = pathlib.Path(__file__).resolve().parent.parent.parent
# Emulated on a busy machine, a boot takes minutes.
BOOT_SECONDS_MAX = 1800
NICE = os.environ.get("BOARD_NICE", "0")


class Lost(Exception):
    """The board did not do what was waited for; the text ends with what its console said."""


class Slow(Lost):
    """Nothing answers in time."""


def free_port():
    """A TCP port that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Board:
    """One virtual board with power. Its disk is a layer over the image, which stays clean; a `disk` that is given is
    used as it is, and kept."""

    def __init__(self, image, directory="board/virtual/arm64", disk_mib=4096, loader=None, disk=None):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="board."))
        self.disk = disk or self.work / "disk.qcow2"
        self.write_log = None
        self.directory, self.loader = TREE / directory, loader or f"{image}.u-boot.bin"
        self.extra = []
        self.dtb = None
        # It counts in the time of this machine, so a busy one would reset a board that does nothing wrong.
        self.watchdog = False
        if disk is None or not disk.exists():
            run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", pathlib.Path(image).resolve(), self.disk)
            run("qemu-img", "resize", "-q", self.disk, f"{disk_mib}M")
        self.http_port, self.rtsp_port = free_port(), free_port()
        self.process, self.console = None, self.work / "console"
        self.switched_on = 0.0
        self.asked = 0
        self.cookie = ""

    def arguments(self):
        """qemu's arguments, from the board's own file."""
        text = (self.directory / "firmware").read_text()
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        if not self.watchdog:
            lines = [line for line in lines if "watchdog" not in line and "i6300esb" not in line]
        words = [word for line in lines for word in shlex.split(line)]
        places = {"U_BOOT": str(self.loader), "DTB": str(self.dtb), "DISK": str(self.disk), "FORMAT": "qcow2"}
        words = [re.sub("U_BOOT|DTB|DISK|FORMAT", lambda found: places[found[0]], word) for word in words]
        if self.write_log is None:
            return words
        # Every write to the disk goes into a log as well (dm-log-writes), in its order.
        self.write_log.write_bytes(b"")
        at = words.index(f"if=none,id=disk,format=qcow2,file={self.disk}")
        words[at - 1 : at + 1] = [
            *("-blockdev", f"driver=file,node-name=log,filename={self.write_log}"),
            *("-blockdev", f"driver=qcow2,node-name=under,file.driver=file,file.filename={self.disk}"),
            *("-blockdev", "driver=blklogwrites,node-name=disk,file=under,log=log,log-sector-size=512"),
        ]
        return words

    def power_on(self, state=None):
        """Switches it on, or goes on from a saved state; the console begins anew."""
        self.console.write_bytes(b"")
        command = ["nice", "-n", NICE, "qemu-system-aarch64", *self.arguments(), "-display", "none"]
        command += ["-monitor", f"unix:{self.work}/monitor,server=on,wait=off"]
        command += ["-chardev", f"file,id=console,path={self.console}", "-serial", "chardev:console"]
        if self.directory.name == "arm64":
            command += self.virtio()
        self.switched_on = time.monotonic()
        command += ["-loadvm", state] if state else []
        self.process = subprocess.Popen([*command, *self.extra], stdin=subprocess.DEVNULL)
        self.agent = None

    def save(self, state):
        """Keeps its memory and its disk under a name, for `power_on`; it goes on."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(f"{self.work}/monitor")
            monitor.settimeout(300)
            said = b""
            # A word of our own at the end: the echo of a command holds its prompt too.
            monitor.sendall(f"savevm {state}\ninfo snapshots\n".encode())
            while b"VM CLOCK" not in said:
                said += monitor.recv(65536)
                if b"Error" in said:
                    raise Lost(said.decode(errors="replace"))

    def virtio(self):
        """A network to this machine, and the port of the hands inside."""
        forward = f"hostfwd=tcp:127.0.0.1:{self.http_port}-:80,hostfwd=tcp:127.0.0.1:{self.rtsp_port}-:8554"
        network = ["-netdev", f"user,id=net,{forward}", "-device", "virtio-net-pci,netdev=net,romfile="]
        port = ["-chardev", f"socket,id=agent,path={self.work}/agent,server=on,wait=off"]
        return [*network, "-device", "virtio-serial-pci", *port, "-device", "virtserialport,chardev=agent,name=agent"]

    def cut_power(self):
        """Takes the power away, in the middle of whatever it does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def up_seconds(self):
        """Since it was switched on."""
        return time.monotonic() - self.switched_on

    def said(self):
        """What its console said since it was switched on."""
        return self.console.read_text(errors="replace")

    def until(self, what, found, seconds=BOOT_SECONDS_MAX):
        """Waits until `found()` returns something true, and returns it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Lost(f"the board went off: {what}\n{self.said()[-3000:]}")
            if answer := found():
                return answer
            time.sleep(0.5)
        raise Lost(f"not within {seconds} s: {what}\n{self.said()[-3000:]}")

    def says(self, pattern, seconds=BOOT_SECONDS_MAX, after=0):
        """Waits for its console to say something; returns where that ends."""
        match = self.until(f"console: {pattern}", lambda: re.search(pattern, self.said()[after:]), seconds)
        return after + match.end()

    def ask(self, path, body=None):
        """Status, JSON and headers of an answer; None while nobody answers."""
        origin = f"http://127.0.0.1:{self.http_port}"
        headers = {"Cookie": self.cookie, "Origin": origin, "X-Holdfast-CSRF": "1", "Content-Type": "application/json"}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(origin + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=600 if isinstance(body, bytes) else 30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None, answer.headers
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, None, refused.headers
        except (OSError, ValueError):
            return None

    def get(self, path):
        """The JSON at `path`; None while nobody answers. Claims the box, or signs in, when that is asked for."""
        answer = self.ask(path)
        if answer and answer[0] in (401, 403) and self.enter():
            answer = self.ask(path)
        return answer[1] if answer else None

    def enter(self):
        """Claims the box with the code on its console, or signs in; whether that went well."""
        claim = self.ask("/api/v1/claim")
        if not claim or claim[0] != 200:
            return False
        who = {"name": "installer", "password": "image test only, not a secret"}
        if claim[1]["state"] == "claimed":
            answer = self.ask("/api/v1/session", who)
        else:
            # The last one: a factory reset makes another.
            codes = re.findall(r"^  ([0-9A-Z]{4}-[0-9A-Z]{4})\r?$", self.said(), re.M)
            answer = codes and self.ask("/api/v1/claim", {**who, "code": codes[-1]})
        if not answer or answer[0] not in (200, 201):
            return False
        self.cookie = answer[2]["Set-Cookie"].split(";")[0]
        return True

    def durable_until(self, stream="bench"):
        """The end of what is durable of a stream, or None."""
        streams = (self.get("/api/v1/streams") or {"streams": []})["streams"]
        return next((one["recording"]["durable_until"] for one in streams if one["name"] == stream and one["recording"]), None)

    def run(self, script, seconds=300, may_fail=False):
        """Runs a script in a test image and returns what it said."""
        if self.agent is None:
            self.reach()
        self.asked += 1
        self.agent.sendall(f"{self.asked} {base64.b64encode(script.encode()).decode()}\n".encode())
        answer = self.line(lambda line: line.startswith(f"{self.asked} "), seconds, script).split(" ")
        status, output = int(answer[1]), base64.b64decode(answer[2]).decode(errors="replace") if len(answer) > 2 else ""
        if status and not may_fail:
            raise Lost(f"exit status {status}: {script}\n{output}")
        return (status, output) if may_fail else output

    def reach(self):
        """Waits for the hands inside, which begin anew when this end does."""
        link = socket.socket(socket.AF_UNIX)
        self.until("the port of the hands", lambda: link.connect_ex(f"{self.work}/agent") == 0, 60)
        self.agent, self.lines = link, b""
        end = time.monotonic() + BOOT_SECONDS_MAX
        while time.monotonic() < end:
            self.asked += 1
            try:
                # While nobody reads inside, the port takes no more at some point.
                link.sendall(f"{self.asked} {base64.b64encode(b'true').decode()}\n".encode())
                self.line(lambda line: line.startswith(f"{self.asked} "), 5, "the agent")
                return
            except (Slow, TimeoutError):
                continue
        raise Lost(f"the agent does not answer\n{self.said()[-3000:]}")

    def line(self, wanted, seconds, what):
        """The agent's next line that is wanted."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            line, newline, rest = self.lines.partition(b"\n")
            if newline:
                self.lines = rest
                if wanted(text := line.decode(errors="replace").strip()):
                    return text
                continue
            self.agent.settimeout(1)
            try:
                self.lines += self.agent.recv(65536)
            except TimeoutError:
                if self.process.poll() is not None:
                    raise Lost(f"the board went off: {what}\n{self.said()[-3000:]}") from None
        raise Slow(f"the agent does not answer: {what}\n{self.said()[-3000:]}")

    def forget(self):
        """Removes what the board was made of."""
        if self.process and self.process.poll() is None:
            self.cut_power()
        for file in self.work.iterdir():
            file.unlink()
        self.work.rmdir()


def run(*command, **options):
    """A command of this machine."""
    return subprocess.run([str(word) for word in command], check=True, **options)
