"""Bring a Docker-run etcd cluster back from permanent quorum loss, and prove that nothing was lost."""

__version__ = "0.1.0"
