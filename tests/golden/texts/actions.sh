=== adopt
adopt: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
if [ -e /d/member ]; then [ ! -e /d.keep/r1/reset/member ] || exit 65; [ ! -d /d.keep/r1/reset ] || rmdir /d.keep/r1/reset; exit 0; fi
mv /d.keep/r1/reset/member /d/member
rmdir /d.keep/r1/reset
sync -f /d 2>/dev/null || sync
undo: mv /d/member to /d.keep/r1/withdrawn, then mv the original back

=== copy_original
copy: at most 3600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
rm -rf -- /d.keep/r1/partial /d.keep/r1/work /d.keep/r1/booted
free=$(df -Pk /d.keep/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 1028 ]; then echo "1028 KiB needed, $free KiB free in" /d.keep/r1 >&2; exit 69; fi
mkdir /d.keep/r1/partial
cp -a --reflink=auto /d.keep/r1/original/member /d.keep/r1/partial/member 2>/dev/null || { rm -rf -- /d.keep/r1/partial/member; cp -a /d.keep/r1/original/member /d.keep/r1/partial/member; }
diff -rq /d.keep/r1/original/member /d.keep/r1/partial/member >&2 || exit 70
chown --reference=/d /d.keep/r1/partial 2>/dev/null || true
chmod --reference=/d /d.keep/r1/partial 2>/dev/null || true
chcon --reference=/d /d.keep/r1/partial 2>/dev/null || true
sync -f /d.keep/r1 2>/dev/null || sync
undo: rm -rf /d.keep/r1/partial (a copy of ours), ends with the connection

=== keep_elsewhere
keep-elsewhere: at most 7200.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
umask 077
[ -L /d.keep/r1/original ] || [ ! -e /d.keep/r1/original ] || exit 65
if [ ! -e /d/member ]; then
  [ -e /d.keep/r1/original/member ] || exit 1
  exit 0
fi
data=$(readlink -f /d 2>/dev/null) || data=/d
running=$(docker ps -q --no-trunc)
for c in $running; do
  if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
    if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
    continue
  fi
  other=0
  case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
  printf '%s\n' "$said" | while read -r rw source; do
    case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
    [ -n "$source" ] || continue
    real=$(readlink -f "$source" 2>/dev/null) || real=$source
    real=${real%/}
    case $real/ in "$data"/*) echo "$c"; break ;; esac
    [ "$rw" = true ] && [ "$other" = 0 ] || continue
    case $data/ in "$real"/*) echo "$c"; break ;; esac
  done | grep -q . && exit 71 || true
done
mkdir -p /w/r1
chmod 700 /w/r1
[ -L /d.keep/r1/original ] || ln -s /w/r1/original /d.keep/r1/original
sync -f /d.keep/r1 2>/dev/null || sync
if ! [ -e /w/r1/original ] || ! diff -rq /w/r1/original/member /d/member >/dev/null; then
  if [ -e /w/r1/original ]; then n=/w/r1/superseded; while [ -e "$n" ]; do n=$n-; done; mv /w/r1/original "$n"; fi
  rm -rf -- /w/r1/original.new
  free=$(df -Pk /w/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
  case $free in ""|*[!0-9]*) free=unknown ;; esac
  if [ "$free" = unknown ] || [ "$free" -lt 1028 ]; then echo "1028 KiB needed, $free KiB free in" /w/r1 >&2; exit 69; fi
  mkdir /w/r1/original.new
  cp -a /d/member /w/r1/original.new/member
  sync -f /w/r1 2>/dev/null || sync
  diff -rq /d/member /w/r1/original.new/member >&2 || exit 70
  mv /w/r1/original.new /w/r1/original
  sync -f /w/r1 2>/dev/null || sync
fi
rm -rf -- /d.keep/r1/partial /d.keep/r1/work /d.keep/r1/booted
mkdir /d.keep/r1/partial
chown --reference=/d /d.keep/r1/partial 2>/dev/null || true
chmod --reference=/d /d.keep/r1/partial 2>/dev/null || true
chcon --reference=/d /d.keep/r1/partial 2>/dev/null || true
mv /d/member /d.keep/r1/partial/member
sync -f /d.keep/r1 2>/dev/null || sync
undo: it is copied back from /w/r1/original and compared

=== move_aside
keep-data: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
if [ -e /d.keep/r1/original/member ]; then { ! [ -e /d/member ]; } || exit 65; exit 0; fi
[ -e /d/member ] || exit 0
data=$(readlink -f /d 2>/dev/null) || data=/d
running=$(docker ps -q --no-trunc)
for c in $running; do
  if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
    if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
    continue
  fi
  other=0
  case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
  printf '%s\n' "$said" | while read -r rw source; do
    case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
    [ -n "$source" ] || continue
    real=$(readlink -f "$source" 2>/dev/null) || real=$source
    real=${real%/}
    case $real/ in "$data"/*) echo "$c"; break ;; esac
    [ "$rw" = true ] && [ "$other" = 0 ] || continue
    case $data/ in "$real"/*) echo "$c"; break ;; esac
  done | grep -q . && exit 71 || true
done
mkdir -p /d.keep/r1/original
chmod 700 /d.keep/r1/original
mv /d/member /d.keep/r1/original/member
sync -f /d.keep/r1 2>/dev/null || sync
undo: mv /d.keep/r1/original/member /d/member

=== put_data_back
put-data-back: at most 7200.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
if [ -L /d.keep/r1/original ]; then
  there=$(readlink /d.keep/r1/original)
  away=${there%/original}; [ "${away##*/}" = r1 ] || exit 72
  [ -e "$there/member" ] || exit 0
  data=$(readlink -f /d 2>/dev/null) || data=/d
  running=$(docker ps -q --no-trunc)
  for c in $running; do
    if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
      if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
      continue
    fi
    other=0
    case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
    printf '%s\n' "$said" | while read -r rw source; do
      case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
      [ -n "$source" ] || continue
      real=$(readlink -f "$source" 2>/dev/null) || real=$source
      real=${real%/}
      case $real/ in "$data"/*) echo "$c"; break ;; esac
      [ "$rw" = true ] && [ "$other" = 0 ] || continue
      case $data/ in "$real"/*) echo "$c"; break ;; esac
    done | grep -q . && exit 71 || true
  done
  rm -rf -- /d.keep/r1/withdrawn-copied /d.keep/r1/back
  t=$away/withdrawn; while [ -e "$t" ]; do t=$t-; done
  if [ -e /d/member ] && ! diff -rq "$there/member" /d/member >/dev/null; then
    rm -rf -- "$t.new"
    need=$(( $(du -sk /d/member | cut -f1) + 1024 ))
    free=$(df -Pk "$away" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
    case $free in ""|*[!0-9]*) free=unknown ;; esac
    if [ "$free" = unknown ] || [ "$free" -lt "$need" ]; then echo "$need KiB needed there, $free KiB free" >&2; exit 69; fi
    mkdir "$t.new"; chmod 700 "$t.new"
    cp -a /d/member "$t.new/member"
    diff -rq /d/member "$t.new/member" >&2 || exit 70
    sync; mv "$t.new" "$t"; sync
    mv /d/member /d.keep/r1/withdrawn-copied
    rm -rf -- /d.keep/r1/withdrawn-copied
  fi
  rm -rf -- /d.keep/r1/partial /d.keep/r1/work /d.keep/r1/booted /d.keep/r1/reset
  if [ -e /d.keep/r1/proof.json ]; then mv -f /d.keep/r1/proof.json /d.keep/r1/proof.json.undone; sync -f /d.keep/r1 2>/dev/null || sync; fi
  if [ ! -e /d/member ]; then
    need=$(( $(du -sk "$there/member" | cut -f1) + 1024 ))
    free=$(df -Pk /d | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
    case $free in ""|*[!0-9]*) free=unknown ;; esac
    if [ "$free" = unknown ] || [ "$free" -lt "$need" ]; then echo "$need KiB needed there, $free KiB free" >&2; exit 69; fi
    mkdir /d.keep/r1/back; chmod 700 /d.keep/r1/back
    cp -a "$there/member" /d.keep/r1/back/member
    diff -rq "$there/member" /d.keep/r1/back/member >&2 || exit 70
    sync; mv /d.keep/r1/back/member /d/member; rmdir /d.keep/r1/back
  fi
  mv /d.keep/r1/original /d.keep/r1/original-elsewhere; sync
  exit 0
fi
[ -e /d.keep/r1/original/member ] || [ -e /d.keep/r1/no-data ] || exit 0
[ -e /d.keep/r1/original/member ] || [ -e /d/member ] || exit 0
data=$(readlink -f /d 2>/dev/null) || data=/d
running=$(docker ps -q --no-trunc)
for c in $running; do
  if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
    if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
    continue
  fi
  other=0
  case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
  printf '%s\n' "$said" | while read -r rw source; do
    case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
    [ -n "$source" ] || continue
    real=$(readlink -f "$source" 2>/dev/null) || real=$source
    real=${real%/}
    case $real/ in "$data"/*) echo "$c"; break ;; esac
    [ "$rw" = true ] && [ "$other" = 0 ] || continue
    case $data/ in "$real"/*) echo "$c"; break ;; esac
  done | grep -q . && exit 71 || true
done
if [ -e /d/member ]; then
  away=/d.keep/r1/withdrawn
  while [ -e "$away/member" ]; do away=$away-; done
  mkdir -p "$away"; chmod 700 "$away"
  mv /d/member "$away/member"
  sync -f /d.keep/r1 2>/dev/null || sync
fi
if [ -e /d.keep/r1/proof.json ]; then mv -f /d.keep/r1/proof.json /d.keep/r1/proof.json.undone; sync -f /d.keep/r1 2>/dev/null || sync; fi
[ -e /d.keep/r1/original/member ] || exit 0
mv /d.keep/r1/original/member /d/member
rmdir /d.keep/r1/original 2>/dev/null || true
sync -f /d 2>/dev/null || sync
undo: -

=== reunite
reunite: at most 60.0 s, 8388608 bytes, exit codes 0
shown: see that the WAL lies with its data
set -eu
umask 077
:
undo: they belong together

=== remove_run
remove-run: at most 1800.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ -d /d.keep/r1 ] || exit 0
for link in /d.keep/r1/wal-of-*; do
  [ -L "$link" ] || continue
  aside=$(readlink "$link"); top=${aside%/*}
  case $top in /*.fleetrecover/r1) ;; *) continue ;; esac
  rm -rf -- "$top"; rmdir "${top%/*}" 2>/dev/null || true
done
for link in /d.keep/r1/original /d.keep/r1/original-elsewhere; do
  [ -L "$link" ] || continue
  away=$(readlink "$link"); away=${away%/original}
  case $away in /*/r1) rm -rf -- "$away" ;; esac
