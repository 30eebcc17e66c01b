=== drop_in
/etc/systemd/system/etcd.service.d/50-fleetrecover.conf

=== hold_unit
hold-unit: at most 120.0 s, 8388608 bytes, exit codes 0
shown: write /etc/systemd/system/etcd.service.d/50-fleetrecover.conf: AssertPathExists=!/d.keep/r1/fenced; systemctl daemon-reload
set -eu
export LC_ALL=C
umask 077
was=$(sed -n '1s/^# fleetrecover .* \([a-z]*\)$/\1/p' /etc/systemd/system/etcd.service.d/50-fleetrecover.conf 2>/dev/null || true)
case $was in active|stopped) ;; *)
  case $(systemctl show -p ActiveState -- etcd.service | sed 's/^ActiveState=//') in active|activating|reloading|refreshing) was=active ;; *) was=stopped ;; esac ;;
esac
mkdir -p /d.keep/r1
chmod 700 /d.keep /d.keep/r1
: > /d.keep/r1/fenced
sync -f /d.keep/r1 2>/dev/null || sync
old=$(sed -n 's/^AssertPathExists=!//p' /etc/systemd/system/etcd.service.d/50-fleetrecover.conf 2>/dev/null || true)
umask 022
mkdir -p /etc/systemd/system/etcd.service.d
printf '# fleetrecover %s: this unit is held while the run is under way; before, it was %s\n[Unit]\nAssertPathExists=!/d.keep/r1/fenced\nRequiresMountsFor=/d.keep/r1\n' r1 "$was" > /etc/systemd/system/etcd.service.d/50-fleetrecover.conf.new
mv -f /etc/systemd/system/etcd.service.d/50-fleetrecover.conf.new /etc/systemd/system/etcd.service.d/50-fleetrecover.conf
sync -f /etc/systemd/system/etcd.service.d/50-fleetrecover.conf 2>/dev/null || sync
systemctl daemon-reload
systemctl show -p DropInPaths -- etcd.service | grep -qF /etc/systemd/system/etcd.service.d/50-fleetrecover.conf || exit 76
case $old in /d.keep/r1/fenced) ;; /*/fenced) rm -f "$old"; rmdir "${old%/*}" 2>/dev/null || true ;; esac
n=0
while case $(systemctl show -p SubState -- etcd.service) in SubState=condition|SubState=start-pre|SubState=start|SubState=start-post) true ;; *) false ;; esac; do
  n=$((n + 1)); [ "$n" -le 60 ] || exit 77
  sleep 1
done
undo: rm /etc/systemd/system/etcd.service.d/50-fleetrecover.conf; systemctl daemon-reload

=== release_unit makes it anew
release-unit: at most 180.0 s, 8388608 bytes, exit codes 0
shown: rm /d.keep/r1/fenced; systemctl start etcd.service, where it ran before; rm /etc/systemd/system/etcd.service.d/50-fleetrecover.conf; systemctl daemon-reload
set -eu
export LC_ALL=C
[ -e /etc/systemd/system/etcd.service.d/50-fleetrecover.conf ] || exit 0
was=$(sed -n '1s/^# fleetrecover .* \([a-z]*\)$/\1/p' /etc/systemd/system/etcd.service.d/50-fleetrecover.conf)
mark=$(sed -n 's/^AssertPathExists=!//p' /etc/systemd/system/etcd.service.d/50-fleetrecover.conf)
case $mark in /*/fenced) rm -f "$mark" ;; esac
rm -f /d.keep/r1/fenced
if [ "$was" = active ] && true; then
  case $(systemctl show -p ActiveState -- etcd.service | sed 's/^ActiveState=//') in active|activating|reloading|refreshing) ;; *)
    if docker inspect --type container etcd >/dev/null 2>&1; then docker stop -t 30 etcd >/dev/null; fi
    systemctl reset-failed -- etcd.service 2>/dev/null || true
    systemctl start -- etcd.service || exit 80
    echo started ;;
  esac
fi
rm -f /etc/systemd/system/etcd.service.d/50-fleetrecover.conf
rmdir /etc/systemd/system/etcd.service.d /d.keep/r1 2>/dev/null || true
systemctl daemon-reload
undo: write /etc/systemd/system/etcd.service.d/50-fleetrecover.conf again, as before

