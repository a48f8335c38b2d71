"""Valid texts of every kind that is parsed, and ways to spoil them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["COMMANDS", "CONNTRACK_LISTING", "RESTORE", "SETS", "spoiled"]

RESTORE = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [5:400]
:OUTPUT ACCEPT [0:0]
:web - [0:0]
[1:60] -A FORWARD -d 10.0.0.0/8 -p tcp -m tcp --dport 80:90 -m comment --comment "to \\"web\\"" -j web
-A web ! -i eth0 -m conntrack --ctstate NEW,ESTABLISHED -m limit --limit 5/sec -j ACCEPT
-A web -p udp -m multiport --dports 1,2:5 -m mark --mark 0x4000/0x4000 -j REJECT --reject-with icmp-port-unreachable
-A web -m iprange --src-range 10.0.0.1-10.0.0.9 -j LOG --log-prefix "a b"
COMMIT
*nat
-A PREROUTING -p udp -m udp --dport 53 -j DNAT --to-destination 10.0.0.5-10.0.0.9:5353
-A POSTROUTING -s 10.0.0.0/8 -p tcp -j MASQUERADE --to-ports 1024-2048
COMMIT
"""
SETS = """create a hash:ip family inet hashsize 1024 maxelem 65536 timeout 30 counters comment
create n hash:net,iface family inet
create p bitmap:port range 0-1024
create l list:set size 8
add a 10.0.0.1 timeout 5 packets 1 bytes 2 comment "x y"
add n 10.0.0.0/8,eth0 nomatch
add p 80-90
add l a
"""
CONNTRACK_LISTING = """tcp      6 431999 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=7000 dport=80 src=10.2.0.2 dst=10.1.0.2 sport=80 dport=7000 [ASSURED] mark=0 use=1
icmp     1 29 src=10.1.0.2 dst=10.2.0.2 type=8 code=0 id=1 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 type=0 code=0 id=1 mark=5 use=1
"""
SERVICES = """-A -t 10.96.0.10:80 -s wrr -p 300 -M 255.255.255.0
-a -t 10.96.0.10:80 -r 10.0.0.5:8080 -m -w 3 -x 10 -y 5
-A -f 7 -s sh -b sh-port
-a -f 7 -r 10.0.0.6 -i -w 1
"""

#: Lines that a node takes, some of each tool; what is piped in stands in a here-document.
COMMANDS = (
    "iptables -A FORWARD -s 10.0.0.0/8 ! -d 10.1.2.3 -p tcp -m tcp --tcp-flags SYN,ACK SYN -j DROP",
    "iptables -t nat -I PREROUTING 1 -p udp --dport 53 -j DNAT --to-destination 10.0.0.9:5353",
    "ip6tables -A INPUT -p icmpv6 -m icmp6 --icmpv6-type 128 -m hl --hl-gt 5 -j ACCEPT",
    "iptables -N c; iptables -E c d; iptables -L -nv --line-numbers; iptables -D FORWARD 1; iptables -X d",
    f"iptables-restore -c <<'E'\n{RESTORE}E",
    "ipset create s hash:ip,port,net family inet maxelem 10 timeout 5",
    "ipset add a 10.0.0.1-10.0.0.9 timeout 5 -exist; ipset test a 10.0.0.3; ipset list -o xml",
    f"ipset restore <<'E'\n{SETS}E",
    "ipvsadm -A -t 10.96.0.10:80 -s sed -p 600; ipvsadm -a -t 10.96.0.10:80 -r 10.0.0.5:8080 -m -w 3",
    "ipvsadm -E -u [2001:db8::1]:53 -s mh -b mh-port; ipvsadm -Ln --stats --exact; ipvsadm -Z; ipvsadm -Sn",
    f"ipvsadm -R <<'E'\n{SERVICES}E",
    "ip addr add 192.0.2.1/24 dev eth0; ip route add default via 192.0.2.254 metric 5 table 7; ip -6 route show table all",
    "ip rule add fwmark 0x1/0xff lookup 100 pref 5; ip route get 10.0.0.1 from 10.0.0.2 iif eth0 mark 3; ip -o link",
    "sysctl -w net.ipv4.ip_forward=1 net/netfilter/nf_conntrack_max=100; sysctl -a -r 'conntrack.*tcp'",
    "conntrack -I -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 80 --state ESTABLISHED -t 100 -n 10.0.0.9:5",
    "conntrack -L -p udp --dport 53 -o extended,id; conntrack -D -s 10.0.0.0/8; conntrack -U -f ipv4 -m 5/7",
    "conntrack -R - <<'E'\n-A -p udp -s 10.0.0.1 -d 10.0.0.2 --sport 3 --dport 53 -t 100\nE",
    "echo a b | grep -E -o '(a|b)+[^[:space:]]{1,3}$' | sort -rn | head -n -1 | tail -n +2 | wc -l",
    "for i in 1 2 'a b' \"$x\"; do echo $i ${i} >/dev/null 2>&1 || false; done && ! true; cat /proc/net/nf_conntrack",
    "cat <<E | grep -c x\nx $y\nE",
)  # fmt: skip

_WORDS = st.sampled_from(
    [
        "", " ", "-", "--", "!", "\0", "\n", '"', "'", "\\", ",", "/", ":", "-1", "0", "99999999999999999999", "0x", "[",
        "10.0.0.0/0", "255.255.255.255", "::", "::/0", "1-2-3", "*", "$(x)", "`", ";", "|", "<<E", "((((", "é",
        "eth0", "%s", "a" * 300, "1" * 40, "-j", "-m", "-A", "-exist", "/33", "-p", "٣", "\x7f", "{", "\\(", "=",
    ]
)  # fmt: skip


@st.composite
def spoiled(draw: Any, text: str) -> str:
    """*text* with a few places cut out, doubled, exchanged or filled with something else."""
    for _ in range(draw(st.integers(1, 4))):
        words = text.split(" ")
        at = draw(st.integers(0, len(words) - 1))
        other = draw(st.integers(0, len(words) - 1))
        how = draw(st.sampled_from(["drop", "double", "swap", "replace", "insert", "cut", "character"]))
        if how == "drop":
            del words[at]
        elif how == "double":
            words.insert(at, words[other])
        elif how == "swap":
            words[at], words[other] = words[other], words[at]
        elif how == "replace":
            words[at] = draw(_WORDS)
        elif how == "insert":
            words[at] += draw(_WORDS)
        text = " ".join(words)
        place = draw(st.integers(0, len(text)))
        if how == "cut":
            text = text[:place]
        elif how == "character":
            text = text[:place] + draw(st.characters(codec="utf-8")) + text[place + 1 :]
    return text