done
find /d.keep/r1 -mindepth 1 -maxdepth 1 ! -name run.json ! -name finished ! -name undone -exec rm -rf -- {} +
rm -rf -- /d.keep/r1
undo: it cannot be taken back

=== ensure_data_dir
data-dir: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ -d /d ] || { (umask 022; mkdir -p /); mkdir /d && { chcon system_u:object_r:x /d 2>/dev/null || true; }; }
chown 1000:1000 /d
chmod 0700 /d
undo: an empty directory stays

=== append_to_wal
raise-commit: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
if [ "$(tail -c +513 /d.keep/r1/partial/member/wal/0.wal | head -c 7 | od -An -v -tx1 | tr -d ' \n')" = 007265636f7264 ]; then exit 0; fi
truncate -s 512 /d.keep/r1/partial/member/wal/0.wal
printf '\000\162\145\143\157\162\144' | dd of=/d.keep/r1/partial/member/wal/0.wal bs=1 seek=512 conv=notrunc 2>/dev/null
sync -f /d.keep/r1 2>/dev/null || sync
[ "$(tail -c +513 /d.keep/r1/partial/member/wal/0.wal | head -c 7 | od -An -v -tx1 | tr -d ' \n')" = 007265636f7264 ] || exit 67
undo: only the copy is changed

