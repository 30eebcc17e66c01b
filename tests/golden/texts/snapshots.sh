=== adopt_restored
adopt-restored: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
[ ! -e /d.keep/r1/adopted ] || exit 0
if [ -e /d/member ]; then [ ! -e /d.keep/r1/restored/member ] || exit 65; else
  mv /d.keep/r1/restored/member /d/member
fi
rmdir /d.keep/r1/restored 2>/dev/null || true
: > /d.keep/r1/adopted
sync -f /d 2>/dev/null || sync
undo: mv /d/member away, then the original back

=== restore_state
restore-state: at most 20.0 s, 8388608 bytes, exit codes 0
[ ! -e /d.keep/r1/snapshot.db ] || echo part=snapshot.db
[ ! -e /d.keep/r1/adopted ] || echo part=adopted
[ ! -d /d.keep/r1/restored/member ] || echo part=restored
[ ! -d /d.keep/r1/trial/member ] || echo part=trial
[ ! -d /d.keep/r1/original/member ] || echo part=original
[ ! -e /d.keep/r1/original/no-member ] || echo part=original
[ ! -f /d.keep/r1/restore.json ] || { printf 'note='; tr -d '\n' < /d.keep/r1/restore.json; echo; }
[ ! -f /d.keep/r1/trial.json ] || { printf 'trial='; tr -d '\n' < /d.keep/r1/trial.json; echo; }
[ ! -f /d.keep/r1/stopped ] || sed 's/^/stopped=/' /d.keep/r1/stopped

