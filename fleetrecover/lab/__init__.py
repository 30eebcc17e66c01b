"""The rehearsal fleet: real hosts on one Linux machine.

from fleetrecover.lab import Lab

lab = Lab.up("demo", nodes=3, etcd="3.4.23")
lab.power_off("etcd2", "etcd3")
lab.down()
"""

from fleetrecover.lab.client import Client, EtcdFailed, Verdict, Writer
from fleetrecover.lab.fleet import HostStatus, Lab, LabStatus
from fleetrecover.lab.host import LabHost
from fleetrecover.lab.system import LabError, MissingTools

__all__ = [
    "Client",
    "EtcdFailed",
    "HostStatus",
    "Lab",
    "LabError",
    "LabHost",
    "LabStatus",
    "MissingTools",
    "Verdict",
    "Writer",
]
