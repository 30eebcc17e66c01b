"""For each step: already done? → journal → act → check → journal. `driver` does stages and knows what a lost connection leaves
open, `asking` how an etcd is asked, `membership` changes the member list, `applier` has the other steps.
"""

from fleetrecover.apply.applier import Applier, let_go
from fleetrecover.apply.asking import member_with, reason_of
from fleetrecover.apply.driver import Events

__all__ = ["Applier", "Events", "let_go", "member_with", "reason_of"]