=== adopt_restored wal apart
adopt-restored: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
[ ! -e /d.keep/r1/adopted ] || exit 0
if [ -e /d/member ]; then [ ! -e /d.keep/r1/restored/member ] || exit 65; else
  if [ -e /d.keep/r1/restored/member/wal ]; then
    if [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; then
      diff -rq /d.keep/r1/restored/member/wal /fast/wal >&2 || exit 65
    else
      [ ! -L /fast/wal.fleetrecover ] || exit 72
      mkdir -p /fast/wal.fleetrecover/r1
      [ "$(stat -c %u /fast/wal.fleetrecover)" = "$(id -u)" ] || exit 72
      chmod 700 /fast/wal.fleetrecover /fast/wal.fleetrecover/r1
      rm -rf -- /fast/wal.fleetrecover/r1/incoming
      need=$(( $(du -sk /d.keep/r1/restored/member/wal | cut -f1) + 1024 ))
      free=$(df -Pk /fast | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
      case $free in ""|*[!0-9]*) free=unknown ;; esac
      if [ "$free" = unknown ] || [ "$free" -lt "$need" ]; then echo "$need KiB needed, $free KiB free in" /fast >&2; exit 69; fi
      cp -a /d.keep/r1/restored/member/wal /fast/wal.fleetrecover/r1/incoming
      diff -rq /d.keep/r1/restored/member/wal /fast/wal.fleetrecover/r1/incoming >&2 || exit 70
      chcon -R --reference=/fast/wal.fleetrecover/r1/original /fast/wal.fleetrecover/r1/incoming 2>/dev/null || true
      sync
      rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
      mv /fast/wal.fleetrecover/r1/incoming /fast/wal
      sync
    fi
    rm -rf -- /d.keep/r1/restored/wal-put; mv /d.keep/r1/restored/member/wal /d.keep/r1/restored/wal-put; sync
  fi
  [ -n "$(ls -A /fast/wal 2>/dev/null)" ] || exit 70
  rm -rf -- /d.keep/r1/restored/wal-put
  mv /d.keep/r1/restored/member /d/member
fi
rmdir /d.keep/r1/restored 2>/dev/null || true
: > /d.keep/r1/adopted
sync -f /d 2>/dev/null || sync
undo: mv /d/member away, then the original back

=== restore_state wal apart
restore-state: at most 20.0 s, 8388608 bytes, exit codes 0
[ ! -e /d.keep/r1/snapshot.db ] || echo part=snapshot.db
[ ! -e /d.keep/r1/adopted ] || echo part=adopted
[ ! -d /d.keep/r1/restored/member ] || echo part=restored
[ ! -d /d.keep/r1/trial/member ] || echo part=trial
[ ! -d /d.keep/r1/original/member ] || echo part=original
[ ! -e /d.keep/r1/original/no-member ] || echo part=original
[ ! -f /d.keep/r1/restore.json ] || { printf 'note='; tr -d '\n' < /d.keep/r1/restore.json; echo; }
[ ! -f /d.keep/r1/trial.json ] || { printf 'trial='; tr -d '\n' < /d.keep/r1/trial.json; echo; }
[ ! -f /d.keep/r1/stopped ] || sed 's/^/stopped=/' /d.keep/r1/stopped

=== restore_into
restore-restored: at most 240.1048576 s, 8388608 bytes, exit codes 0
set -eu
[ ! -d /d.keep/r1/restored/member ] || exit 0
rm -rf -- /d.keep/r1/restored.partial /d.keep/r1/restored
free=$(df -Pk /d.keep/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 72704 ]; then echo "72704 KiB needed, $free KiB free" >&2; exit 69; fi
[ -s /d.keep/r1/snapshot.db ]
docker run --rm --network=none --security-opt=label=disable -e ETCDCTL_API=3 --user 0:0 -v /d.keep/r1:/run-of-ours --entrypoint etcdctl etcd:v3 snapshot restore /run-of-ours/snapshot.db --data-dir=/run-of-ours/restored.partial --name=n1 --initial-cluster=n1=https://a:2380,n2=u --initial-cluster-token=t --initial-advertise-peer-urls=https://a:2380,https://b:2380 >/dev/null
[ -s /d.keep/r1/restored.partial/member/snap/db ]
chown -R 0:0 /d.keep/r1/restored.partial
chmod 700 /d.keep/r1/restored.partial
sync -f /d.keep/r1/restored.partial 2>/dev/null || sync
mv /d.keep/r1/restored.partial /d.keep/r1/restored
sync -f /d.keep/r1 2>/dev/null || sync
undo: rm -rf /d.keep/r1/restored (made from the snapshot)

=== restore_into raised
restore-restored: at most 240.1048576 s, 8388608 bytes, exit codes 0
set -eu
[ ! -d /d.keep/r1/restored/member ] || exit 0
rm -rf -- /d.keep/r1/restored.partial /d.keep/r1/restored
free=$(df -Pk /d.keep/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 72704 ]; then echo "72704 KiB needed, $free KiB free" >&2; exit 69; fi
[ -s /d.keep/r1/snapshot.db ]
docker run --rm --network=none --security-opt=label=disable -e ETCDCTL_API=3 --user 0:0 -v /d.keep/r1:/run-of-ours --entrypoint etcdutl etcd:v3 snapshot restore /run-of-ours/snapshot.db --data-dir=/run-of-ours/restored.partial --name=n1 --initial-cluster=n1=https://a:2380,n2=u --initial-cluster-token=t --initial-advertise-peer-urls=https://a:2380,https://b:2380 --bump-revision=1000000000 --mark-compacted >/dev/null
[ -s /d.keep/r1/restored.partial/member/snap/db ]
chown -R 0:0 /d.keep/r1/restored.partial
chmod 700 /d.keep/r1/restored.partial
sync -f /d.keep/r1/restored.partial 2>/dev/null || sync
mv /d.keep/r1/restored.partial /d.keep/r1/restored
sync -f /d.keep/r1 2>/dev/null || sync
undo: rm -rf /d.keep/r1/restored (made from the snapshot)

=== boot_proof
boot-trial: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
docker run --detach --name=etcd-q --network=none --restart=no --security-opt=label=disable --user=0:0 --label=fleetrecover.run=r1 --label=fleetrecover.role=quarantine --env=A=1 -v /d.keep/r1/trial:/trial --entrypoint etcd etcd:v3 --name=trial --data-dir=/trial --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=trial=http://127.0.0.1:2380 --heartbeat-interval=20 --election-timeout=200 >/dev/null
undo: the container is removed

=== digest
snapshot-digest: at most 60.0524288 s, 8388608 bytes, exit codes 0
sha() { if command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d' ' -f1; }
[ "$(stat -L -c %s /f)" = 1048576 ] || { echo "its size changed" >&2; exit 1; }
sha < /f
printf ''; echo

=== digest no checksum
snapshot-digest: at most 60.0524288 s, 8388608 bytes, exit codes 0
sha() { if command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d' ' -f1; }
[ "$(stat -L -c %s /f)" = 1048576 ] || { echo "its size changed" >&2; exit 1; }
sha < /f
printf ''; echo

=== fetch
snapshot-fetch: at most 120.0524288 s, 2097152 bytes, exit codes 0
cat /f

=== file_size
file-size: at most 20.0 s, 8388608 bytes, exit codes 0
stat -L -c %s /f 2>/dev/null || echo 0

=== schedule_script
#!/bin/sh
# Written by fleetrecover; changes are lost. Takes a snapshot of this node's etcd and keeps the newest ones.
# What it never does: remove a snapshot unless a new one has just been written and checked and the cluster has quorum;
# remove a snapshot that it did not write itself; remove the one that it has just written, whatever the clock did.
umask 077
cli=docker; container=etcd; every=3600; keep=6; for=86400
dir=/opt/rke/etcd-snapshots; home=/opt/rke/fleetrecover; inside=/in/x; onhost=/d/x; prefix=fleetrecover-r_
state=$home/state; lock=$home/lock
LC_ALL=C; export LC_ALL
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
sha() { if command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d' ' -f1; }
born() { sed -e 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
value() { sed -n "s/^$1=//p" "$state" 2>/dev/null | head -n 1; }
ctl() { "$cli" exec -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_API=3 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem "$container" etcdctl "$@"; }

note() { # outcome, message: what `fleetrecover snapshot status` shows
  good=$(value good); name=$(value name); count=$(value failures); failures=$((${count:-0} + 1))
  if [ "$1" = saved ]; then good=$now; name=$file; failures=0; fi
  printf 'last=%s\noutcome=%s\nmessage=%s\ngood=%s\nname=%s\nfailures=%s\n' \
    "$now" "$1" "$2" "$good" "$name" "$failures" > "$state.new" && mv "$state.new" "$state"
}
fail() { note failed "$1"; echo "fleetrecover snapshot: $1; nothing was removed" >&2; exit 1; }

whole() { # the last 32 bytes are the SHA-256 of all before
  size=$(stat -c %s "$1") || return 1
  [ "$((size % 512))" -eq 32 ] || return 1
  [ "$(head -c $((size - 32)) "$1" | sha)" = "$(tail -c 32 "$1" | od -An -v -tx1 | tr -d ' \n')" ]
}

once() {
  now=$(date +%s)
  last=$(value last)
  if [ "$1" = due ] && [ -n "$last" ] && [ $((now - last)) -lt "$every" ] && [ "$last" -le "$now" ]; then exit 0; fi
  if ! mkdir "$lock" 2>/dev/null; then
    other=$(cat "$lock/pid" 2>/dev/null)
    if [ -n "$other" ] && [ "$(born "${other%%-*}")" = "${other##*-}" ]; then exit 0; fi
    rm -rf "$lock"; mkdir "$lock" 2>/dev/null || exit 0
  fi
  echo "$$-$(born $$)" > "$lock/pid"
  trap 'rm -rf "$lock"; rm -f "$onhost" "$onhost.part" "$dir/.$prefix.part"' EXIT
  file=$prefix$(date -u +%Y-%m-%dT%H:%M:%SZ)
  tries=0
  while [ -e "$dir/$file" ]; do # an older one has that name: a clock that went back has come to that second again
    tries=$((tries + 1)); [ "$tries" -le 5 ] || fail "there is a snapshot called $file already: the clock stands still"
    sleep 1; file=$prefix$(date -u +%Y-%m-%dT%H:%M:%SZ)
  done
  ctl --command-timeout=10s endpoint health >/dev/null 2>"$home/said" \
    || fail "no quorum: $(tail -c 200 "$home/said" | tr '\n' ' ')"
  size=$(stat -c %s "${onhost%/*}/member/snap/db" 2>/dev/null || echo 0)
  for d in "$dir" "${onhost%/*}"; do
    free=$(df -Pk "$d" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
    [ "${free:-0}" -gt $((size / 512 + 4096)) ] || fail "only $free KiB free in $d"
  done
  ctl snapshot save "$inside" >/dev/null 2>"$home/said" || fail "etcdctl: $(tail -c 200 "$home/said" | tr '\n' ' ')"
  whole "$onhost" || fail "what etcdctl wrote has a wrong checksum"
  mv "$onhost" "$dir/.$prefix.part" && chmod 600 "$dir/.$prefix.part" || fail "cannot write to $dir"
  sync
  whole "$dir/.$prefix.part" || fail "it did not read back as it was written"
  mv "$dir/.$prefix.part" "$dir/$file" || fail "cannot write to $dir"
  sync
  note saved "$(stat -c %s "$dir/$file") bytes"
  prune
}

others() { # ours but for the new one, the newest first; a name or a time that is yet to come was given by a wrong clock: oldest
  ls -1 "$dir" | grep -E "^${prefix}[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z\$" | while read -r f; do
    [ "$f" != "$file" ] || continue
    at=$(stat -c %Y "$dir/$f" 2>/dev/null) || continue
    rank=1
    if [ "$at" -gt "$((now + 1))" ] || [ "$(printf '%s\n%s\n' "$f" "$file" | sort | tail -n 1)" = "$f" ]; then rank=0; fi
    echo "$rank $f $at"
  done | sort -r
}

prune() { # only ever after a good one, which counts as the first
  n=1
  # after a jump of the clock no age means anything: then only the number counts, until the next time
  if [ -n "$last" ] && { [ "$last" -gt "$now" ] || [ "$((now - last))" -gt "$((for + every))" ]; }; then for=0; fi
  others | while read -r rank f at; do
    n=$((n + 1))
    age=$((now - at))
    if [ "$n" -gt "$keep" ] || { [ "$for" -gt 0 ] && [ "$age" -gt "$for" ]; }; then rm -f -- "$dir/$f"; fi
  done
}

case "${1:-now}" in
  due) once due ;;
  loop) while :; do sh "$0" due; sleep 60; done ;;
  *) once now ;;
