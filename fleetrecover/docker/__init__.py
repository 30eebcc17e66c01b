"""`docker inspect` ↔ a typed container spec ↔ `docker run`, and etcd's configuration within it. Pure: no I/O.

inspect JSON ── spec.from_inspect ──→ ContainerSpec ──→ argv.to_argv, argv.render, argv.to_json
docker run … ── argv.from_argv ─────→      │
                                           ├─ etcd_config.EtcdConfig: what etcd makes of its flags and environment
                                           └─ rewrite: quarantine, plain, joiner, exchange_identity
"""
