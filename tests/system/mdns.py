"""Another implementation of multicast DNS (python3-zeroconf) on the network of the tests. `find`: prints what is
announced, as JSON lines. `take NAME`: has a name already, until its input ends. `follow`: says when all of it is there,
and when all of it has said goodbye."""

import json
import socket
import sys
import time

from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, ServiceStateChange, Zeroconf

KINDS = ["_http._tcp.local.", "_https._tcp.local.", "_rtsp._tcp.local."]
zeroconf = Zeroconf(interfaces=["10.77.0.99"], ip_version=IPVersion.V4Only)
found = set()


def note(zeroconf, service_type, name, state_change):
    """Follows what is there."""
    if state_change is ServiceStateChange.Removed:
        found.discard((service_type, name))
    else:
        found.add((service_type, name))


def wait_for(number, seconds):
    """Until so many services are there, or the time is over."""
    end = time.monotonic() + seconds
    while len(found) != number and time.monotonic() < end:
        time.sleep(0.1)


if sys.argv[1] == "take":
    # This version answers a question for any record (255) of a name without its addresses (1), so probes with nothing.
    answer = zeroconf.query_handler._add_address_answers
    zeroconf.query_handler._add_address_answers = lambda *order: answer(*order[:-1], 1 if order[-1] == 255 else order[-1])
    address = socket.inet_aton("10.77.0.99")
    zeroconf.register_service(ServiceInfo("_other._tcp.local.", "other._other._tcp.local.", 1, server=f"{sys.argv[2]}.local.", addresses=[address]))
    print("taken", flush=True)
    sys.stdin.read()
else:
    ServiceBrowser(zeroconf, KINDS, handlers=[note])
    # An announcement takes a second; where nothing is announced, this is how long it is looked for.
    wait_for(len(KINDS), float(sys.argv[2]))
    if sys.argv[1] == "follow":
        print(f"{len(found)} there", flush=True)
        # Without a goodbye they would be remembered for more than an hour.
        wait_for(0, 20)
        print(f"{len(found)} left", flush=True)
    else:
        for kind, name in sorted(found):
            info = zeroconf.get_service_info(kind, name, 5000)
            print(json.dumps({"kind": kind, "name": name, "host": info.server, "port": info.port, "addresses": info.parsed_addresses()}))
zeroconf.close()