esac

=== schedule_script plain
#!/bin/sh
# Written by fleetrecover; changes are lost. Takes a snapshot of this node's etcd and keeps the newest ones.
# What it never does: remove a snapshot unless a new one has just been written and checked and the cluster has quorum;
# remove a snapshot that it did not write itself; remove the one that it has just written, whatever the clock did.
umask 077
cli=podman; container=etcd-1; every=60; keep=1; for=0
dir=/opt/rke/etcd-snapshots; home=/opt/rke/fleetrecover; inside=/in/x; onhost=/d/x; prefix=fleetrecover-r_
state=$home/state; lock=$home/lock
LC_ALL=C; export LC_ALL
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
sha() { if command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d' ' -f1; }
born() { sed -e 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
value() { sed -n "s/^$1=//p" "$state" 2>/dev/null | head -n 1; }
ctl() { "$cli" exec -e ETCDCTL_ENDPOINTS=http://127.0.0.1:2379 -e ETCDCTL_API=3 -e ETCDCTL_CACERT= -e ETCDCTL_CERT= -e ETCDCTL_KEY= "$container" etcdctl "$@"; }

note() { # outcome, message: what `fleetrecover snapshot status` shows
  good=$(value good); name=$(value name); count=$(value failures); failures=$((${count:-0} + 1))
  if [ "$1" = saved ]; then good=$now; name=$file; failures=0; fi
  printf 'last=%s\noutcome=%s\nmessage=%s\ngood=%s\nname=%s\nfailures=%s\n' \
    "$now" "$1" "$2" "$good" "$name" "$failures" > "$state.new" && mv "$state.new" "$state"
}
fail() { note failed "$1"; echo "fleetrecover snapshot: $1; nothing was removed" >&2; exit 1; }

whole() { # the last 32 bytes are the SHA-256 of all before
  size=$(stat -c %s "$1") || return 1
  [ "$((size % 512))" -eq 32 ] || return 1
  [ "$(head -c $((size - 32)) "$1" | sha)" = "$(tail -c 32 "$1" | od -An -v -tx1 | tr -d ' \n')" ]
}

once() {
  now=$(date +%s)
  last=$(value last)
  if [ "$1" = due ] && [ -n "$last" ] && [ $((now - last)) -lt "$every" ] && [ "$last" -le "$now" ]; then exit 0; fi
  if ! mkdir "$lock" 2>/dev/null; then
    other=$(cat "$lock/pid" 2>/dev/null)
    if [ -n "$other" ] && [ "$(born "${other%%-*}")" = "${other##*-}" ]; then exit 0; fi
    rm -rf "$lock"; mkdir "$lock" 2>/dev/null || exit 0
  fi
  echo "$$-$(born $$)" > "$lock/pid"
  trap 'rm -rf "$lock"; rm -f "$onhost" "$onhost.part" "$dir/.$prefix.part"' EXIT
  file=$prefix$(date -u +%Y-%m-%dT%H:%M:%SZ)
  tries=0
  while [ -e "$dir/$file" ]; do # an older one has that name: a clock that went back has come to that second again
    tries=$((tries + 1)); [ "$tries" -le 5 ] || fail "there is a snapshot called $file already: the clock stands still"
    sleep 1; file=$prefix$(date -u +%Y-%m-%dT%H:%M:%SZ)
  done
  ctl --command-timeout=10s endpoint health >/dev/null 2>"$home/said" \
    || fail "no quorum: $(tail -c 200 "$home/said" | tr '\n' ' ')"
  size=$(stat -c %s "${onhost%/*}/member/snap/db" 2>/dev/null || echo 0)
  for d in "$dir" "${onhost%/*}"; do
    free=$(df -Pk "$d" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
    [ "${free:-0}" -gt $((size / 512 + 4096)) ] || fail "only $free KiB free in $d"
  done
  ctl snapshot save "$inside" >/dev/null 2>"$home/said" || fail "etcdctl: $(tail -c 200 "$home/said" | tr '\n' ' ')"
  whole "$onhost" || fail "what etcdctl wrote has a wrong checksum"
  mv "$onhost" "$dir/.$prefix.part" && chmod 600 "$dir/.$prefix.part" || fail "cannot write to $dir"
  sync
  whole "$dir/.$prefix.part" || fail "it did not read back as it was written"
  mv "$dir/.$prefix.part" "$dir/$file" || fail "cannot write to $dir"
  sync
  note saved "$(stat -c %s "$dir/$file") bytes"
  prune
}

others() { # ours but for the new one, the newest first; a name or a time that is yet to come was given by a wrong clock: oldest
  ls -1 "$dir" | grep -E "^${prefix}[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z\$" | while read -r f; do
    [ "$f" != "$file" ] || continue
    at=$(stat -c %Y "$dir/$f" 2>/dev/null) || continue
    rank=1
    if [ "$at" -gt "$((now + 1))" ] || [ "$(printf '%s\n%s\n' "$f" "$file" | sort | tail -n 1)" = "$f" ]; then rank=0; fi
    echo "$rank $f $at"
  done | sort -r
}

prune() { # only ever after a good one, which counts as the first
  n=1
  # after a jump of the clock no age means anything: then only the number counts, until the next time
  if [ -n "$last" ] && { [ "$last" -gt "$now" ] || [ "$((now - last))" -gt "$((for + every))" ]; }; then for=0; fi
  others | while read -r rank f at; do
    n=$((n + 1))
    age=$((now - at))
    if [ "$n" -gt "$keep" ] || { [ "$for" -gt 0 ] && [ "$age" -gt "$for" ]; }; then rm -f -- "$dir/$f"; fi
  done
}

case "${1:-now}" in
  due) once due ;;
  loop) while :; do sh "$0" due; sleep 60; done ;;
  *) once now ;;
