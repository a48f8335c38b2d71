"""
Names of protocols, services and users, as the files under ``/etc`` of a fresh Debian know them.

Rules are written with names and kept as numbers; only a listing without ``-n`` turns numbers into names again.
"""

from __future__ import annotations

__all__ = [
    "group_name",
    "port_number",
    "protocol_name",
    "protocol_number",
    "service_name",
    "user_name",
    "user_number",
]

#: Of two names for one number the first is printed.
_PROTOCOLS = """
ip=0 hopopt=0 icmp=1 igmp=2 ggp=3 ipencap=4 st=5 tcp=6 egp=8 igp=9 pup=12 udp=17 hmp=20 xns-idp=22 rdp=27 iso-tp4=29
dccp=33 xtp=36 ddp=37 idpr-cmtp=38 ipv6=41 ipv6-route=43 ipv6-frag=44 idrp=45 rsvp=46 gre=47 esp=50 ah=51 skip=57
ipv6-icmp=58 ipv6-nonxt=59 ipv6-opts=60 rspf=73 vmtp=81 eigrp=88 ospf=89 ax.25=93 ipip=94 etherip=97 encap=98
pim=103 ipcomp=108 vrrp=112 l2tp=115 isis=124 sctp=132 fc=133 mobility-header=135 udplite=136 mpls-in-ip=137
manet=138 hip=139 shim6=140 wesp=141 rohc=142 ethernet=143
"""

#: Names that iptables knows by itself, without asking the system.
_OWN_PROTOCOLS = {
    "tcp": 6,
    "sctp": 132,
    "udp": 17,
    "udplite": 136,
    "icmp": 1,
    "icmpv6": 58,
    "ipv6-icmp": 58,
    "esp": 50,
    "ah": 51,
    "ipv6-mh": 135,
    "mh": 135,
    "all": 0,
}

