=== begin
seed-begin: at most 600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
rm -rf -- /d.keep/r1/work /d.keep/r1/booted
free=$(df -Pk /d.keep/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 1028 ]; then echo "1028 KiB needed, $free KiB free in" /d.keep/r1 >&2; exit 69; fi
mkdir -p /d.keep/r1/partial/member/snap /d.keep/r1/partial/member/wal
undo: rm -rf /d.keep/r1/partial (a copy of ours), ends with the connection

=== copy_database
seed-database: at most 120.45 s, 8388608 bytes, exit codes 0
set -eu
umask 077
cp -a --reflink=auto /from/db /d.keep/r1/partial/member/snap/db 2>/dev/null || { rm -rf -- /d.keep/r1/partial/member/snap/db; cp -a /from/db /d.keep/r1/partial/member/snap/db; }
cmp /from/db /d.keep/r1/partial/member/snap/db >&2 || exit 70
undo: only the copy is changed, ends with the connection

=== settle
seed-settle: at most 600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
truncate -s 4096 /d.keep/r1/partial/member/wal/snap/db
truncate -s 64 /d.keep/r1/partial/member/wal/wal/0.wal
chown --reference=/d /d.keep/r1/partial 2>/dev/null || true
chmod --reference=/d /d.keep/r1/partial 2>/dev/null || true
chcon --reference=/d /d.keep/r1/partial 2>/dev/null || true
like=/d.keep/r1/original/member; [ -e "$like" ] || like=/d
chown -R --reference="$like" /d.keep/r1/partial/member 2>/dev/null || true
chcon -R --reference="$like" /d.keep/r1/partial/member 2>/dev/null || true
sync -f /d.keep/r1/partial 2>/dev/null || sync
undo: only the copy is changed, ends with the connection

=== throw_away
seed-remove: at most 600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
rm -rf -- /d.keep/r1/work
undo: it was a copy of ours, ends with the connection

=== begin wal apart
seed-begin: at most 600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
rm -rf -- /d.keep/r1/work /d.keep/r1/booted
free=$(df -Pk /d.keep/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 1028 ]; then echo "1028 KiB needed, $free KiB free in" /d.keep/r1 >&2; exit 69; fi
mkdir -p /d.keep/r1/partial/member/snap /d.keep/r1/partial/member/wal
undo: rm -rf /d.keep/r1/partial (a copy of ours), ends with the connection

=== copy_database wal apart
seed-database: at most 120.45 s, 8388608 bytes, exit codes 0
set -eu
umask 077
cp -a --reflink=auto /from/db /d.keep/r1/partial/member/snap/db 2>/dev/null || { rm -rf -- /d.keep/r1/partial/member/snap/db; cp -a /from/db /d.keep/r1/partial/member/snap/db; }
cmp /from/db /d.keep/r1/partial/member/snap/db >&2 || exit 70
undo: only the copy is changed, ends with the connection

=== settle wal apart
seed-settle: at most 600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
truncate -s 4096 /d.keep/r1/partial/member/wal/snap/db
truncate -s 64 /d.keep/r1/partial/member/wal/wal/0.wal
chown --reference=/d /d.keep/r1/partial 2>/dev/null || true
chmod --reference=/d /d.keep/r1/partial 2>/dev/null || true
chcon --reference=/d /d.keep/r1/partial 2>/dev/null || true
like=/d.keep/r1/original/member; [ -e "$like" ] || like=/d
chown -R --reference="$like" /d.keep/r1/partial/member 2>/dev/null || true
chcon -R --reference="$like" /d.keep/r1/partial/member 2>/dev/null || true
sync -f /d.keep/r1/partial 2>/dev/null || sync
undo: only the copy is changed, ends with the connection

=== throw_away wal apart
seed-remove: at most 600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
rm -rf -- /d.keep/r1/work
undo: it was a copy of ours, ends with the connection

=== copy_database small
seed-database: at most 120.00000075 s, 8388608 bytes, exit codes 0
set -eu
umask 077
cp -a --reflink=auto /from/db /d.keep/r1/partial/member/snap/db 2>/dev/null || { rm -rf -- /d.keep/r1/partial/member/snap/db; cp -a /from/db /d.keep/r1/partial/member/snap/db; }
cmp /from/db /d.keep/r1/partial/member/snap/db >&2 || exit 70
undo: only the copy is changed, ends with the connection

=== send_database
seed-send: at most 120.15 s, 4048576 bytes, exit codes 0
cat /from/db

