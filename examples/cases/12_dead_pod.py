"""
A pod that does not answer, though it is ready.

Between a node's death and its endpoints' removal lie tens of seconds. The iptables and ipvs modes have long let go of the
packet when it gets lost: every third connection of three pods hangs until the client tries again, and its retries go
to the same pod, because the connection is tracked. The userspace mode dials itself, and after 250 ms it dials another pod.

Discussed at https://github.com/kubernetes/kubernetes/issues/101607

It prints::

    iptables: {'answered': 37, 'silence': 23}
      the client tries again after a second: silence
      and when the endpoint is gone: silence
      new connections then: {'answered': 60}
    ipvs: {'answered': 40, 'silence': 20}
      the client tries again after a second: silence
      and when the endpoint is gone: silence
      new connections then: {'answered': 60}
    userspace: answered within 0.3 s: 60 of 60
"""

from collections import Counter

from svcsim.cluster import Sketch
from svcsim.connection import Answer


def main() -> None:
    """Stop one of three pods; then let the endpoints change."""
    for mode in ("iptables", "ipvs"):
        sketch = Sketch("a")
        sketch.pod("client")
        sketch.service("web", {80: 8080}, {f"web-{number}": "a" for number in range(3)})
        cluster = sketch.cluster(mode=mode, seed=2)
        cluster.stop("web-0")
        calls = [cluster.connect("client", "web") for _ in range(60)]
        print(f"{mode}: {dict(sorted(Counter(call.heard.value for call in calls).items()))}")
        hanging = next(call for call in calls if not call.backend)
        cluster.advance(1)
        hanging.opened()
        print(f"  the client tries again after a second: {hanging.heard.value}")
        cluster.apply(sketch.endpoints("web", ["web-1", "web-2"]))
        cluster.advance(2)
        hanging.opened()
        print(f"  and when the endpoint is gone: {hanging.heard.value}")
        later = Counter(cluster.connect("client", "web").heard.value for _ in range(60))
        print(f"  new connections then: {dict(later)}")
    cluster = sketch.cluster(mode="userspace", seed=2)
    cluster.stop("web-0")
    asked = [cluster.connect("client", "web") for _ in range(60)]
    heard = Counter((call.request() is Answer.ANSWERED or call.wait(0.3) is Answer.ANSWERED) for call in asked)
    print(f"userspace: answered within 0.3 s: {heard[True]} of {len(asked)}")


if __name__ == "__main__":
    main()