#: ``name|alias=port/protocol+protocol``
_SERVICES = """
tcpmux=1/tcp echo=7/tcp+udp discard|sink|null=9/tcp+udp systat|users=11/tcp daytime=13/tcp+udp netstat=15/tcp
qotd|quote=17/tcp chargen|ttytst|source=19/tcp+udp ftp-data=20/tcp ftp=21/tcp fsp|fspd=21/udp ssh=22/tcp
telnet=23/tcp smtp|mail=25/tcp time|timserver=37/tcp+udp whois|nicname=43/tcp tacacs=49/tcp+udp domain=53/tcp+udp
bootps=67/udp bootpc=68/udp tftp=69/udp gopher=70/tcp finger=79/tcp http|www=80/tcp
kerberos|kerberos5|krb5|kerberos-sec=88/tcp+udp iso-tsap|tsap=102/tcp acr-nema|dicom=104/tcp pop3|pop-3=110/tcp
sunrpc|portmapper=111/tcp+udp auth|authentication|tap|ident=113/tcp nntp|readnews|untp=119/tcp ntp=123/udp
epmap|loc-srv=135/tcp netbios-ns=137/udp netbios-dgm=138/udp netbios-ssn=139/tcp imap2|imap=143/tcp snmp=161/tcp+udp
snmp-trap|snmptrap=162/tcp+udp cmip-man=163/tcp+udp cmip-agent=164/tcp+udp mailq=174/tcp xdmcp=177/udp bgp=179/tcp
smux=199/tcp qmtp=209/tcp z3950|wais=210/tcp ipx=213/udp ptp-event=319/udp ptp-general=320/udp pawserv=345/tcp
zserv=346/tcp rpc2portmap=369/tcp+udp codaauth2=370/tcp+udp clearcase|Clearcase=371/udp ldap=389/tcp+udp
svrloc=427/tcp+udp https=443/tcp+udp snpp=444/tcp microsoft-ds=445/tcp kpasswd=464/tcp+udp
submissions|ssmtp|smtps|urd=465/tcp saft=487/tcp isakmp=500/udp rtsp=554/tcp+udp nqs=607/tcp asf-rmcp=623/udp
qmqp=628/tcp ipp=631/tcp ldp=646/tcp+udp exec=512/tcp biff|comsat=512/udp login=513/tcp who|whod=513/udp
shell|cmd|syslog=514/tcp syslog=514/udp printer|spooler=515/tcp talk=517/udp ntalk=518/udp
route|router|routed=520/udp gdomap=538/tcp+udp uucp|uucpd=540/tcp klogin=543/tcp kshell|krcmd=544/tcp
dhcpv6-client=546/udp dhcpv6-server=547/udp afpovertcp=548/tcp nntps|snntp=563/tcp submission=587/tcp
ldaps=636/tcp+udp tinc=655/tcp+udp silc=706/tcp kerberos-adm=749/tcp domain-s=853/tcp+udp rsync=873/tcp
ftps-data=989/tcp ftps=990/tcp telnets=992/tcp imaps=993/tcp pop3s=995/tcp socks=1080/tcp proofd=1093/tcp
rootd=1094/tcp openvpn=1194/tcp+udp rmiregistry=1099/tcp lotusnote|lotusnotes=1352/tcp ms-sql-s=1433/tcp
ms-sql-m=1434/udp ingreslock=1524/tcp datametrics|old-radius=1645/tcp+udp sa-msg-port|old-radacct=1646/tcp+udp
kermit=1649/tcp groupwise=1677/tcp l2f|l2tp=1701/udp radius=1812/tcp+udp radius-acct|radacct=1813/tcp+udp
cisco-sccp=2000/tcp nfs=2049/tcp+udp gnunet=2086/tcp+udp rtcm-sc104=2101/tcp+udp gsigatekeeper=2119/tcp
gris=2135/tcp cvspserver=2401/tcp venus=2430/tcp+udp venus-se=2431/tcp+udp codasrv=2432/tcp+udp
codasrv-se=2433/tcp+udp mon=2583/tcp+udp dict=2628/tcp f5-globalsite=2792/tcp gsiftp=2811/tcp gpsd=2947/tcp
gds-db|gds_db=3050/tcp icpv2|icp=3130/udp isns=3205/tcp+udp iscsi-target=3260/tcp mysql=3306/tcp
ms-wbt-server=3389/tcp nut=3493/tcp+udp distcc=3632/tcp daap=3689/tcp svn|subversion=3690/tcp suucp=4031/tcp
sysrqd=4094/tcp sieve=4190/tcp epmd=4369/tcp remctl=4373/tcp f5-iquery=4353/tcp ntske=4460/tcp ipsec-nat-t=4500/udp
iax=4569/udp mtn=4691/tcp radmin-port=4899/tcp sip=5060/tcp+udp sip-tls=5061/tcp+udp
xmpp-client|jabber-client=5222/tcp xmpp-server|jabber-server=5269/tcp cfengine=5308/tcp mdns=5353/udp
postgresql|postgres=5432/tcp freeciv|rptp=5556/tcp amqps=5671/tcp amqp=5672/tcp+sctp x11|x11-0=6000/tcp
x11-1=6001/tcp x11-2=6002/tcp x11-3=6003/tcp x11-4=6004/tcp x11-5=6005/tcp x11-6=6006/tcp x11-7=6007/tcp
gnutella-svc=6346/tcp+udp gnutella-rtr=6347/tcp+udp redis=6379/tcp sge-qmaster|sge_qmaster=6444/tcp
sge-execd|sge_execd=6445/tcp mysql-proxy=6446/tcp babel=6696/udp ircs-u=6697/tcp bbs=7000/tcp
afs3-fileserver=7000/udp afs3-callback=7001/udp afs3-prserver=7002/udp afs3-vlserver=7003/udp afs3-kaserver=7004/udp
afs3-volser=7005/udp afs3-bos=7007/udp afs3-update=7008/udp afs3-rmtsys=7009/udp font-service|xfs=7100/tcp
http-alt|webcache=8080/tcp puppet=8140/tcp bacula-dir=9101/tcp bacula-fd=9102/tcp bacula-sd=9103/tcp xmms2=9667/tcp
nbd=10809/tcp zabbix-agent=10050/tcp zabbix-trapper=10051/tcp amanda=10080/tcp dicom=11112/tcp hkp=11371/tcp
db-lsp=17500/tcp dcap=22125/tcp gsidcap=22128/tcp wnn6=22273/tcp kerberos4|kerberos-iv|kdc=750/udp+tcp
kerberos-master|kerberos_master=751/udp kerberos-master=751/tcp passwd-server|passwd_server=752/udp
krb-prop|krb_prop|krb5_prop|hprop=754/tcp zephyr-srv=2102/udp zephyr-clt=2103/udp zephyr-hm=2104/udp iprop=2121/tcp
supfilesrv=871/tcp supfiledbg=1127/tcp poppassd=106/tcp moira-db|moira_db=775/tcp moira-update|moira_update=777/tcp
moira-ureg|moira_ureg=779/udp spamd=783/tcp skkserv=1178/tcp predict=1210/udp rmtcfg=1236/tcp xtel=1313/tcp
xtelw=1314/tcp zebrasrv=2600/tcp zebra=2601/tcp ripd=2602/tcp ripngd=2603/tcp ospfd=2604/tcp bgpd=2605/tcp
ospf6d=2606/tcp ospfapi=2607/tcp isisd=2608/tcp fax=4557/tcp hylafax=4559/tcp munin|lrrd=4949/tcp rplay=5555/udp
nrpe=5666/tcp nsca=5667/tcp canna=5680/tcp syslog-tls=6514/tcp sane-port|sane|saned=6566/tcp ircd=6667/tcp
zope-ftp=8021/tcp tproxy=8081/tcp omniorb=8088/tcp clc-build-daemon=8990/tcp xinetd=9098/tcp git=9418/tcp
zope=9673/tcp webmin=10000/tcp kamanda=10081/tcp amandaidx=10082/tcp amidxtape=10083/tcp sgi-cmsd=17001/udp
sgi-crsd=17002/udp sgi-gcd=17003/udp sgi-cad=17004/tcp binkp=24554/tcp asp=27374/tcp+udp csync2=30865/tcp
dircproxy=57000/tcp tfido=60177/tcp fido=60179/tcp
"""