=== adopt wal apart
adopt: at most 1800.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
if [ -e /d/member ]; then [ ! -e /d.keep/r1/reset/member ] || exit 65; [ ! -d /d.keep/r1/reset ] || rm -rf -- /d.keep/r1/reset; exit 0; fi
[ ! -L /d.keep/r1/wal-of-original ] || [ "$(readlink /d.keep/r1/wal-of-original)" = /fast/wal.fleetrecover/r1/original ] || exit 74
if [ -e /d.keep/r1/reset/member/wal ]; then
  if [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; then
    diff -rq /d.keep/r1/reset/member/wal /fast/wal >&2 || exit 65
  else
    [ ! -L /fast/wal.fleetrecover ] || exit 72
    mkdir -p /fast/wal.fleetrecover/r1
    [ "$(stat -c %u /fast/wal.fleetrecover)" = "$(id -u)" ] || exit 72
    chmod 700 /fast/wal.fleetrecover /fast/wal.fleetrecover/r1
    rm -rf -- /fast/wal.fleetrecover/r1/incoming
    need=$(( $(du -sk /d.keep/r1/reset/member/wal | cut -f1) + 1024 ))
    free=$(df -Pk /fast | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
    case $free in ""|*[!0-9]*) free=unknown ;; esac
    if [ "$free" = unknown ] || [ "$free" -lt "$need" ]; then echo "$need KiB needed, $free KiB free in" /fast >&2; exit 69; fi
    cp -a /d.keep/r1/reset/member/wal /fast/wal.fleetrecover/r1/incoming
    diff -rq /d.keep/r1/reset/member/wal /fast/wal.fleetrecover/r1/incoming >&2 || exit 70
    chcon -R --reference=/fast/wal.fleetrecover/r1/original /fast/wal.fleetrecover/r1/incoming 2>/dev/null || true
    sync
    rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
    mv /fast/wal.fleetrecover/r1/incoming /fast/wal
    sync
  fi
  rm -rf -- /d.keep/r1/reset/wal-put; mv /d.keep/r1/reset/member/wal /d.keep/r1/reset/wal-put; sync
fi
[ -n "$(ls -A /fast/wal 2>/dev/null)" ] || exit 70
rm -rf -- /d.keep/r1/reset/wal-put
mv /d.keep/r1/reset/member /d/member
rm -rf -- /d.keep/r1/reset
sync -f /d 2>/dev/null || sync
undo: mv /d/member to /d.keep/r1/withdrawn, then mv the original back

=== copy_original wal apart
copy: at most 3600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
rm -rf -- /d.keep/r1/partial /d.keep/r1/work /d.keep/r1/booted
free=$(df -Pk /d.keep/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 1028 ]; then echo "1028 KiB needed, $free KiB free in" /d.keep/r1 >&2; exit 69; fi
mkdir /d.keep/r1/partial
cp -a --reflink=auto /d.keep/r1/original/member /d.keep/r1/partial/member 2>/dev/null || { rm -rf -- /d.keep/r1/partial/member; cp -a /d.keep/r1/original/member /d.keep/r1/partial/member; }
diff -rq /d.keep/r1/original/member /d.keep/r1/partial/member >&2 || exit 70
[ ! -L /d.keep/r1/wal-of-original ] || [ "$(readlink /d.keep/r1/wal-of-original)" = /fast/wal.fleetrecover/r1/original ] || exit 74
rm -rf -- /d.keep/r1/partial/member/wal
if [ -d /fast/wal.fleetrecover/r1/original ]; then
  cp -a --reflink=auto /fast/wal.fleetrecover/r1/original /d.keep/r1/partial/member/wal 2>/dev/null || { rm -rf -- /d.keep/r1/partial/member/wal; cp -a /fast/wal.fleetrecover/r1/original /d.keep/r1/partial/member/wal; }
  diff -rq /fast/wal.fleetrecover/r1/original /d.keep/r1/partial/member/wal >&2 || exit 70
fi
chown --reference=/d /d.keep/r1/partial 2>/dev/null || true
chmod --reference=/d /d.keep/r1/partial 2>/dev/null || true
chcon --reference=/d /d.keep/r1/partial 2>/dev/null || true
sync -f /d.keep/r1 2>/dev/null || sync
undo: rm -rf /d.keep/r1/partial (a copy of ours), ends with the connection

=== keep_elsewhere wal apart
keep-elsewhere: at most 7200.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
umask 077
[ ! -L /d.keep/r1/wal-of-original ] || [ "$(readlink /d.keep/r1/wal-of-original)" = /fast/wal.fleetrecover/r1/original ] || exit 74
for link in /d.keep/*/wal-of-*; do
  part=${link%/wal-of-*}/${link##*/wal-of-}; run=${link%/*}; aside=$(readlink "$link") || continue
  [ -d "$aside" ] && [ -e /d/member ] || continue
  [ ! -e "$part/member" ] && [ ! -e "$part/no-member" ] || continue
  [ ! -e "$run/finished" ] && [ ! -e "$run/undone" ] || continue
  data=$(readlink -f /d 2>/dev/null) || data=/d
  wal=/fast/wal
  running=$(docker ps -q --no-trunc)
  for c in $running; do
    if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
      if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
      continue
    fi
    other=0
    case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
    printf '%s\n' "$said" | while read -r rw source; do
      case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
      [ -n "$source" ] || continue
      real=$(readlink -f "$source" 2>/dev/null) || real=$source
      real=${real%/}
      case $real/ in "$data"/*) echo "$c"; break ;; esac
      case $real/ in "$wal"/*) echo "$c"; break ;; esac
      [ "$rw" = true ] && [ "$other" = 0 ] || continue
      case $data/ in "$real"/*) echo "$c"; break ;; esac
      case $wal/ in "$real"/*) echo "$c"; break ;; esac
    done | grep -q . && exit 71 || true
  done
  rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
  mv "$aside" /fast/wal
  sync
done
[ -L /d.keep/r1/original ] || [ ! -e /d.keep/r1/original ] || exit 65
if [ ! -e /d/member ]; then
  [ -e /d.keep/r1/original/member ] || exit 1
  if [ -d /d.keep/r1/partial/wal ]; then rm -rf -- /d.keep/r1/partial/member/wal; mv /d.keep/r1/partial/wal /d.keep/r1/partial/member/wal; sync -f /d.keep/r1 2>/dev/null || sync; fi
  exit 0
fi
data=$(readlink -f /d 2>/dev/null) || data=/d
wal=/fast/wal
running=$(docker ps -q --no-trunc)
for c in $running; do
  if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
    if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
    continue
  fi
  other=0
  case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
  printf '%s\n' "$said" | while read -r rw source; do
    case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
    [ -n "$source" ] || continue
    real=$(readlink -f "$source" 2>/dev/null) || real=$source
    real=${real%/}
    case $real/ in "$data"/*) echo "$c"; break ;; esac
    case $real/ in "$wal"/*) echo "$c"; break ;; esac
    [ "$rw" = true ] && [ "$other" = 0 ] || continue
    case $data/ in "$real"/*) echo "$c"; break ;; esac
    case $wal/ in "$real"/*) echo "$c"; break ;; esac
  done | grep -q . && exit 71 || true
done
mkdir -p /w/r1
chmod 700 /w/r1
[ -L /d.keep/r1/original ] || ln -s /w/r1/original /d.keep/r1/original
sync -f /d.keep/r1 2>/dev/null || sync
if ! [ -e /w/r1/original ] || ! diff -rq /w/r1/original/member /d/member >/dev/null; then
  if [ -e /w/r1/original ]; then n=/w/r1/superseded; while [ -e "$n" ]; do n=$n-; done; mv /w/r1/original "$n"; fi
  rm -rf -- /w/r1/original.new
  free=$(df -Pk /w/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
  case $free in ""|*[!0-9]*) free=unknown ;; esac
  if [ "$free" = unknown ] || [ "$free" -lt 1028 ]; then echo "1028 KiB needed, $free KiB free in" /w/r1 >&2; exit 69; fi
  mkdir /w/r1/original.new
  cp -a /d/member /w/r1/original.new/member
  sync -f /w/r1 2>/dev/null || sync
  diff -rq /d/member /w/r1/original.new/member >&2 || exit 70
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
  mv /w/r1/original.new /w/r1/original
  sync -f /w/r1 2>/dev/null || sync
fi
rm -rf -- /d.keep/r1/partial /d.keep/r1/work /d.keep/r1/booted
mkdir /d.keep/r1/partial
chown --reference=/d /d.keep/r1/partial 2>/dev/null || true
chmod --reference=/d /d.keep/r1/partial 2>/dev/null || true
chcon --reference=/d /d.keep/r1/partial 2>/dev/null || true
rm -rf -- /d.keep/r1/partial/wal
if [ -d /fast/wal.fleetrecover/r1/original ]; then
  cp -a --reflink=auto /fast/wal.fleetrecover/r1/original /d.keep/r1/partial/wal 2>/dev/null || { rm -rf -- /d.keep/r1/partial/wal; cp -a /fast/wal.fleetrecover/r1/original /d.keep/r1/partial/wal; }
  diff -rq /fast/wal.fleetrecover/r1/original /d.keep/r1/partial/wal >&2 || exit 70
fi
mv /d/member /d.keep/r1/partial/member
if [ -d /d.keep/r1/partial/wal ]; then rm -rf -- /d.keep/r1/partial/member/wal; mv /d.keep/r1/partial/wal /d.keep/r1/partial/member/wal; sync -f /d.keep/r1 2>/dev/null || sync; fi
sync -f /d.keep/r1 2>/dev/null || sync
undo: it is copied back from /w/r1/original and compared

=== move_aside wal apart
keep-data: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ ! -L /d.keep/r1/wal-of-original ] || [ "$(readlink /d.keep/r1/wal-of-original)" = /fast/wal.fleetrecover/r1/original ] || exit 74
for link in /d.keep/*/wal-of-*; do
  part=${link%/wal-of-*}/${link##*/wal-of-}; run=${link%/*}; aside=$(readlink "$link") || continue
  [ -d "$aside" ] && [ -e /d/member ] || continue
  [ ! -e "$part/member" ] && [ ! -e "$part/no-member" ] || continue
  [ ! -e "$run/finished" ] && [ ! -e "$run/undone" ] || continue
  data=$(readlink -f /d 2>/dev/null) || data=/d
  wal=/fast/wal
  running=$(docker ps -q --no-trunc)
  for c in $running; do
    if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
      if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
      continue
    fi
    other=0
    case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
    printf '%s\n' "$said" | while read -r rw source; do
      case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
      [ -n "$source" ] || continue
      real=$(readlink -f "$source" 2>/dev/null) || real=$source
      real=${real%/}
      case $real/ in "$data"/*) echo "$c"; break ;; esac
      case $real/ in "$wal"/*) echo "$c"; break ;; esac
      [ "$rw" = true ] && [ "$other" = 0 ] || continue
      case $data/ in "$real"/*) echo "$c"; break ;; esac
      case $wal/ in "$real"/*) echo "$c"; break ;; esac
    done | grep -q . && exit 71 || true
  done
  rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
  mv "$aside" /fast/wal
  sync
done
if [ -e /d.keep/r1/original/member ]; then { ! { [ -e /d/member ] || [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; }; } || exit 65; exit 0; fi
{ [ -e /d/member ] || [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; } || exit 0
data=$(readlink -f /d 2>/dev/null) || data=/d
wal=/fast/wal
running=$(docker ps -q --no-trunc)
for c in $running; do
  if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
    if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
    continue
  fi
  other=0
  case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
  printf '%s\n' "$said" | while read -r rw source; do
    case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
    [ -n "$source" ] || continue
    real=$(readlink -f "$source" 2>/dev/null) || real=$source
    real=${real%/}
    case $real/ in "$data"/*) echo "$c"; break ;; esac
    case $real/ in "$wal"/*) echo "$c"; break ;; esac
    [ "$rw" = true ] && [ "$other" = 0 ] || continue
    case $data/ in "$real"/*) echo "$c"; break ;; esac
    case $wal/ in "$real"/*) echo "$c"; break ;; esac
  done | grep -q . && exit 71 || true
done
mkdir -p /d.keep/r1/original
chmod 700 /d.keep/r1/original
[ -e /d/member ] || : > /d.keep/r1/original/no-member
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
[ ! -e /d/member ] || mv /d/member /d.keep/r1/original/member
sync -f /d.keep/r1 2>/dev/null || sync
undo: mv /d.keep/r1/original/member /d/member; mv /fast/wal.fleetrecover/r1/original /fast/wal

=== put_data_back wal apart
put-data-back: at most 7200.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ ! -L /d.keep/r1/wal-of-original ] || [ "$(readlink /d.keep/r1/wal-of-original)" = /fast/wal.fleetrecover/r1/original ] || exit 74
for link in /d.keep/*/wal-of-*; do
  part=${link%/wal-of-*}/${link##*/wal-of-}; run=${link%/*}; aside=$(readlink "$link") || continue
  [ -d "$aside" ] && [ -e /d/member ] || continue
  [ ! -e "$part/member" ] && [ ! -e "$part/no-member" ] || continue
  [ ! -e "$run/finished" ] && [ ! -e "$run/undone" ] || continue
  data=$(readlink -f /d 2>/dev/null) || data=/d
  wal=/fast/wal
  running=$(docker ps -q --no-trunc)
  for c in $running; do
    if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
      if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
      continue
    fi
    other=0
    case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
    printf '%s\n' "$said" | while read -r rw source; do
      case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
      [ -n "$source" ] || continue
      real=$(readlink -f "$source" 2>/dev/null) || real=$source
      real=${real%/}
      case $real/ in "$data"/*) echo "$c"; break ;; esac
      case $real/ in "$wal"/*) echo "$c"; break ;; esac
      [ "$rw" = true ] && [ "$other" = 0 ] || continue
      case $data/ in "$real"/*) echo "$c"; break ;; esac
      case $wal/ in "$real"/*) echo "$c"; break ;; esac
    done | grep -q . && exit 71 || true
  done
  rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
  mv "$aside" /fast/wal
  sync
done
if [ -L /d.keep/r1/original ]; then
  there=$(readlink /d.keep/r1/original)
  away=${there%/original}; [ "${away##*/}" = r1 ] || exit 72
  [ -e "$there/member" ] || exit 0
  data=$(readlink -f /d 2>/dev/null) || data=/d
  wal=/fast/wal
  running=$(docker ps -q --no-trunc)
  for c in $running; do
    if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
      if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
      continue
    fi
    other=0
    case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
    printf '%s\n' "$said" | while read -r rw source; do
      case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
      [ -n "$source" ] || continue
      real=$(readlink -f "$source" 2>/dev/null) || real=$source
      real=${real%/}
      case $real/ in "$data"/*) echo "$c"; break ;; esac
      case $real/ in "$wal"/*) echo "$c"; break ;; esac
      [ "$rw" = true ] && [ "$other" = 0 ] || continue
      case $data/ in "$real"/*) echo "$c"; break ;; esac
      case $wal/ in "$real"/*) echo "$c"; break ;; esac
    done | grep -q . && exit 71 || true
  done
  rm -rf -- /d.keep/r1/withdrawn-copied /d.keep/r1/back
  t=$away/withdrawn; while [ -e "$t" ]; do t=$t-; done
  if [ -d /fast/wal.fleetrecover/r1/original ] && [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; then
    [ ! -e /fast/wal.fleetrecover/r1/"${t##*/}" ] || exit 65
    mkdir -p /d.keep/r1/"${t##*/}"; : > /d.keep/r1/"${t##*/}"/no-member
    ln -sfn /fast/wal.fleetrecover/r1/"${t##*/}" /d.keep/r1/wal-of-"${t##*/}"
    sync; mv /fast/wal /fast/wal.fleetrecover/r1/"${t##*/}"; sync
  fi
  if [ -e /d/member ] && ! diff -rq "$there/member" /d/member >/dev/null; then
    rm -rf -- "$t.new"
    need=$(( $(du -sk /d/member | cut -f1) + 1024 ))
    free=$(df -Pk "$away" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
    case $free in ""|*[!0-9]*) free=unknown ;; esac
    if [ "$free" = unknown ] || [ "$free" -lt "$need" ]; then echo "$need KiB needed there, $free KiB free" >&2; exit 69; fi
    mkdir "$t.new"; chmod 700 "$t.new"
    cp -a /d/member "$t.new/member"
    diff -rq /d/member "$t.new/member" >&2 || exit 70
    sync; mv "$t.new" "$t"; sync
    mv /d/member /d.keep/r1/withdrawn-copied
    rm -rf -- /d.keep/r1/withdrawn-copied
  fi
  rm -rf -- /d.keep/r1/partial /d.keep/r1/work /d.keep/r1/booted /d.keep/r1/reset
  if [ -e /d.keep/r1/proof.json ]; then mv -f /d.keep/r1/proof.json /d.keep/r1/proof.json.undone; sync -f /d.keep/r1 2>/dev/null || sync; fi
  if [ ! -e /d/member ]; then
    need=$(( $(du -sk "$there/member" | cut -f1) + 1024 ))
    free=$(df -Pk /d | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
    case $free in ""|*[!0-9]*) free=unknown ;; esac
    if [ "$free" = unknown ] || [ "$free" -lt "$need" ]; then echo "$need KiB needed there, $free KiB free" >&2; exit 69; fi
    mkdir /d.keep/r1/back; chmod 700 /d.keep/r1/back
    cp -a "$there/member" /d.keep/r1/back/member
    diff -rq "$there/member" /d.keep/r1/back/member >&2 || exit 70
    sync; mv /d.keep/r1/back/member /d/member; rmdir /d.keep/r1/back
  fi
  if [ -d /fast/wal.fleetrecover/r1/original ]; then
    rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
    mv /fast/wal.fleetrecover/r1/original /fast/wal
    sync
  fi
  mv /d.keep/r1/original /d.keep/r1/original-elsewhere; sync
  exit 0
fi
{ [ -e /d.keep/r1/original/member ] || [ -d /fast/wal.fleetrecover/r1/original ]; } || [ -e /d.keep/r1/no-data ] || exit 0
{ [ -e /d.keep/r1/original/member ] || [ -d /fast/wal.fleetrecover/r1/original ]; } || { [ -e /d/member ] || [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; } || exit 0
data=$(readlink -f /d 2>/dev/null) || data=/d
wal=/fast/wal
running=$(docker ps -q --no-trunc)
for c in $running; do
  if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
    if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
    continue
  fi
  other=0
  case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
  printf '%s\n' "$said" | while read -r rw source; do
    case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
    [ -n "$source" ] || continue
    real=$(readlink -f "$source" 2>/dev/null) || real=$source
    real=${real%/}
    case $real/ in "$data"/*) echo "$c"; break ;; esac
    case $real/ in "$wal"/*) echo "$c"; break ;; esac
    [ "$rw" = true ] && [ "$other" = 0 ] || continue
    case $data/ in "$real"/*) echo "$c"; break ;; esac
    case $wal/ in "$real"/*) echo "$c"; break ;; esac
  done | grep -q . && exit 71 || true
done
if { [ -e /d/member ] || [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; }; then
  away=/d.keep/r1/withdrawn
  while [ -e "$away" ]; do away=$away-; done
  mkdir -p "$away"; chmod 700 "$away"
  [ -e /d/member ] || : > "$away/no-member"
  [ ! -L /fast/wal.fleetrecover ] || exit 72
  mkdir -p /fast/wal.fleetrecover/r1
  [ "$(stat -c %u /fast/wal.fleetrecover)" = "$(id -u)" ] || exit 72
  chmod 700 /fast/wal.fleetrecover /fast/wal.fleetrecover/r1
  to=/fast/wal.fleetrecover/r1/"${away##*/}"
  [ ! -e "$to" ] || exit 65
  ln -sfn "$to" /d.keep/r1/wal-of-"${away##*/}"
  if [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; then sync; mv /fast/wal "$to"; sync; fi
  [ ! -e /d/member ] || mv /d/member "$away/member"
  sync -f /d.keep/r1 2>/dev/null || sync
fi
if [ -e /d.keep/r1/proof.json ]; then mv -f /d.keep/r1/proof.json /d.keep/r1/proof.json.undone; sync -f /d.keep/r1 2>/dev/null || sync; fi
[ ! -e /d.keep/r1/original/member ] || mv /d.keep/r1/original/member /d/member
if [ -d /fast/wal.fleetrecover/r1/original ]; then
  rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
  mv /fast/wal.fleetrecover/r1/original /fast/wal
  sync
fi
rm -f /d.keep/r1/original/no-member
rmdir /d.keep/r1/original 2>/dev/null || true
sync -f /d 2>/dev/null || sync
undo: -

=== reunite wal apart
reunite: at most 60.0 s, 8388608 bytes, exit codes 0
shown: see that the WAL lies with its data
set -eu
umask 077
[ ! -L /d.keep/r1/wal-of-original ] || [ "$(readlink /d.keep/r1/wal-of-original)" = /fast/wal.fleetrecover/r1/original ] || exit 74
for link in /d.keep/*/wal-of-*; do
  part=${link%/wal-of-*}/${link##*/wal-of-}; run=${link%/*}; aside=$(readlink "$link") || continue
  [ -d "$aside" ] && [ -e /d/member ] || continue
  [ ! -e "$part/member" ] && [ ! -e "$part/no-member" ] || continue
  [ ! -e "$run/finished" ] && [ ! -e "$run/undone" ] || continue
  data=$(readlink -f /d 2>/dev/null) || data=/d
  wal=/fast/wal
  running=$(docker ps -q --no-trunc)
  for c in $running; do
    if ! said=$(docker inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
      if docker ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
      continue
    fi
    other=0
    case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
    printf '%s\n' "$said" | while read -r rw source; do
      case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
      [ -n "$source" ] || continue
      real=$(readlink -f "$source" 2>/dev/null) || real=$source
      real=${real%/}
      case $real/ in "$data"/*) echo "$c"; break ;; esac
      case $real/ in "$wal"/*) echo "$c"; break ;; esac
      [ "$rw" = true ] && [ "$other" = 0 ] || continue
      case $data/ in "$real"/*) echo "$c"; break ;; esac
      case $wal/ in "$real"/*) echo "$c"; break ;; esac
    done | grep -q . && exit 71 || true
  done
  rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
  mv "$aside" /fast/wal
  sync
done
undo: they belong together

=== remove_run wal apart
remove-run: at most 1800.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ -d /d.keep/r1 ] || exit 0
for link in /d.keep/r1/wal-of-*; do
  [ -L "$link" ] || continue
  aside=$(readlink "$link"); top=${aside%/*}
  case $top in /*.fleetrecover/r1) ;; *) continue ;; esac
  rm -rf -- "$top"; rmdir "${top%/*}" 2>/dev/null || true
done
for link in /d.keep/r1/original /d.keep/r1/original-elsewhere; do
  [ -L "$link" ] || continue
  away=$(readlink "$link"); away=${away%/original}
  case $away in /*/r1) rm -rf -- "$away" ;; esac
done
find /d.keep/r1 -mindepth 1 -maxdepth 1 ! -name run.json ! -name finished ! -name undone -exec rm -rf -- {} +
rm -rf -- /d.keep/r1
undo: it cannot be taken back

=== ensure_data_dir wal apart
data-dir: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ -d /d ] || { (umask 022; mkdir -p /); mkdir /d && { chcon system_u:object_r:x /d 2>/dev/null || true; }; }
chown 1000:1000 /d
chmod 0700 /d
if [ ! -d /fast/wal ]; then
  (umask 022; mkdir -p /fast); mkdir /fast/wal
  like=/fast/wal.fleetrecover/r1/original; [ -d "$like" ] || like=/d
  chown --reference="$like" /fast/wal 2>/dev/null || true
  chmod --reference="$like" /fast/wal 2>/dev/null || true
  chcon --reference="$like" /fast/wal 2>/dev/null || true