esac

=== install_schedule systemd
install-schedule: at most 60.0 s, 8388608 bytes, exit codes 0
shown: write /opt/rke/fleetrecover/snapshot.sh and have systemd run it
set -eu
mkdir -p /opt/rke/fleetrecover /opt/rke/etcd-snapshots
chmod 700 /opt/rke/fleetrecover
(umask 077; t=/opt/rke/fleetrecover/snapshot.sh.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '\145\143\150\157\012'; } >"$t" && chmod 0700 "$t" && sync && mv -f "$t" /opt/rke/fleetrecover/snapshot.sh && sync)
if [ -e /etc/systemd/system/fleetrecover-snapshot.timer ]; then systemctl disable --now fleetrecover-snapshot.timer >/dev/null 2>&1 || true;
  rm -f /etc/systemd/system/fleetrecover-snapshot.timer /etc/systemd/system/fleetrecover-snapshot.service; systemctl daemon-reload || true; fi
rm -f /etc/cron.d/fleetrecover-snapshot
other=$(cat /opt/rke/fleetrecover/loop.pid 2>/dev/null) || other=""
if [ -n "$other" ] && [ "$(sed -e "s/.*) //" "/proc/${other%%-*}/stat" 2>/dev/null | cut -d" " -f20)" = "${other##*-}" ]; then kill "${other%%-*}"; fi
rm -f /opt/rke/fleetrecover/loop.pid
(umask 077; t=/etc/systemd/system/fleetrecover-snapshot.service.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '«[Unit]
Description=Snapshot of etcd
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/rke/fleetrecover/snapshot.sh due
»'; } >"$t" && chmod 0644 "$t" && sync && mv -f "$t" /etc/systemd/system/fleetrecover-snapshot.service && sync)
(umask 077; t=/etc/systemd/system/fleetrecover-snapshot.timer.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '«[Unit]
Description=Snapshots of etcd
[Timer]
OnActiveSec=5s
OnUnitInactiveSec=60s
AccuracySec=1s
[Install]
WantedBy=timers.target
»'; } >"$t" && chmod 0644 "$t" && sync && mv -f "$t" /etc/systemd/system/fleetrecover-snapshot.timer && sync)
systemctl daemon-reload
systemctl enable --now fleetrecover-snapshot.timer >/dev/null 2>&1
systemctl is-active fleetrecover-snapshot.timer >/dev/null
undo: snapshot unschedule

=== install_schedule cron
install-schedule: at most 60.0 s, 8388608 bytes, exit codes 0
shown: write /opt/rke/fleetrecover/snapshot.sh and have cron run it
set -eu
mkdir -p /opt/rke/fleetrecover /opt/rke/etcd-snapshots
chmod 700 /opt/rke/fleetrecover
(umask 077; t=/opt/rke/fleetrecover/snapshot.sh.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '\145\143\150\157\012'; } >"$t" && chmod 0700 "$t" && sync && mv -f "$t" /opt/rke/fleetrecover/snapshot.sh && sync)
if [ -e /etc/systemd/system/fleetrecover-snapshot.timer ]; then systemctl disable --now fleetrecover-snapshot.timer >/dev/null 2>&1 || true;
  rm -f /etc/systemd/system/fleetrecover-snapshot.timer /etc/systemd/system/fleetrecover-snapshot.service; systemctl daemon-reload || true; fi
rm -f /etc/cron.d/fleetrecover-snapshot
other=$(cat /opt/rke/fleetrecover/loop.pid 2>/dev/null) || other=""
if [ -n "$other" ] && [ "$(sed -e "s/.*) //" "/proc/${other%%-*}/stat" 2>/dev/null | cut -d" " -f20)" = "${other##*-}" ]; then kill "${other%%-*}"; fi
rm -f /opt/rke/fleetrecover/loop.pid
(umask 077; t=/etc/cron.d/fleetrecover-snapshot.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '«# Written by fleetrecover
* * * * * root /bin/sh /opt/rke/fleetrecover/snapshot.sh due >/dev/null 2>&1
»'; } >"$t" && chmod 0644 "$t" && sync && mv -f "$t" /etc/cron.d/fleetrecover-snapshot && sync)
undo: snapshot unschedule

=== last_written
last-written: at most 20.0 s, 8388608 bytes, exit codes 0
cd /d/member 2>/dev/null || exit 0
for f in wal/*.wal snap/db; do [ -f "$f" ] && stat -c %Y "$f"; done | sort -n | tail -n 1

=== last_written wal apart
last-written: at most 20.0 s, 8388608 bytes, exit codes 0
cd /d/member 2>/dev/null || exit 0
for f in /fast/wal/*.wal snap/db; do [ -f "$f" ] && stat -c %Y "$f"; done | sort -n | tail -n 1

=== listing
snapshot-listing: at most 40.0 s, 8388608 bytes, exit codes 0
p=/opt/rke/etcd-snapshots
r=$(readlink -f "$p" 2>/dev/null) || r=$p
[ -n "$r" ] || r=$p
echo "real=$r"
[ "$r" = "$p" ] || echo symlink=1
near=$r
while [ ! -d "$near" ]; do near=$(dirname "$near"); done
echo "free=$(df -Pk "$near" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')"
printf 'who=%s (uid %s)\n' "$(id -un 2>/dev/null)" "$(id -u)"
echo "no-engine=${FLEETRECOVER_NO_ENGINE:-}"

# what may not be looked into is not what is not there
if [ ! -x "$near" ] || { [ "$near" = "$r" ] && [ ! -r "$r" ]; }; then echo "forbidden=$near"; fi
[ -w "$near" ] || echo "unwritable=$near"
[ -d "$r" ] || exit 0
echo exists=1
n=0
for f in "$r"/*; do
  [ -f "$f" ] || continue
  n=$((n + 1)); [ "$n" -le 2000 ] || { echo "more=1"; break; }
  name=$(printf '%s' "${f##*/}" | od -An -v -tx1 | tr -d ' \n')
  head=$(head -c 128 "$f" 2>/dev/null | od -An -v -tx1 | tr -d ' \n')
  ok=1; [ -r "$f" ] || ok=0
  stat -L -c "file=$name %s %Y $ok $head" "$f" || true
done

=== neighbours
neighbours: at most 40.0 s, 8388608 bytes, exit codes 0
docker inspect --type container -f '{{.Name}} {{.Id}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}} {{.State.StartedAt}} {{.RestartCount}}' kube-apiserver 2>/dev/null || true
docker inspect --type container -f '{{.Name}} {{.Id}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}} {{.State.StartedAt}} {{.RestartCount}}' x 2>/dev/null || true

=== prune_files
prune: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
rm -f -- /a
rm -f -- '/b c'
undo: they are gone for good

=== receive
snapshot-receive: at most 240.1048576 s, 8388608 bytes, exit codes 0
shown: write /f, 1048576 bytes, sha256 abababababababababababababababababababababababababababababababab
set -eu
sha() { if command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d' ' -f1; }
umask 077
mkdir -p /
if [ -e /f ]; then cat >/dev/null; [ "$(sha < /f)" = abababababababababababababababababababababababababababababababab ] && exit 0 || exit 63; fi
free=$(df -Pk / | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 2048 ]; then echo "2048 KiB needed, $free KiB free" >&2; exit 69; fi
part=/f.part; trap 'rm -f "$part"' EXIT
cat > /f.part
[ "$(stat -c %s /f.part)" = 1048576 ] || { echo "$(stat -c %s /f.part) of 1048576 bytes came" >&2; exit 70; }
sync -f /f.part 2>/dev/null || sync
[ "$(sha < /f.part)" = abababababababababababababababababababababababababababababababab ] || exit 70
mv /f.part /f
sync -f /f 2>/dev/null || sync
undo: rm /f

=== receive in place
snapshot-receive: at most 240.1048576 s, 8388608 bytes, exit codes 0
shown: write /f, 1048576 bytes, sha256 abababababababababababababababababababababababababababababababab
set -eu
sha() { if command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d' ' -f1; }
umask 077
free=$(df -Pk / | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 2048 ]; then echo "2048 KiB needed, $free KiB free" >&2; exit 69; fi
part=/f.part; trap 'rm -f "$part"' EXIT
cat > /f.part
[ "$(stat -c %s /f.part)" = 1048576 ] || { echo "$(stat -c %s /f.part) of 1048576 bytes came" >&2; exit 70; }
sync -f /f.part 2>/dev/null || sync
[ "$(sha < /f.part)" = abababababababababababababababababababababababababababababababab ] || exit 70
mv /f.part /f
sync -f /f 2>/dev/null || sync
undo: rm /f

=== remove_file
remove-file: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
rm -f -- /f /f.part
undo: it was ours

=== remove_part
remove-part: at most 300.0 s, 8388608 bytes, exit codes 0
set -eu
rm -rf -- /d.keep/r1/restored
rm -rf -- /d.keep/r1/trial
undo: made again

=== remove_schedule
remove-schedule: at most 60.0 s, 8388608 bytes, exit codes 0
shown: remove /opt/rke/fleetrecover/snapshot.sh and what runs it
set -eu
if [ -e /etc/systemd/system/fleetrecover-snapshot.timer ]; then systemctl disable --now fleetrecover-snapshot.timer >/dev/null 2>&1 || true;
  rm -f /etc/systemd/system/fleetrecover-snapshot.timer /etc/systemd/system/fleetrecover-snapshot.service; systemctl daemon-reload || true; fi
rm -f /etc/cron.d/fleetrecover-snapshot
other=$(cat /opt/rke/fleetrecover/loop.pid 2>/dev/null) || other=""
if [ -n "$other" ] && [ "$(sed -e "s/.*) //" "/proc/${other%%-*}/stat" 2>/dev/null | cut -d" " -f20)" = "${other##*-}" ]; then kill "${other%%-*}"; fi
rm -f /opt/rke/fleetrecover/loop.pid
rm -f /opt/rke/fleetrecover/snapshot.sh
undo: snapshot schedule

=== restore_tool
restore-tool: at most 60.0 s, 8388608 bytes, exit codes 0
docker run --rm --network=none --security-opt=label=disable -e ETCDCTL_API=3 --entrypoint etcd etcd:v3 --version 2>/dev/null | sed -n 's/^etcd Version: */version=/p' || true
if text=$(docker run --rm --network=none --security-opt=label=disable -e ETCDCTL_API=3 --entrypoint etcdutl etcd:v3 snapshot restore --help 2>&1) && case "$text" in *--data-dir*) true;; *) false;; esac; then
  echo tool=etcdutl; case "$text" in *--bump-revision*) echo bumps=1;; esac; exit 0