#: The users and groups that are there before anybody adds one.
_USERS = {"root": 0, "daemon": 1, "bin": 2, "sys": 3, "sync": 4, "games": 5, "man": 6, "lp": 7, "mail": 8, "news": 9}
_USERS |= {"uucp": 10, "proxy": 13, "www-data": 33, "backup": 34, "list": 38, "irc": 39, "nobody": 65534}
_GROUPS = {"root": 0, "daemon": 1, "bin": 2, "sys": 3, "adm": 4, "tty": 5, "disk": 6, "lp": 7, "mail": 8, "news": 9}
_GROUPS |= {"uucp": 10, "man": 12, "proxy": 13, "www-data": 33, "users": 100, "nogroup": 65534}


def _read_protocols() -> tuple[dict[str, int], dict[int, str]]:
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    for entry in _PROTOCOLS.split():
        name, _, number = entry.partition("=")
        numbers[name] = int(number)
        names.setdefault(int(number), name)
    return numbers, names


def _read_services() -> tuple[dict[tuple[str, str], int], dict[tuple[int, str], str]]:
    ports: dict[tuple[str, str], int] = {}
    names: dict[tuple[int, str], str] = {}
    for entry in _SERVICES.split():
        spellings, _, where = entry.partition("=")
        port, _, protocols = where.partition("/")
        first, *aliases = spellings.split("|")
        for protocol in protocols.split("+"):
            names.setdefault((int(port), protocol), first)
            for name in (first, *aliases):
                ports.setdefault((name, protocol), int(port))
    return ports, names


_NUMBER_OF, _NAME_OF = _read_protocols()
_PORT_OF, _SERVICE_OF = _read_services()
_USER_OF = {number: name for name, number in _USERS.items()}
_GROUP_OF = {number: name for name, number in _GROUPS.items()}


def protocol_number(name: str) -> int | None:
    """
    The number of a protocol by its name, in lower case.

    >>> protocol_number("icmpv6"), protocol_number("ospf"), protocol_number("none-such")
    (58, 89, None)
    """
    number = _OWN_PROTOCOLS.get(name)
    return _NUMBER_OF.get(name) if number is None else number


def protocol_name(number: int) -> str:
    """
    The name of a protocol as rules are printed with it; its number where it has none.

    >>> protocol_name(58), protocol_name(200)
    ('ipv6-icmp', '200')
    """
    return _NAME_OF.get(number, str(number))


def port_number(name: str, protocol: str = "") -> int | None:
    """
    The port of a service by its name; without *protocol* any protocol's will do.

    >>> port_number("http", "tcp"), port_number("domain"), port_number("http", "udp")
    (80, 53, None)
    """
    if protocol:
        return _PORT_OF.get((name, protocol))
    return next((port for p in ("tcp", "udp", "sctp") if (port := _PORT_OF.get((name, p))) is not None), None)


def service_name(port: int, protocol: str) -> str:
    """The name of a service, or its port as text."""
    return _SERVICE_OF.get((port, protocol), str(port))


def user_number(name: str, *, group: bool = False) -> int | None:
    """The number of a user or *group* by its name."""
    return (_GROUPS if group else _USERS).get(name)


def user_name(number: int) -> str:
    """The name of a user, or its number as text."""
    return _USER_OF.get(number, str(number))


def group_name(number: int) -> str:
    """The name of a group, or its number as text."""
    return _GROUP_OF.get(number, str(number))
