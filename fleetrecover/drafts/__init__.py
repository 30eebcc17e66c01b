"""Inventories to be: what is known of a fleet from elsewhere → the text of hosts.toml.

`node` asks one etcd node; `rke` reads RKE's cluster.yml and cluster.rkestate, and Rancher's YAML; `ansible` makes sense of
an Ansible inventory, which is read by `ansible_tool` (Ansible itself, where it is installed) or by `ansible_ini`,
`ansible_yaml` and `ansible_json`. `files` says which is which; `draft` writes the result.
"""