fi
undo: an empty directory stays

=== append_to_wal wal apart
raise-commit: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
if [ "$(tail -c +513 /d.keep/r1/partial/member/wal/0.wal | head -c 7 | od -An -v -tx1 | tr -d ' \n')" = 007265636f7264 ]; then exit 0; fi
truncate -s 512 /d.keep/r1/partial/member/wal/0.wal
printf '\000\162\145\143\157\162\144' | dd of=/d.keep/r1/partial/member/wal/0.wal bs=1 seek=512 conv=notrunc 2>/dev/null
sync -f /d.keep/r1 2>/dev/null || sync
[ "$(tail -c +513 /d.keep/r1/partial/member/wal/0.wal | head -c 7 | od -An -v -tx1 | tr -d ' \n')" = 007265636f7264 ] || exit 67
undo: only the copy is changed

=== adopt another part
adopt: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
if [ -e 'it'"'"'s $HOME; a b/member' ]; then [ ! -e /d.keep/r1/restored/member ] || exit 65; [ ! -d /d.keep/r1/restored ] || rmdir /d.keep/r1/restored; exit 0; fi
mv /d.keep/r1/restored/member 'it'"'"'s $HOME; a b/member'
rmdir /d.keep/r1/restored
sync -f 'it'"'"'s $HOME; a b' 2>/dev/null || sync
undo: mv 'it'"'"'s $HOME; a b/member' to /d.keep/r1/withdrawn, then mv the original back

