=== back


=== data_there
[ -e /d/member ]

=== empty


=== into_copy


=== out


=== out_to_fresh


=== put


=== removed
for link in /d.keep/r1/wal-of-*; do
[ -L "$link" ] || continue
aside=$(readlink "$link"); top=${aside%/*}
case $top in /*.fleetrecover/r1) ;; *) continue ;; esac
rm -rf -- "$top"; rmdir "${top%/*}" 2>/dev/null || true
done

=== reunite


=== same_place


=== withdraw


=== back wal apart
if [ -d /fast/wal.fleetrecover/r1/original ]; then
rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
mv /fast/wal.fleetrecover/r1/original /fast/wal
sync
fi

=== data_there wal apart
{ [ -e /d/member ] || [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; }

=== empty wal apart
if [ ! -d /fast/wal ]; then
(umask 022; mkdir -p /fast); mkdir /fast/wal
like=/fast/wal.fleetrecover/r1/original; [ -d "$like" ] || like=/d
chown --reference="$like" /fast/wal 2>/dev/null || true
chmod --reference="$like" /fast/wal 2>/dev/null || true
chcon --reference="$like" /fast/wal 2>/dev/null || true
fi

=== into_copy wal apart
rm -rf -- /copy/wal
if [ -d /fast/wal.fleetrecover/r1/original ]; then
cp -a --reflink=auto /fast/wal.fleetrecover/r1/original /copy/wal 2>/dev/null || { rm -rf -- /copy/wal; cp -a /fast/wal.fleetrecover/r1/original /copy/wal; }
diff -rq /fast/wal.fleetrecover/r1/original /copy/wal >&2 || exit 70
fi

=== out wal apart
[ ! -L /fast/wal.fleetrecover ] || exit 72
mkdir -p /fast/wal.fleetrecover/r1
[ "$(stat -c %u /fast/wal.fleetrecover)" = "$(id -u)" ] || exit 72
chmod 700 /fast/wal.fleetrecover /fast/wal.fleetrecover/r1
ln -sfn /fast/wal.fleetrecover/r1/original /d.keep/r1/wal-of-original
if [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; then
[ ! -e /fast/wal.fleetrecover/r1/original ] || exit 65
sync
mv /fast/wal /fast/wal.fleetrecover/r1/original
sync
fi

=== out_to_fresh wal apart
[ ! -L /fast/wal.fleetrecover ] || exit 72
mkdir -p /fast/wal.fleetrecover/r1
[ "$(stat -c %u /fast/wal.fleetrecover)" = "$(id -u)" ] || exit 72
chmod 700 /fast/wal.fleetrecover /fast/wal.fleetrecover/r1
to=/fast/wal.fleetrecover/r1/"${away##*/}"
[ ! -e "$to" ] || exit 65
ln -sfn "$to" /d.keep/r1/wal-of-"${away##*/}"
if [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; then sync; mv /fast/wal "$to"; sync; fi

=== put wal apart
if [ -e /d.keep/r1/original/member/wal ]; then
if [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; then
diff -rq /d.keep/r1/original/member/wal /fast/wal >&2 || exit 65
else
[ ! -L /fast/wal.fleetrecover ] || exit 72
mkdir -p /fast/wal.fleetrecover/r1
[ "$(stat -c %u /fast/wal.fleetrecover)" = "$(id -u)" ] || exit 72
chmod 700 /fast/wal.fleetrecover /fast/wal.fleetrecover/r1
rm -rf -- /fast/wal.fleetrecover/r1/incoming
need=$(( $(du -sk /d.keep/r1/original/member/wal | cut -f1) + 1024 ))
free=$(df -Pk /fast | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt "$need" ]; then echo "$need KiB needed, $free KiB free in" /fast >&2; exit 69; fi
cp -a /d.keep/r1/original/member/wal /fast/wal.fleetrecover/r1/incoming
diff -rq /d.keep/r1/original/member/wal /fast/wal.fleetrecover/r1/incoming >&2 || exit 70
chcon -R --reference=/fast/wal.fleetrecover/r1/original /fast/wal.fleetrecover/r1/incoming 2>/dev/null || true
sync
rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
mv /fast/wal.fleetrecover/r1/incoming /fast/wal
sync
fi
rm -rf -- /d.keep/r1/original/wal-put; mv /d.keep/r1/original/member/wal /d.keep/r1/original/wal-put; sync
fi
[ -n "$(ls -A /fast/wal 2>/dev/null)" ] || exit 70
rm -rf -- /d.keep/r1/original/wal-put

=== removed wal apart
for link in /d.keep/r1/wal-of-*; do
[ -L "$link" ] || continue
aside=$(readlink "$link"); top=${aside%/*}
case $top in /*.fleetrecover/r1) ;; *) continue ;; esac
rm -rf -- "$top"; rmdir "${top%/*}" 2>/dev/null || true
done

=== reunite wal apart
[ ! -L /d.keep/r1/wal-of-original ] || [ "$(readlink /d.keep/r1/wal-of-original)" = /fast/wal.fleetrecover/r1/original ] || exit 74
for link in /d.keep/*/wal-of-*; do
part=${link%/wal-of-*}/${link##*/wal-of-}; run=${link%/*}; aside=$(readlink "$link") || continue
[ -d "$aside" ] && [ -e /d/member ] || continue
[ ! -e "$part/member" ] && [ ! -e "$part/no-member" ] || continue
[ ! -e "$run/finished" ] && [ ! -e "$run/undone" ] || continue
quiet
rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
mv "$aside" /fast/wal
sync
done

=== same_place wal apart
[ ! -L /d.keep/r1/wal-of-original ] || [ "$(readlink /d.keep/r1/wal-of-original)" = /fast/wal.fleetrecover/r1/original ] || exit 74

=== withdraw wal apart
if [ -d /fast/wal.fleetrecover/r1/original ] && [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; then
[ ! -e /fast/wal.fleetrecover/r1/"withdrawn" ] || exit 65
mkdir -p /d.keep/r1/"withdrawn"; : > /d.keep/r1/"withdrawn"/no-member
ln -sfn /fast/wal.fleetrecover/r1/"withdrawn" /d.keep/r1/wal-of-"withdrawn"
sync; mv /fast/wal /fast/wal.fleetrecover/r1/"withdrawn"; sync
fi

=== filled
[ -n "$(ls -A /fast/wal 2>/dev/null)" ]

=== into_copy_from
rm -rf -- /copy/wal
if [ -d /fast/wal ]; then
cp -a --reflink=auto /fast/wal /copy/wal 2>/dev/null || { rm -rf -- /copy/wal; cp -a /fast/wal /copy/wal; }
diff -rq /fast/wal /copy/wal >&2 || exit 70
fi

