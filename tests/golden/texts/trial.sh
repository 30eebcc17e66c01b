=== copy_for_trial
trial-copy: at most 3600.0 s, 8388608 bytes, exit codes 0
shown: cp -a /d/member /d.keep/r1/partial/member; diff -rq /d/member /d.keep/r1/partial/member
set -eu
umask 077
mkdir -p /d.keep/r1
free=$(df -Pk /d.keep/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 1028 ]; then echo "1028 KiB needed, $free KiB free" >&2; rmdir /d.keep/r1; exit 69; fi
for attempt in 1 2 3; do
  rm -rf -- /d.keep/r1/partial; mkdir /d.keep/r1/partial
  cp -a --reflink=auto /d/member /d.keep/r1/partial/member 2>/dev/null || { rm -rf -- /d.keep/r1/partial/member; cp -a /d/member /d.keep/r1/partial/member; }
  if diff -rq /d/member /d.keep/r1/partial/member >&2 && (
true
); then same=1; break; else same=0; sleep 1; fi
done
[ "$same" = 1 ] || exit 70
chown --reference=/d /d.keep/r1/partial 2>/dev/null || true
chmod --reference=/d /d.keep/r1/partial 2>/dev/null || true
chcon --reference=/d /d.keep/r1/partial 2>/dev/null || true
undo: rm -rf /d.keep/r1, ends with the connection

=== copy_for_trial wal apart
trial-copy: at most 3600.0 s, 8388608 bytes, exit codes 0
shown: cp -a /d/member /d.keep/r1/partial/member; diff -rq /d/member /d.keep/r1/partial/member
set -eu
umask 077
mkdir -p /d.keep/r1
free=$(df -Pk /d.keep/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 1028 ]; then echo "1028 KiB needed, $free KiB free" >&2; rmdir /d.keep/r1; exit 69; fi
for attempt in 1 2 3; do
  rm -rf -- /d.keep/r1/partial; mkdir /d.keep/r1/partial
  cp -a --reflink=auto /d/member /d.keep/r1/partial/member 2>/dev/null || { rm -rf -- /d.keep/r1/partial/member; cp -a /d/member /d.keep/r1/partial/member; }
  if diff -rq /d/member /d.keep/r1/partial/member >&2 && (
rm -rf -- /d.keep/r1/partial/member/wal
if [ -d /fast/wal ]; then
  cp -a --reflink=auto /fast/wal /d.keep/r1/partial/member/wal 2>/dev/null || { rm -rf -- /d.keep/r1/partial/member/wal; cp -a /fast/wal /d.keep/r1/partial/member/wal; }
  diff -rq /fast/wal /d.keep/r1/partial/member/wal >&2 || exit 70
fi
); then same=1; break; else same=0; sleep 1; fi
done
[ "$same" = 1 ] || exit 70
chown --reference=/d /d.keep/r1/partial 2>/dev/null || true
chmod --reference=/d /d.keep/r1/partial 2>/dev/null || true
chcon --reference=/d /d.keep/r1/partial 2>/dev/null || true
undo: rm -rf /d.keep/r1, ends with the connection

=== remove_trials
trial-remove: at most 300.0 s, 8388608 bytes, exit codes 0
set -eu
for c in $(docker ps -aq --no-trunc --filter label=fleetrecover.role=quarantine); do
  case "$(docker inspect -f '{{index .Config.Labels "fleetrecover.run"}}' "$c")" in
    trial-*) docker rm -f "$c" >/dev/null ;;
  esac
done
rm -rf -- /d.keep/trial-*
undo: they were copies of ours