=== release_unit starts it
release-unit: at most 180.0 s, 8388608 bytes, exit codes 0
shown: rm /d.keep/r1/fenced; systemctl start etcd.service, where it ran before; rm /etc/systemd/system/etcd.service.d/50-fleetrecover.conf; systemctl daemon-reload
set -eu
export LC_ALL=C
[ -e /etc/systemd/system/etcd.service.d/50-fleetrecover.conf ] || exit 0
was=$(sed -n '1s/^# fleetrecover .* \([a-z]*\)$/\1/p' /etc/systemd/system/etcd.service.d/50-fleetrecover.conf)
mark=$(sed -n 's/^AssertPathExists=!//p' /etc/systemd/system/etcd.service.d/50-fleetrecover.conf)
case $mark in /*/fenced) rm -f "$mark" ;; esac
rm -f /d.keep/r1/fenced
if [ "$was" = active ] && docker inspect --type container etcd >/dev/null 2>&1; then
  case $(systemctl show -p ActiveState -- etcd.service | sed 's/^ActiveState=//') in active|activating|reloading|refreshing) ;; *)
    systemctl reset-failed -- etcd.service 2>/dev/null || true
    systemctl start -- etcd.service || exit 80
    echo started ;;
  esac
fi
rm -f /etc/systemd/system/etcd.service.d/50-fleetrecover.conf
rmdir /etc/systemd/system/etcd.service.d /d.keep/r1 2>/dev/null || true
systemctl daemon-reload
undo: write /etc/systemd/system/etcd.service.d/50-fleetrecover.conf again, as before

=== stop_unit 0
stop-unit: at most 130.0 s, 8388608 bytes, exit codes 0
shown: systemctl stop etcd.service
set -eu
export LC_ALL=C
systemctl show -p DropInPaths -- etcd.service | grep -qF /etc/systemd/system/etcd.service.d/50-fleetrecover.conf || exit 76
[ -e /d.keep/r1/fenced ] || exit 76
systemctl stop -- etcd.service
case $(systemctl show -p ActiveState -- etcd.service | sed 's/^ActiveState=//') in inactive|failed) ;; *) exit 78 ;; esac
if docker inspect --type container etcd >/dev/null 2>&1; then exit 79; fi
undo: systemctl start etcd.service, where it ran, when it is given back

=== stop_unit 1
stop-unit: at most 130.0 s, 8388608 bytes, exit codes 0
shown: docker rename c0 etcd.kept0; docker stop -t 30 c0; systemctl stop etcd.service
set -eu
export LC_ALL=C
systemctl show -p DropInPaths -- etcd.service | grep -qF /etc/systemd/system/etcd.service.d/50-fleetrecover.conf || exit 76
[ -e /d.keep/r1/fenced ] || exit 76
if said=$(docker inspect --type container -f '{{.Name}}' c0 2>/dev/null); then
  [ "$said" = /etcd.kept0 ] || [ "$said" = etcd.kept0 ] || docker rename c0 etcd.kept0
  docker stop -t 30 c0 >/dev/null
fi
systemctl stop -- etcd.service
case $(systemctl show -p ActiveState -- etcd.service | sed 's/^ActiveState=//') in inactive|failed) ;; *) exit 78 ;; esac
if docker inspect --type container etcd >/dev/null 2>&1; then exit 79; fi
undo: systemctl start etcd.service, where it ran, when it is given back

=== stop_unit 3
stop-unit: at most 210.0 s, 8388608 bytes, exit codes 0
shown: docker rename c0 etcd.kept0; docker stop -t 30 c0; docker rename c1 etcd.kept1; docker stop -t 30 c1; docker rename c2 etcd.kept2; docker stop -t 30 c2; systemctl stop etcd.service
set -eu
export LC_ALL=C
systemctl show -p DropInPaths -- etcd.service | grep -qF /etc/systemd/system/etcd.service.d/50-fleetrecover.conf || exit 76
[ -e /d.keep/r1/fenced ] || exit 76
if said=$(docker inspect --type container -f '{{.Name}}' c0 2>/dev/null); then
  [ "$said" = /etcd.kept0 ] || [ "$said" = etcd.kept0 ] || docker rename c0 etcd.kept0
  docker stop -t 30 c0 >/dev/null
fi
if said=$(docker inspect --type container -f '{{.Name}}' c1 2>/dev/null); then
  [ "$said" = /etcd.kept1 ] || [ "$said" = etcd.kept1 ] || docker rename c1 etcd.kept1
  docker unpause c1 >/dev/null 2>&1 || true
  docker stop -t 30 c1 >/dev/null
fi
if said=$(docker inspect --type container -f '{{.Name}}' c2 2>/dev/null); then
  [ "$said" = /etcd.kept2 ] || [ "$said" = etcd.kept2 ] || docker rename c2 etcd.kept2
  docker unpause c2 >/dev/null 2>&1 || true
  docker stop -t 30 c2 >/dev/null
fi
systemctl stop -- etcd.service
case $(systemctl show -p ActiveState -- etcd.service | sed 's/^ActiveState=//') in inactive|failed) ;; *) exit 78 ;; esac
if docker inspect --type container etcd >/dev/null 2>&1; then exit 79; fi
undo: systemctl start etcd.service, where it ran, when it is given back