=== move_aside another part
keep-data: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ ! -L /d.keep/r1/wal-of-original ] || [ "$(readlink /d.keep/r1/wal-of-original)" = /fast/wal.fleetrecover/r1/original ] || exit 74
for link in /d.keep/*/wal-of-*; do
  part=${link%/wal-of-*}/${link##*/wal-of-}; run=${link%/*}; aside=$(readlink "$link") || continue
  [ -d "$aside" ] && [ -e /d/member ] || continue
  [ ! -e "$part/member" ] && [ ! -e "$part/no-member" ] || continue
  [ ! -e "$run/finished" ] && [ ! -e "$run/undone" ] || continue
  data=$(readlink -f /d 2>/dev/null) || data=/d
  wal=/fast/wal
  running=$(podman ps -q --no-trunc)
  for c in $running; do
    if ! said=$(podman inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
      if podman ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
      continue
    fi
    other=0
    case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
    printf '%s\n' "$said" | while read -r rw source; do
      case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
      [ -n "$source" ] || continue
      real=$(readlink -f "$source" 2>/dev/null) || real=$source
      real=${real%/}
      case $real/ in "$data"/*) echo "$c"; break ;; esac
      case $real/ in "$wal"/*) echo "$c"; break ;; esac
      [ "$rw" = true ] && [ "$other" = 0 ] || continue
      case $data/ in "$real"/*) echo "$c"; break ;; esac
      case $wal/ in "$real"/*) echo "$c"; break ;; esac
    done | grep -q . && exit 71 || true
  done
  rmdir /fast/wal 2>/dev/null || [ ! -e /fast/wal ] || exit 65
  mv "$aside" /fast/wal
  sync
done
if [ -e /d.keep/r1/withdrawn/member ]; then { ! { [ -e /d/member ] || [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; }; } || exit 65; exit 0; fi
{ [ -e /d/member ] || [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; } || exit 0
data=$(readlink -f /d 2>/dev/null) || data=/d
wal=/fast/wal
running=$(podman ps -q --no-trunc)
for c in $running; do
  if ! said=$(podman inspect -f 'is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}{{range .Mounts}}{{println .RW .Source}}{{end}}' "$c" 2>/dev/null); then
    if podman ps -q --no-trunc | grep -qxF "$c"; then exit 71; fi
    continue
  fi
  other=0
  case $(printf '%s\n' "$said" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac
  printf '%s\n' "$said" | while read -r rw source; do
    case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac
    [ -n "$source" ] || continue
    real=$(readlink -f "$source" 2>/dev/null) || real=$source
    real=${real%/}
    case $real/ in "$data"/*) echo "$c"; break ;; esac
    case $real/ in "$wal"/*) echo "$c"; break ;; esac
    [ "$rw" = true ] && [ "$other" = 0 ] || continue
    case $data/ in "$real"/*) echo "$c"; break ;; esac
    case $wal/ in "$real"/*) echo "$c"; break ;; esac
  done | grep -q . && exit 71 || true
done
mkdir -p /d.keep/r1/withdrawn
chmod 700 /d.keep/r1/withdrawn
[ -e /d/member ] || : > /d.keep/r1/withdrawn/no-member
[ ! -L /fast/wal.fleetrecover ] || exit 72
mkdir -p /fast/wal.fleetrecover/r1
[ "$(stat -c %u /fast/wal.fleetrecover)" = "$(id -u)" ] || exit 72
chmod 700 /fast/wal.fleetrecover /fast/wal.fleetrecover/r1
ln -sfn /fast/wal.fleetrecover/r1/withdrawn /d.keep/r1/wal-of-withdrawn
if [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; then
  [ ! -e /fast/wal.fleetrecover/r1/withdrawn ] || exit 65
  sync
  mv /fast/wal /fast/wal.fleetrecover/r1/withdrawn
  sync
fi
[ ! -e /d/member ] || mv /d/member /d.keep/r1/withdrawn/member
sync -f /d.keep/r1 2>/dev/null || sync
undo: mv /d.keep/r1/withdrawn/member /d/member; mv /fast/wal.fleetrecover/r1/withdrawn /fast/wal

=== as_data
chown --reference=/d /x 2>/dev/null || true
chmod --reference=/d /x 2>/dev/null || true
chcon --reference=/d /x 2>/dev/null || true

=== beat
beat: at most 10.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ "$(cat /d.keep/hold/token 2>/dev/null)" = token ] || exit 0
echo 3 > /d.keep/hold/beat
undo: -

=== break_hold
break-hold: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ -d /d.keep/hold ] || exit 0
[ "$(cat /d.keep/hold/token 2>/dev/null)" = dead ] || exit 75
born() {
  stat=$(sed -e "s/.*) //" "/proc/$1/stat" 2>/dev/null) || return 0
  # shellcheck disable=SC2086
  set -- $stat
  case ${1:-Z} in Z|X) ;; *) printf %s "${20:-}" ;; esac
}
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) || boot=
up() { cut -d. -f1 /proc/uptime 2>/dev/null || echo 0; }
lives() {
  # shellcheck disable=SC2086
  set -- $1
  [ -n "${1:-}" ] || return 1
  [ -z "${2:-}" ] || [ -z "$boot" ] || [ "$2" = "$boot" ] || return 1
  [ -n "${1##*-}" ] && [ "$(born "${1%%-*}")" = "${1##*-}" ]
}
left() {
  # shellcheck disable=SC2086
  set -- $1
  more=$(( ${3:-$(up)} + ${4:-120} + 10 - $(up) ))
  if [ "$more" -gt 0 ]; then echo "$more"; else echo 1; fi
}
oust() {
  if ln "$busy.$$" "$1.${2%% *}" 2>/dev/null; then
    [ "$(cat "$1" 2>/dev/null)" != "$2" ] || rm -f "$1"
    rm -f "$1.${2%% *}"
    return 0
  fi
  set -- "$1.${2%% *}"
  set -- "$1" "$(cat "$1" 2>/dev/null)"
  if [ -z "$2" ]; then return 0; fi
  if lives "$2"; then sleep 1; else oust "$1" "$2"; fi
}
busy=/d.keep/busy
old=$(cat /d.keep/hold/busy 2>/dev/null) || old=
if lives "$old" && [ ! -e "$busy" ]; then echo "$old ${boot:--} $(up) 120 command" > "$busy"; fi
found=$(cat "$busy" 2>/dev/null) || found=
if [ -n "$found" ] && ! lives "$found"; then
  echo "$$-$(born $$) ${boot:--} $(up) 1 clear" > "$busy.$$" && oust "$busy" "$found"
fi
if [ ! -e "$busy" ]; then rm -f "$busy".*; fi
rm -rf -- /d.keep/hold.stale
mv /d.keep/hold /d.keep/hold.stale
rm -rf -- /d.keep/hold.stale
undo: -

=== copy_original reflink
copy: at most 3600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
rm -rf -- /d.keep/r1/partial /d.keep/r1/work /d.keep/r1/booted
mkdir /d.keep/r1/partial
cp -a --reflink=always /d.keep/r1/original/member /d.keep/r1/partial/member || { rm -rf -- /d.keep/r1/partial/member; exit 73; }
diff -rq /d.keep/r1/original/member /d.keep/r1/partial/member >&2 || exit 70
chown --reference=/d /d.keep/r1/partial 2>/dev/null || true
chmod --reference=/d /d.keep/r1/partial 2>/dev/null || true
chcon --reference=/d /d.keep/r1/partial 2>/dev/null || true
sync -f /d.keep/r1 2>/dev/null || sync
undo: rm -rf /d.keep/r1/partial (a copy of ours), ends with the connection

=== enough
free=$(df -Pk /d.keep | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 1028 ]; then echo "1028 KiB needed, $free KiB free in" /d.keep >&2; exit 69; fi

=== ensure_data_dir nothing known
data-dir: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ -d /d ] || { (umask 022; mkdir -p /); mkdir /d; }
undo: an empty directory stays

=== mark
mark-finished: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
: > /d.keep/r1/finished
rm -f /d.keep/r1/undoing
sync -f /d.keep/r1 2>/dev/null || sync
undo: -

=== mark undone
mark-undone: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
: > /d.keep/r1/undone
sync -f /d.keep/r1 2>/dev/null || sync
undo: -

=== mark undoing
mark-undoing: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
: > /d.keep/r1/undoing
sync -f /d.keep/r1 2>/dev/null || sync
undo: -

=== open_run
open-run: at most 60.0 s, 8388608 bytes, exit codes 0
shown: mkdir -p /d.keep/r1; write /d.keep/r1/run.json
set -eu
umask 077
umask 077
mkdir -p /d.keep/r1
chmod 700 /d.keep /d.keep/r1
if [ -e /d.keep/r1/undone ]; then
  cd /d.keep/r1
  for f in containers.json proof.json; do [ ! -e $f ] || mv -f $f $f.undone; done
  rm -f no-data stopped finished undoing; sync; rm -f undone
  cd /
fi
(umask 077; t=/d.keep/r1/run.json.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '«{
 "run": "r1",
 "survivor": "n1"
}
»'; } >"$t" && chmod 0600 "$t" && sync && mv -f "$t" /d.keep/r1/run.json && sync)
undo: the directory stays, as the record of the run

=== probe_reflink
probe-reflink: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
umask 077
head -c 65536 /dev/zero > /d.keep/r1/reflink-1
cp --reflink=always /d.keep/r1/reflink-1 /d.keep/r1/reflink-2 2>/dev/null && code=0 || code=73
rm -f /d.keep/r1/reflink-1 /d.keep/r1/reflink-2
exit $code
undo: nothing stays

=== release_hold
release-hold: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ "$(cat /d.keep/hold/token 2>/dev/null)" = token ] || exit 0
born() {
  stat=$(sed -e "s/.*) //" "/proc/$1/stat" 2>/dev/null) || return 0
  # shellcheck disable=SC2086
  set -- $stat
  case ${1:-Z} in Z|X) ;; *) printf %s "${20:-}" ;; esac
}
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) || boot=
up() { cut -d. -f1 /proc/uptime 2>/dev/null || echo 0; }
lives() {
  # shellcheck disable=SC2086
  set -- $1
  [ -n "${1:-}" ] || return 1
  [ -z "${2:-}" ] || [ -z "$boot" ] || [ "$2" = "$boot" ] || return 1
  [ -n "${1##*-}" ] && [ "$(born "${1%%-*}")" = "${1##*-}" ]
}
left() {
  # shellcheck disable=SC2086
  set -- $1
  more=$(( ${3:-$(up)} + ${4:-120} + 10 - $(up) ))
  if [ "$more" -gt 0 ]; then echo "$more"; else echo 1; fi
}
oust() {
  if ln "$busy.$$" "$1.${2%% *}" 2>/dev/null; then
    [ "$(cat "$1" 2>/dev/null)" != "$2" ] || rm -f "$1"
    rm -f "$1.${2%% *}"
    return 0
  fi
  set -- "$1.${2%% *}"
  set -- "$1" "$(cat "$1" 2>/dev/null)"
  if [ -z "$2" ]; then return 0; fi
  if lives "$2"; then sleep 1; else oust "$1" "$2"; fi
}
busy=/d.keep/busy
old=$(cat /d.keep/hold/busy 2>/dev/null) || old=
if lives "$old" && [ ! -e "$busy" ]; then echo "$old ${boot:--} $(up) 120 command" > "$busy"; fi
found=$(cat "$busy" 2>/dev/null) || found=
if [ -n "$found" ] && ! lives "$found"; then
  echo "$$-$(born $$) ${boot:--} $(up) 1 clear" > "$busy.$$" && oust "$busy" "$found"
fi
if [ ! -e "$busy" ]; then rm -f "$busy".*; fi
rm -rf -- /d.keep/hold
rmdir /d.keep 2>/dev/null || true
undo: -

=== rename_part
partial-to-work: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
[ ! -e /d.keep/r1/work ] || { [ ! -e /d.keep/r1/partial ] && exit 0 || exit 65; }
mv /d.keep/r1/partial /d.keep/r1/work
sync -f /d.keep/r1 2>/dev/null || sync
undo: only the copy is changed

=== still_held
still-held: at most 10.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
:
undo: -

=== take_hold
take-hold: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
umask 077
[ ! -L /d.keep ] || exit 72
mkdir -p /d.keep
[ "$(stat -c %u /d.keep)" = "$(id -u)" ] || exit 72
if ! said=$(LC_ALL=C mkdir /d.keep/hold 2>&1); then
  case $said in *"File exists"*) ;; *) printf "%s\n" "$said" >&2; exit 1 ;; esac
  [ "$(cat /d.keep/hold/token 2>/dev/null)" = token ] && exit 0 || exit 75
fi
trap 'rm -rf /d.keep/hold' EXIT
(umask 077; t=/d.keep/hold/holder.json.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '«{"run": "r1"}
»'; } >"$t" && chmod 0600 "$t" && sync && mv -f "$t" /d.keep/hold/holder.json && sync)
(umask 077; t=/d.keep/hold/token.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '\164\157\153\145\156'; } >"$t" && chmod 0600 "$t" && sync && mv -f "$t" /d.keep/hold/token && sync)
trap - EXIT
undo: -

=== write_proof
write-proof: at most 60.0 s, 8388608 bytes, exit codes 0
shown: write /d.keep/r1/proof.json
set -eu
umask 077
(umask 077; t=/d.keep/r1/proof.json.new; trap 'rm -f "$t"' EXIT; trap 'exit 143' HUP INT TERM; rm -f "$t"
{ printf '«{"revision": 30}
»'; } >"$t" && chmod 0600 "$t" && sync && mv -f "$t" /d.keep/r1/proof.json && sync)
undo: nothing to take back

=== guarded
mark-finished: at most 60.0 s, 8388608 bytes, exit codes 0
umask 077
[ "$(cat /d.keep/hold/token 2>/dev/null)" = token ] || exit 97
born() {
  stat=$(sed -e "s/.*) //" "/proc/$1/stat" 2>/dev/null) || return 0
  # shellcheck disable=SC2086
  set -- $stat
  case ${1:-Z} in Z|X) ;; *) printf %s "${20:-}" ;; esac
}
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) || boot=
up() { cut -d. -f1 /proc/uptime 2>/dev/null || echo 0; }
lives() {
  # shellcheck disable=SC2086
  set -- $1
  [ -n "${1:-}" ] || return 1
  [ -z "${2:-}" ] || [ -z "$boot" ] || [ "$2" = "$boot" ] || return 1
  [ -n "${1##*-}" ] && [ "$(born "${1%%-*}")" = "${1##*-}" ]
}
left() {
  # shellcheck disable=SC2086
  set -- $1
  more=$(( ${3:-$(up)} + ${4:-120} + 10 - $(up) ))
  if [ "$more" -gt 0 ]; then echo "$more"; else echo 1; fi
}
oust() {
  if ln "$busy.$$" "$1.${2%% *}" 2>/dev/null; then
    [ "$(cat "$1" 2>/dev/null)" != "$2" ] || rm -f "$1"
    rm -f "$1.${2%% *}"
    return 0
  fi
  set -- "$1.${2%% *}"
  set -- "$1" "$(cat "$1" 2>/dev/null)"
  if [ -z "$2" ]; then return 0; fi
  if lives "$2"; then sleep 1; else oust "$1" "$2"; fi
}
busy=/d.keep/busy
me="$$-$(born $$) ${boot:--} $(up) 60 mark-finished"
other() {
  name=$(printf %s "${1##* }" | tr -cd "A-Za-z0-9._-")
  printf "busy: %s, at most %s s more\n" "${name:-command}" "$(left "$1")" >&2
  exit 98
}
old=$(cat /d.keep/hold/busy 2>/dev/null) || old=
if lives "$old"; then other "$old - $(up) 120 command"; fi
echo "$me" > "$busy.$$" || exit 1
tries=0
until ln "$busy.$$" "$busy" 2>/dev/null; do
  tries=$((tries + 1))
  if [ "$tries" -gt 9 ]; then echo "$busy cannot be made" >&2; rm -f "$busy.$$"; exit 1; fi
  found=$(cat "$busy" 2>/dev/null) || continue
  if lives "$found"; then rm -f "$busy.$$"; other "$found"; fi
  oust "$busy" "$found"
done
rm -f "$busy.$$"
[ "$(cat /d.keep/hold/token 2>/dev/null)" = token ] || { rm -f "$busy"; exit 97; }
(
set -eu
umask 077
: > /d.keep/r1/finished
rm -f /d.keep/r1/undoing
sync -f /d.keep/r1 2>/dev/null || sync
)
code=$?
rm -f "$busy"
exit "$code"

=== guarded ends alone
copy: at most 3600.0 s, 8388608 bytes, exit codes 0
umask 077
[ "$(cat /d.keep/hold/token 2>/dev/null)" = token ] || exit 97
born() {
  stat=$(sed -e "s/.*) //" "/proc/$1/stat" 2>/dev/null) || return 0
  # shellcheck disable=SC2086
  set -- $stat
  case ${1:-Z} in Z|X) ;; *) printf %s "${20:-}" ;; esac
}
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) || boot=
up() { cut -d. -f1 /proc/uptime 2>/dev/null || echo 0; }
lives() {
  # shellcheck disable=SC2086
  set -- $1
  [ -n "${1:-}" ] || return 1
  [ -z "${2:-}" ] || [ -z "$boot" ] || [ "$2" = "$boot" ] || return 1
  [ -n "${1##*-}" ] && [ "$(born "${1%%-*}")" = "${1##*-}" ]
}
left() {
  # shellcheck disable=SC2086
  set -- $1
  more=$(( ${3:-$(up)} + ${4:-120} + 10 - $(up) ))
  if [ "$more" -gt 0 ]; then echo "$more"; else echo 1; fi
}
oust() {
  if ln "$busy.$$" "$1.${2%% *}" 2>/dev/null; then
    [ "$(cat "$1" 2>/dev/null)" != "$2" ] || rm -f "$1"
    rm -f "$1.${2%% *}"
    return 0
  fi
  set -- "$1.${2%% *}"
  set -- "$1" "$(cat "$1" 2>/dev/null)"
  if [ -z "$2" ]; then return 0; fi
  if lives "$2"; then sleep 1; else oust "$1" "$2"; fi
}
busy=/d.keep/busy
me="$$-$(born $$) ${boot:--} $(up) 3600 copy"
other() {
  name=$(printf %s "${1##* }" | tr -cd "A-Za-z0-9._-")
  printf "busy: %s, at most %s s more\n" "${name:-command}" "$(left "$1")" >&2
  exit 98
}
old=$(cat /d.keep/hold/busy 2>/dev/null) || old=
if lives "$old"; then other "$old - $(up) 120 command"; fi
echo "$me" > "$busy.$$" || exit 1
tries=0
until ln "$busy.$$" "$busy" 2>/dev/null; do
  tries=$((tries + 1))
  if [ "$tries" -gt 9 ]; then echo "$busy cannot be made" >&2; rm -f "$busy.$$"; exit 1; fi
  found=$(cat "$busy" 2>/dev/null) || continue
  if lives "$found"; then rm -f "$busy.$$"; other "$found"; fi
  oust "$busy" "$found"
done
rm -f "$busy.$$"
[ "$(cat /d.keep/hold/token 2>/dev/null)" = token ] || { rm -f "$busy"; exit 97; }
sshd=${FLEETRECOVER_LOGIN:-$$}
while [ "$sshd" -gt 1 ]; do
  case $(cat "/proc/$sshd/comm" 2>/dev/null) in sshd*) break ;; esac
  sshd=$(sed -e "s/.*) //" "/proc/$sshd/stat" 2>/dev/null | cut -d" " -f2)
  sshd=${sshd:-1}
done
group=$(sed -e "s/.*) //" /proc/$$/stat 2>/dev/null | cut -d" " -f3)
watcher=
if [ "$sshd" -gt 1 ] && [ "$group" = $$ ]; then
  since=$(born "$sshd")
  {
    while sleep 2; do [ "$(born "$sshd")" = "$since" ] || kill -TERM "-$group"; done
  } </dev/null >/dev/null 2>&1 3<&- 4>&- &
  watcher=$!
fi
(
set -eu
umask 077
rm -rf -- /d.keep/r1/partial /d.keep/r1/work /d.keep/r1/booted
free=$(df -Pk /d.keep/r1 | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')
case $free in ""|*[!0-9]*) free=unknown ;; esac
if [ "$free" = unknown ] || [ "$free" -lt 1028 ]; then echo "1028 KiB needed, $free KiB free in" /d.keep/r1 >&2; exit 69; fi
mkdir /d.keep/r1/partial
cp -a --reflink=auto /d.keep/r1/original/member /d.keep/r1/partial/member 2>/dev/null || { rm -rf -- /d.keep/r1/partial/member; cp -a /d.keep/r1/original/member /d.keep/r1/partial/member; }
diff -rq /d.keep/r1/original/member /d.keep/r1/partial/member >&2 || exit 70
chown --reference=/d /d.keep/r1/partial 2>/dev/null || true
chmod --reference=/d /d.keep/r1/partial 2>/dev/null || true
chcon --reference=/d /d.keep/r1/partial 2>/dev/null || true
sync -f /d.keep/r1 2>/dev/null || sync
)
code=$?
[ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
rm -f "$busy"
exit "$code"

