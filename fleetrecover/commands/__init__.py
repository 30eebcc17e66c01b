"""PURE: the only place where a remote command is spelled.

`probes` read, `actions` write, `etcdctl` asks etcd. Nothing here runs anything: each function returns a Command, a Probe
or an Action, and `remote/` carries it.
"""
