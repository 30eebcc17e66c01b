=== Etcdctl.command
get: at most 15.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=5s get 'it'"'"'s $HOME; a b' -w json

=== Etcdctl.command no json
get: at most 17.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=7s get k

=== Etcdctl.status
endpoint-status: at most 13.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=3s endpoint status -w json

=== Etcdctl.health
endpoint-health: at most 13.0 s, 8388608 bytes, exit codes 0,1
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=3s endpoint health

=== Etcdctl.command plain
get: at most 15.0 s, 8388608 bytes, exit codes 0
podman exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=http://127.0.0.1:2379 -e ETCDCTL_CACERT= -e ETCDCTL_CERT= -e ETCDCTL_KEY= etcd-1 etcdctl --dial-timeout=3s --command-timeout=5s get 'it'"'"'s $HOME; a b' -w json

=== Etcdctl.command no json plain
get: at most 17.0 s, 8388608 bytes, exit codes 0
podman exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=http://127.0.0.1:2379 -e ETCDCTL_CACERT= -e ETCDCTL_CERT= -e ETCDCTL_KEY= etcd-1 etcdctl --dial-timeout=3s --command-timeout=7s get k

=== Etcdctl.status plain
endpoint-status: at most 13.0 s, 8388608 bytes, exit codes 0
podman exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=http://127.0.0.1:2379 -e ETCDCTL_CACERT= -e ETCDCTL_CERT= -e ETCDCTL_KEY= etcd-1 etcdctl --dial-timeout=3s --command-timeout=3s endpoint status -w json

=== Etcdctl.health plain
endpoint-health: at most 13.0 s, 8388608 bytes, exit codes 0,1
podman exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=http://127.0.0.1:2379 -e ETCDCTL_CACERT= -e ETCDCTL_CERT= -e ETCDCTL_KEY= etcd-1 etcdctl --dial-timeout=3s --command-timeout=3s endpoint health

=== Etcdctl.status patient
endpoint-status: at most 19.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=9s endpoint status -w json

=== Etcdctl.health patient
endpoint-health: at most 19.0 s, 8388608 bytes, exit codes 0,1
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=9s endpoint health

=== Etcdctl.members
member-list: at most 15.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=5s member list -w json

=== Etcdctl.alarms
alarm-list: at most 15.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=5s alarm list -w json

=== Etcdctl.hashkv
hashkv: at most 130.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=120s endpoint hashkv --rev=30 -w json

=== Etcdctl.key_count
key-count: at most 70.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=60s get '' --prefix --limit=1 --keys-only -w json

=== Etcdctl.add
member-add: at most 20.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=10s member add n2 --peer-urls=https://b:2380,https://c:2380 -w json
undo: member remove, while it has not started

=== Etcdctl.add learner
member-add: at most 20.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=10s member add n2 --peer-urls=https://b:2380 --learner -w json
undo: member remove, while it has not started

=== Etcdctl.remove
member-remove: at most 20.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=10s member remove beef
undo: it is added anew, as a new member

=== Etcdctl.update
member-update: at most 20.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=10s member update beef --peer-urls=https://b:2380,https://c:2380
undo: member update with the URLs of before

=== Etcdctl.promote
member-promote: at most 20.0 s, 8388608 bytes, exit codes 0
docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=10s member promote beef
undo: member remove