fi
if text=$(docker run --rm --network=none --security-opt=label=disable -e ETCDCTL_API=3 --entrypoint etcdctl etcd:v3 snapshot restore --help 2>&1) && case "$text" in *--data-dir*) true;; *) false;; esac; then
  echo tool=etcdctl; case "$text" in *--bump-revision*) echo bumps=1;; esac; exit 0
fi
echo "$text" >&2; exit 1

=== save_by_copy
snapshot-save: at most 180.0005 s, 8388608 bytes, exit codes 0
set -eu
umask 077
mkdir -p /w
for d in /w ; do
free=$(df -Pk "$d" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 4105 ]; then echo "4105 KiB needed in $d, $free KiB free" >&2; exit 69; fi
done
:
timeout -k 5 60 docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=60s snapshot save /in/x >/dev/null
docker cp etcd:/in/x /w/x.part
chmod 600 /w/x.part
sync -f /w/x.part 2>/dev/null || sync
mv /w/x.part /w/x
undo: the file is removed

=== save_in_data_dir
snapshot-save: at most 180.0005 s, 8388608 bytes, exit codes 0
set -eu
umask 077
mkdir -p /w
for d in /w /d; do
free=$(df -Pk "$d" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 4105 ]; then echo "4105 KiB needed in $d, $free KiB free" >&2; exit 69; fi
done
left=/d/x; trap 'rm -f "$left" "$left.part"' EXIT
timeout -k 5 60 docker exec -e ETCDCTL_API=3 -e ETCDCTL_ENDPOINTS=https://127.0.0.1:2379 -e ETCDCTL_CACERT=/ca.pem -e ETCDCTL_CERT=/cert.pem -e ETCDCTL_KEY=/key.pem etcd etcdctl --dial-timeout=3s --command-timeout=60s snapshot save /in/x >/dev/null
mv /d/x /w/x.part
chmod 600 /w/x.part
sync -f /w/x.part 2>/dev/null || sync
mv /w/x.part /w/x
undo: the file is removed

