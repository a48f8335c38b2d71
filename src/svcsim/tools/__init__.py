"""The commands of a node, listed by hand; `svcsim.tools.command.TOOLS` finds them by name."""

from svcsim.tools import filters
from svcsim.tools.command import TOOLS
from svcsim.tools.conntrack import conntrack
from svcsim.tools.ip import ip
from svcsim.tools.ipset import ipset
from svcsim.tools.iptables import iptables, iptables_restore, iptables_save
from svcsim.tools.ipvsadm import ipvsadm, ipvsadm_restore, ipvsadm_save
from svcsim.tools.proc import cat
from svcsim.tools.sysctl import sysctl

__all__ = ["TOOLS"]

for _tool in (
    conntrack,
    ip,
    ipset,
    ipvsadm,
    cat,
    sysctl,
    filters.echo,
    filters.grep,
    filters.head,
    filters.sleep,
    filters.sort,
    filters.tail,
    filters.wc,
    filters.true,
    filters.false,
):
    TOOLS.add(_tool.__name__, _tool)
TOOLS.add("ipvsadm-save", ipvsadm_save)
TOOLS.add("ipvsadm-restore", ipvsadm_restore)
TOOLS.add("egrep", filters.grep)
TOOLS.add("fgrep", filters.grep)
TOOLS.add(":", filters.true)
for _family in ("iptables", "ip6tables"):
    for _variant in ("", "-legacy", "-nft"):  # one set of rules under all three names
        TOOLS.add(f"{_family}{_variant}", iptables)
        TOOLS.add(f"{_family}{_variant}-restore", iptables_restore)
        TOOLS.add(f"{_family}{_variant}-save", iptables_save)
