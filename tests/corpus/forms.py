"""The forms in which each match can be written, as rules that only count."""

from __future__ import annotations

from scenario import Site

__all__ = ["FORMS", "FORMS4", "FORMS6", "NOT_IN_SIX", "RARE", "words_of"]

#: The forms of each match as counting rules of FORWARD; {near} and so on are the site's. A form that begins with a
#: chain's name stands in that chain.
FORMS = {
    "tcp": (
        "-p tcp -m tcp --dport 80",
        "-p tcp -m tcp ! --dport 80",
        "-p tcp -m tcp --dport 50:90",
        "-p tcp -m tcp --sport 1024:",
        "-p tcp -m tcp ! --sport :40010 --dport 443",
        "-p tcp -m tcp --syn",
        "-p tcp -m tcp ! --syn",
        "-p tcp -m tcp --tcp-flags ALL NONE",
        "-p tcp -m tcp --tcp-flags SYN,FIN SYN,FIN",
        "-p tcp -m tcp ! --tcp-flags ACK,URG,PSH ACK",
        "-p tcp -m tcp --tcp-option 2",
        "-p tcp -m tcp ! --tcp-option 8",
        "! -p tcp",
        "-p tcp",
    ),
    "udp": (
        "-p udp -m udp --dport 53",
        "-p udp -m udp ! --dport 53",
        "-p udp -m udp --sport 40000:40015",
        "-p udp -m udp ! --sport 40000:40015 ! --dport 22:80",
        "-p udp -m udp --dport :80",
        "! -p udp",
        "-p udp -m udp --sport 0:65535",
    ),
    "multiport": (
        "-p tcp -m multiport --dports 22,80",
        "-p tcp -m multiport ! --dports 22,80",
        "-p udp -m multiport --ports 53,40000:40010",
        "-p tcp -m multiport --sports 1:39999,40003,40005:40008",
        "-p udp -m multiport ! --ports 53,80,443",
        "-p tcp -m multiport --ports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,443",
        "-p sctp -m multiport --dports 80",
    ),
    "conntrack": (
        "-m conntrack --ctstate NEW",
        "-m conntrack ! --ctstate NEW",
        "-m conntrack --ctstate ESTABLISHED,RELATED",
        "-m conntrack --ctstate INVALID",
        "-m conntrack ! --ctstate INVALID",
        "-m conntrack --ctstate UNTRACKED",
        "-m conntrack --ctproto 17",
        "-m conntrack ! --ctproto 6",
        "-m conntrack --ctorigsrc {near}0/24",
        "-m conntrack ! --ctorigsrc {near}45",
        "-m conntrack --ctorigdst {pod}16/28",
        "-m conntrack --ctreplsrc {pod}0/24",
        "-m conntrack ! --ctrepldst {far}0/24",
        "-m conntrack --ctorigsrcport 40000:40012",
        "-m conntrack --ctorigdstport 80 --ctproto tcp",
        "-m conntrack ! --ctreplsrcport 53",
        "-m conntrack --ctrepldstport 40000:40004",
        "-m conntrack --ctstatus SEEN_REPLY",
        "-m conntrack ! --ctstatus CONFIRMED",
        "-m conntrack --ctstatus ASSURED,EXPECTED",
        "-m conntrack --ctstatus NONE",
        "-m conntrack --ctexpire 20:130",
        "-m conntrack ! --ctexpire 1:31",
        "-m conntrack --ctdir ORIGINAL",
        "-m conntrack --ctdir REPLY --ctstate ESTABLISHED",
        "-m conntrack --ctstate DNAT",
        "-m conntrack ! --ctstate SNAT,DNAT",
    ),
    "state": (
        "-m state --state NEW",
        "-m state ! --state NEW",
        "-m state --state RELATED,ESTABLISHED",
        "-m state --state INVALID,UNTRACKED",
    ),
    "mark": (
        "-m mark --mark 0x1",
        "-m mark ! --mark 0x1",
        "-m mark --mark 0x2/0x3",
        "-m mark --mark 0x10/0x0f",
        "-m mark ! --mark 0x0/0xff",
        "-m mark --mark 0x4000/0x4000",
        "-m mark --mark 0xffffffff",
        "-m mark --mark 4294967295",
    ),
    "connmark": (
        "-m connmark --mark 0x1",
        "-m connmark ! --mark 0x1",
        "-m connmark --mark 0x2/0x3",
        "-m connmark ! --mark 0x0/0xffff",
        "-m connmark --mark 0x0",
    ),
    "statistic": (
        "-m statistic --mode nth --every 3 --packet 0",
        "-m statistic --mode nth --every 3 --packet 2",
        "-m statistic --mode nth ! --every 4 --packet 1",
        "-m statistic --mode nth --every 1 --packet 0",
        "-m statistic --mode random --probability 1",
        "-m statistic --mode random --probability 0",
        "-m statistic --mode random ! --probability 1.0",
        "-p udp -m statistic --mode nth --every 2 --packet 1",
        "-m statistic --mode random --probability 0.9999999999",
        "-m mark --mark 0x1 -m statistic --mode nth --every 2 --packet 0",
    ),
    "addrtype": (
        "-m addrtype --dst-type LOCAL",
        "-m addrtype ! --dst-type LOCAL",
        "-m addrtype --src-type UNICAST --dst-type UNICAST",
        "-m addrtype --dst-type BROADCAST,MULTICAST",
        "-m addrtype ! --src-type LOCAL",
        "INPUT -m addrtype --dst-type LOCAL",
        "INPUT -m addrtype ! --dst-type LOCAL",
        "INPUT -m addrtype --dst-type LOCAL --limit-iface-in",
        "INPUT -m addrtype ! --dst-type LOCAL --limit-iface-in",
        "OUTPUT -m addrtype --src-type LOCAL --limit-iface-out",
        "OUTPUT -m addrtype ! --src-type LOCAL --dst-type UNICAST",
        "OUTPUT -m addrtype --dst-type LOCAL",
        "FORWARD -m addrtype --dst-type UNICAST --limit-iface-in",
        "INPUT -m addrtype --dst-type BROADCAST",
        "INPUT -m addrtype --dst-type MULTICAST",
        "-m addrtype --src-type BLACKHOLE,PROHIBIT,UNREACHABLE,THROW",
    ),
    "iprange": (
        "-m iprange --src-range {near}40-{near}45",
        "-m iprange ! --src-range {near}40-{near}45",
        "-m iprange --dst-range {pod}15-{pod}20",
        "-m iprange --src-range {near}44-{near}44 --dst-range {pod}0-{pod}255",
        "-m iprange ! --src-range {far}0-{far}255 ! --dst-range {pod}10-{pod}12",
    ),
    "length": (
        "-m length --length 20:60",
        "-m length ! --length 20:60",
        "-m length --length 40",
        "-m length --length 61:",
        "-m length --length :39",
        "-m length ! --length 65535",
    ),
    "tos": (
        "-m tos --tos 0x10",
        "-m tos ! --tos 0x10",
        "-m tos --tos 0x08/0x08",
        "-m tos --tos Minimize-Delay",
        "-m tos ! --tos 0x00/0x1e",
        "-m tos --tos 0xb8/0xfc",
    ),
    "dscp": (
        "-m dscp --dscp 0",
        "-m dscp ! --dscp 0",
        "-m dscp --dscp-class EF",
        "-m dscp --dscp 10",
        "-m dscp ! --dscp-class AF11",
        "-m dscp --dscp 0x04",
    ),
    "u32": (
        "-m u32 --u32 0>>22&0x3c@0&0xffff=80",
        "-m u32 --u32 0&0xffff=0x28:0x40",
        "-m u32 --u32 8&0xff0000=0x60000,0x110000",
        "-m u32 ! --u32 4&0x1fff=0",
        "-m u32 --u32 0>>22&0x3c@12>>26&0x3c@0=0x64646464",
        "-m u32 --u32 200=0",
        "-m u32 --u32 8>>24=64&&0&0xff0000=0",
    ),
    "limit": (
        "-m limit --limit 1/hour --limit-burst 3",
        "-m limit --limit 3/min",
        "-m limit --limit 10/day --limit-burst 1",
        "-p udp -m limit --limit 2/min --limit-burst 4",
        "-m limit",
        "-m limit --limit 1/min --limit-burst 12",
    ),
    "owner": (
        "OUTPUT -m owner --uid-owner 0",
        "OUTPUT -m owner ! --uid-owner 0",
        "OUTPUT -m owner --uid-owner 1-60000",
        "OUTPUT -m owner --gid-owner 0",
        "OUTPUT -m owner ! --gid-owner 5-10",
        "OUTPUT -m owner --socket-exists",
        "OUTPUT -m owner ! --socket-exists",
        "OUTPUT -m owner --uid-owner 0 --gid-owner 7",
    ),
    "physdev": (
        "-m physdev --physdev-in {uplink}",
        "-m physdev ! --physdev-in {uplink}",
        "-m physdev ! --physdev-is-bridged",
        "-m physdev --physdev-is-in",
        "-m physdev ! --physdev-is-out ! --physdev-out {pods}",
    ),
    "comment": (
        "-m comment --comment plain",
        '-m comment --comment "two words"',
        '-m comment --comment "it\'s a \\"quote\\""',
        '-m comment --comment "a:b/c_d-e.f"',
        "-m comment --comment " + "c" * 255,
        '-m comment --comment "\\\\ back"',
        '-m comment --comment ""',
    ),
    "ends": (
        "-s {near}44",
        "! -s {near}44",
        "-s {near}0/25 -d {pod}16/28",
        "-d {pod}17/255.255.0.255",
        "! -d {gateway}/{pod_bits}",
        "-i {uplink}",
        "! -i {uplink}",
        "-i {up}+ -o {pods}",
        "! -o {po}+",
        "-i +",
        "-s 0.0.0.0/0 -d 0.0.0.0/0",
        "-s 1.0.0.0/1",
        "-p 1",
        "-p all",
        "! -p icmp",
        "-p 250",
        "INPUT -i {uplink} -d {node}",
        "OUTPUT -o {uplink} -s {node}",
        "OUTPUT ! -o lo",
        "-f",
        "! -f",
    ),
}
FORMS4 = {
    "icmp": (
        "-p icmp -m icmp --icmp-type 8",
        "-p icmp -m icmp ! --icmp-type 8",
        "-p icmp -m icmp --icmp-type any",
        "-p icmp -m icmp ! --icmp-type any",
        "-p icmp -m icmp --icmp-type 3/3",
        "-p icmp -m icmp --icmp-type 3",
        "-p icmp -m icmp --icmp-type host-unreachable",
        "-p icmp -m icmp --icmp-type echo-reply",
        "-p icmp -m icmp ! --icmp-type 3/1",
        "-p icmp -m icmp --icmp-type ttl-exceeded",
        "-p icmp -m icmp --icmp-type redirect",
    ),
    "ttl": (
        "-m ttl --ttl-eq 64",
        "-m ttl ! --ttl-eq 63",
        "-m ttl --ttl-eq 63",
        "-m ttl --ttl-lt 64",
        "-m ttl --ttl-gt 64",
        "INPUT -m ttl --ttl-eq 64",
        "-m ttl --ttl-gt 0",
    ),
    "sctp": (
        "-p sctp -m sctp --dport 80",
        "-p sctp -m sctp ! --sport 5000:6000",
        "-p sctp -m sctp --chunk-types any INIT",
        "-p sctp -m sctp --chunk-types all DATA,SACK",
        "-p sctp -m sctp --chunk-types only INIT",
        "-p sctp -m sctp ! --chunk-types any DATA:Be",
        "-p sctp -m sctp ! --chunk-types only ABORT",
    ),
    "rpfilter": (
        "PREROUTING -m rpfilter",
        "PREROUTING -m rpfilter --invert",
        "PREROUTING -m rpfilter --loose",
        "PREROUTING -m rpfilter --accept-local",
        "PREROUTING -m rpfilter --validmark --invert",
        "PREROUTING -m rpfilter --loose --invert",
    ),
}
FORMS6 = {
    "icmp6": (
        "-p ipv6-icmp -m icmp6 --icmpv6-type 128",
        "-p ipv6-icmp -m icmp6 ! --icmpv6-type 128",
        "-p ipv6-icmp -m icmp6 --icmpv6-type 1/4",
        "-p ipv6-icmp -m icmp6 --icmpv6-type 1",
        "-p ipv6-icmp -m icmp6 --icmpv6-type echo-reply",
        "-p ipv6-icmp -m icmp6 --icmpv6-type packet-too-big",
    ),
    "hl": ("-m hl --hl-eq 64", "-m hl ! --hl-eq 63", "-m hl --hl-lt 64", "-m hl --hl-gt 64", "INPUT -m hl --hl-eq 64"),
    "rpfilter": (
        "PREROUTING -m rpfilter",
        "PREROUTING -m rpfilter --invert",
        "PREROUTING -m rpfilter --loose",
        "PREROUTING -m rpfilter --accept-local",
    ),
}
RARE = {
    "connbytes": (
        "-m connbytes --connbytes 2: --connbytes-dir both --connbytes-mode packets",
        "-m connbytes --connbytes 60:100 --connbytes-dir original --connbytes-mode bytes",
        "-m connbytes ! --connbytes 1:2 --connbytes-dir reply --connbytes-mode packets",
        "-m connbytes --connbytes 20:45 --connbytes-dir both --connbytes-mode avgpkt",
    ),
    "connlimit": (
        "-m connlimit --connlimit-above 2",
        "-m connlimit --connlimit-upto 3 --connlimit-mask 24",
        "-p tcp -m connlimit --connlimit-above 4 --connlimit-mask 0 --connlimit-daddr",
    ),
    "quota": ("-m quota --quota 300", "-m quota ! --quota 200", "-p udp -m quota --quota 100"),
    "string": (
        "-m string --algo bm --string query",
        "-m string --algo kmp --string dd --from 20",
        "-m string --algo bm --hex-string |6565|",
        "-m string --algo kmp --string D --icase",
        "-m string --algo bm --string u --from 28 --to 29",
        "-m string --algo bm ! --string d",
    ),
    "pkttype": (
        "-m pkttype --pkt-type unicast",
        "-m pkttype ! --pkt-type unicast",
        "-m pkttype --pkt-type broadcast",
        "INPUT -m pkttype --pkt-type multicast",
    ),
    "devgroup": (
        "-m devgroup --src-group 7",
        "-m devgroup --dst-group 0",
        "-m devgroup ! --src-group 7 --dst-group 0x1/0x1",
    ),
    "helper": ("-m helper --helper ftp", "-m helper ! --helper ftp", '-m helper --helper ""'),
    "mac": ("-m mac --mac-source 02:00:00:00:00:01", "-m mac ! --mac-source 02:00:00:00:00:01"),
    "esp": (
        "-p esp -m esp --espspi 100:200",
        "-p esp -m esp ! --espspi 150",
        "-p ah -m ah --ahspi 5",
        "-p ah -m ah ! --ahspi 6:9",
    ),
    "tcpmss": (
        "-p tcp -m tcp --tcp-flags SYN,RST SYN -m tcpmss --mss 1000:1460",
        "-p tcp -m tcp --tcp-flags SYN,RST SYN -m tcpmss ! --mss 500:600",
    ),
    "ecn": (
        "-m ecn --ecn-ip-ect 0",
        "-m ecn --ecn-ip-ect 3",
        "-p tcp -m ecn --ecn-tcp-cwr",
        "-p tcp -m ecn ! --ecn-tcp-ece",
    ),
}