=== schedule_status
schedule-status: at most 20.0 s, 8388608 bytes, exit codes 0
date +clock=%s
s=/opt/rke/fleetrecover/snapshot.sh
[ -f "$s" ] && { echo installed=1; sed -n 's/^cli=.*every=\([0-9]*\); keep=\([0-9]*\); for=\([0-9]*\).*/every=\1\nkeep=\2\nfor=\3/p' "$s"; }
[ -e /etc/systemd/system/fleetrecover-snapshot.timer ] && systemctl is-active fleetrecover-snapshot.timer >/dev/null 2>&1 && echo means=systemd
[ -e /etc/cron.d/fleetrecover-snapshot ] && echo means=cron
other=$(cat /opt/rke/fleetrecover/loop.pid 2>/dev/null)
[ -n "$other" ] && [ "$(sed -e "s/.*) //" "/proc/${other%%-*}/stat" 2>/dev/null | cut -d" " -f20)" = "${other##*-}" ] && echo means=loop
cat /opt/rke/fleetrecover/state 2>/dev/null; true

=== scheduler
scheduler: at most 20.0 s, 8388608 bytes, exit codes 0
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; then
  case "$(systemctl is-system-running 2>/dev/null)" in
    running|degraded|starting|initializing|maintenance) echo systemd; exit 0;;
  esac
