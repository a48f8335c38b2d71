"""The commands of a node, listed by hand; `svcsim.tools.command.TOOLS` finds them by name."""

from svcsim.tools import filters
from svcsim.tools.command import TOOLS
from svcsim.tools.conntrack import conntrack
from svcsim.tools.ip import ip
from svcsim.tools.ipset import ipset
from svcsim.tools.iptables import iptables
from svcsim.tools.ipvsadm import ipvsadm
from svcsim.tools.proc import cat
from svcsim.tools.sysctl import sysctl

__all__: list[str] = []