#: What IPv6 has no word for.
NOT_IN_SIX = ("-f", "BROADCAST", "BROADCAST,MULTICAST", "BLACKHOLE,PROHIBIT,UNREACHABLE,THROW")

#: What IPv6 writes otherwise.
_IN_SIX = (
    ("-m icmp ", ""), ("! -p icmp", "! -p ipv6-icmp"), ("{near}0/25", "{near}0/121"), ("{pod}16/28", "{pod}10/124"),
    ("{near}0/24", "{near}/64"), ("{pod}0/24", "{pod}0/112"), ("{far}0/24", "{far}/64"), ("{pod}255", "{pod}ff"),
    ("{pod}17/255.255.0.255", "{pod}17/ffff::ff"), ("0.0.0.0/0", "::/0"), ("1.0.0.0/1", "8000::/1"),
    ("{far}255", "{far}ff"),
)  # fmt: skip


def words_of(form: str, site: Site, six: bool) -> tuple[str, str]:
    """Return the chain of *form* and the words of its rule, at *site*."""
    places = dict(vars(site), up=site.uplink[:2], po=site.pods[:2])
    chain, _, rest = form.partition(" ")
    chain, words = (chain, rest) if chain.isupper() else ("FORWARD", form)
    if six:
        for four, other in _IN_SIX:
            words = words.replace(four, other)
        places |= {"near": site.near6, "far": site.far6, "pod": site.pod6, "gateway": site.gateway6, "node": site.node6}
        places |= {"pod_bits": 64}
    return chain, words.format(**places)