fi
if [ -d /etc/cron.d ]; then
  for p in /proc/[0-9]*/comm; do
    read -r c < "$p" 2>/dev/null || continue
    case "$c" in cron|crond) echo cron; exit 0;; esac
  done
fi
echo loop

=== start_neighbours
start-neighbours: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
docker start kube-apiserver >/dev/null
docker start x >/dev/null
undo: they are stopped again

=== stop_neighbours
stop-neighbours: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
touch /d.keep/r1/stopped
if [ "$(docker inspect --type container -f '{{.State.Running}}' kube-apiserver 2>/dev/null || echo gone)" = true ]; then
  grep -qxF kube-apiserver /d.keep/r1/stopped || { echo kube-apiserver >> /d.keep/r1/stopped; sync -f /d.keep/r1/stopped 2>/dev/null || sync; }
  docker stop -t 15 kube-apiserver >/dev/null
fi
if [ "$(docker inspect --type container -f '{{.State.Running}}' x 2>/dev/null || echo gone)" = true ]; then
  grep -qxF x /d.keep/r1/stopped || { echo x >> /d.keep/r1/stopped; sync -f /d.keep/r1/stopped 2>/dev/null || sync; }
  docker stop -t 15 x >/dev/null
fi
undo: docker start kube-apiserver x

=== systemd_units
/etc/systemd/system/fleetrecover-snapshot.service:
[Unit]
Description=Snapshot of etcd
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/rke/fleetrecover/snapshot.sh due
/etc/systemd/system/fleetrecover-snapshot.timer:
[Unit]
Description=Snapshots of etcd
[Timer]
OnActiveSec=5s
OnUnitInactiveSec=60s
AccuracySec=1s
[Install]
WantedBy=timers.target

=== write_note
write-restore.json: at most 60.0 s, 8388608 bytes, exit codes 0
shown: write /d.keep/r1/restore.json
set -eu
(umask 077; t=/d.keep/r1/restore.json.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '«{
 "token": "t"
}
»'; } >"$t" && chmod 0600 "$t" && sync && mv -f "$t" /d.keep/r1/restore.json && sync)
undo: a record

