=== data_listing
data-listing: at most 40.0 s, 33554432 bytes, exit codes 0
p=/d
r=$(readlink -f "$p" 2>/dev/null) || r=$p
[ -n "$r" ] || r=$p
echo "real=$r"
case $r in *"
"*) echo "its path holds a line feed" >&2; exit 1 ;; esac
line() { printf '%s' "$1" | tr '\n\r' '??'; }
if [ -L "$p" ]; then echo symlink=1; fi
# mountinfo spells blanks and backslashes in octal; a subvolume has a device number of its own, and is no mount
R=$(printf '%s' "$r" | sed -e 's/\\/\\134/g' -e 's/ /\\040/g' -e 's/	/\\011/g')
export R
if awk '$5 == ENVIRON["R"] { found = 1 } END { exit !found }' /proc/self/mountinfo; then echo mount=1
elif [ -d "$r" ] && [ "$(stat -c %d "$r")" != "$(stat -c %d "$(dirname "$r")")" ]; then echo mount=1; fi
near=$r
while [ ! -d "$near" ]; do near=$(dirname "$near"); done
printf 'who=%s (uid %s)\n' "$(id -un 2>/dev/null)" "$(id -u)"
echo "no-engine=${FLEETRECOVER_NO_ENGINE:-}"

# what may not be read is not what is not there
may() { if [ -d "$1" ]; then [ -r "$1" ] && [ -x "$1" ]; else [ ! -e "$1" ] || [ -r "$1" ]; fi || echo "forbidden=$1"; }
if [ "$near" = "$r" ]; then may "$r"; elif [ ! -x "$near" ]; then echo "forbidden=$near"; fi
for o in member member/wal member/snap member/snap/db; do may "$r/$o"; done
for o in "$r/member/wal"/*.wal; do may "$o"; done
w=''
open() { [ ! -e "$1/finished" ] && [ ! -e "$1/undone" ]; }
ours() { [ -d "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %u "$1")" = "$(id -u)" ]; }
# where a part's WAL lies: only what a run of ours has made
aside() {
  to=$(readlink "$1" 2>/dev/null) || return 1
  run=${1%/wal-of-*}; run=${run##*/}
  case $to in /*.fleetrecover/"$run/${1##*/wal-of-}") ours "${to%/*/*}" ;; *) return 1 ;; esac
}
if [ -z "$w" ]; then
  # a run that is open has moved one, and its container is no more, or says nothing of it now
  for root in "$r.fleetrecover" "$r/.fleetrecover"; do
    ours "$root" || continue
    for l in "$root"/*/wal-of-*; do
      if [ -L "$l" ] && open "${l%/*}" && aside "$l"; then w=${to%.fleetrecover/*}; fi
    done
  done
else
  w=$(readlink -f "$w" 2>/dev/null) || w=''
fi
if [ -n "$w" ]; then
  case $w in *"
"*) echo "its path holds a line feed" >&2; exit 1 ;; esac
  echo "wal=$w"
  up=$w
  while [ ! -d "$up" ]; do up=$(dirname "$up"); done
  if [ "$up" = "$w" ]; then may "$w"; elif [ ! -x "$up" ]; then echo "forbidden=$up"; fi
  for o in "$w"/*.wal; do may "$o"; done
  above=${w%/*}; while [ ! -d "$above" ]; do above=$(dirname "$above"); done
  if [ ! -w "$above/" ] && [ ! -d "$w.fleetrecover" ]; then echo "walunwritable=$above"; fi
  echo "walfree=$(df -Pk "$above" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')"
  if [ "$(stat -c %d "$above")" = "$(stat -c %d "$near")" ]; then echo walshared=1; fi
  W=$(printf '%s' "$w" | sed -e 's/\\/\\134/g' -e 's/ /\\040/g' -e 's/	/\\011/g')
  export W
  if awk '$5 == ENVIRON["W"] { found = 1 } END { exit !found }' /proc/self/mountinfo ||
    { [ -d "$w" ] && [ "$(stat -c %d "$w")" != "$(stat -c %d "$above")" ]; }; then
    echo walmount=1
  fi
fi
[ -w "$near" ] || echo "unwritable=$near"
if [ ! -d "$r.fleetrecover" ] && [ "$near" = "$r" ] && [ ! -w "${r%/*}/" ]; then echo "unwritable=${r%/*}/"; fi
echo "free=$(df -Pk "$near" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')"
printf 'fs=%s\n' "$(stat -f -c %T "$near" 2>/dev/null)"
for o in member member/wal member/snap; do
  if [ -L "$r/$o" ]; then echo "inner=$o is a symbolic link"; fi
done
awk 'index($5, ENVIRON["R"] "/member/") == 1 || $5 == ENVIRON["R"] "/member" {
  print "inner=" substr($5, length(ENVIRON["R"]) + 2) " is a mount point" }' /proc/self/mountinfo
if [ -d "$r" ]; then
  echo exists=1
  stat -c 'owner=%u:%g' "$r"; stat -c 'mode=%a' "$r"; stat -c 'label=%C' "$r" 2>/dev/null || true
  for o in "$r"/* "$r"/.[!.]*; do
    [ -e "$o" ] || continue
    if [ -n "$w" ] && { [ "$o" = "$w" ] || [ "$o" = "$w.fleetrecover" ]; }; then continue; fi
    case "${o##*/}" in member) ;; .fleetrecover) ;; *) printf 'other=%s\n' "$(line "${o##*/}")" ;; esac
  done
fi
list() {
  for f in "$1"/wal/*.wal "$1"/snap/*.snap "$1"/snap/db "$1"/snap/*.snap.db; do
    if [ -f "$f" ]; then line "$(stat -c "$2=%s %n" "$f" || true)"; echo; fi
  done
}
if [ -d "$r/member" ]; then
  echo member=1
  du -sk "$r/member" 2>/dev/null | awk '{ print "size=" $1 }'
  list "$r/member" file
fi
wals() {
  for f in "$1"/*.wal; do
    if [ -f "$f" ]; then line "$(stat -c "$2=%s %n" "$f" || true)"; echo; fi
  done
}
if [ -n "$w" ]; then
  du -sk "$w" 2>/dev/null | awk '{ print "walsize=" $1 }'
  wals "$w" walfile
fi
for root in "$r.fleetrecover" "$r/.fleetrecover"; do
  [ -d "$root" ] || [ -L "$root" ] || continue
  # whoever owns the data directory could put one there for us to walk into
  if [ -L "$root" ] || [ "$(stat -c %u "$root")" != "$(id -u)" ]; then echo "foreign=$root"; continue; fi
  echo "root=$root"
  if [ -f "$root/hold/holder.json" ]; then
    printf 'hold=%s\n' "$(tr -d '\n' < "$root/hold/holder.json")"
    printf 'beat=%s\n' "$(cat "$root/hold/beat" 2>/dev/null)"
  elif [ -d "$root/hold" ]; then
    echo 'hold={}'
  fi
  for k in "$root"/*/; do
    k=${k%/}; [ -d "$k" ] && [ ! -L "$k" ] || continue
    case ${k##*/} in hold|*[!A-Za-z0-9._-]*|[!a-z]*) continue ;; esac
    printf 'keep=%s\n' "$k"
    if [ -f "$k/run.json" ]; then printf 'pin=%s\n' "$(tr -d '\n' < "$k/run.json")"; fi
    if [ -f "$k/proof.json" ]; then printf 'proof=%s\n' "$(tr -d '\n' < "$k/proof.json")"; fi
    for part in original partial work booted reset; do
      if [ -e "$k/$part/member" ] || [ -e "$k/$part/no-member" ]; then echo "part=$part"; fi
    done
    for l in "$k"/wal-of-*; do
      [ -L "$l" ] && aside "$l" || continue
      part=${l##*/wal-of-}
      if [ "$part" = original ]; then echo keptapart=1; wals "$to" keptwal; fi
      du -sk "$to" 2>/dev/null | awk '{ print "keptwalsize=" $1 }'
      # an interruption has parted it from its data, which lies in place
      if open "$k" && [ -d "$to" ] && [ ! -e "$k/$part/member" ] && [ ! -e "$k/$part/no-member" ]; then
        echo part=parted
        wals "$to" astray
      fi
    done
    for part in containers.json no-data finished undoing undone; do
      if [ -e "$k/$part" ]; then echo "part=$part"; fi
    done
    if [ -f "$k/containers.json" ]; then printf 'before=%s\n' "$(tr -d '\n' < "$k/containers.json")"; fi
    for part in "$k"/discarded-*; do
      if [ -e "$part" ]; then printf 'discarded=%s\n' "$(line "${part##*/}")"; fi
    done
    for part in "$k"/withdrawn*; do
      if [ -e "$part/member" ]; then printf 'withdrawn=%s\n' "$(line "${part##*/}")"; fi
    done
    for part in original original-elsewhere; do
      if [ -L "$k/$part" ]; then
        away=$(readlink "$k/$part")
        printf 'elsewhere=%s\n' "$(line "$away")"
        du -sk "${away%/*}" 2>/dev/null | awk '{ print "elsewheresize=" $1 }'
      fi
    done
    du -sk "$k" 2>/dev/null | awk '{ print "keepsize=" $1 }'
    if [ -d "$k/original/member" ]; then list "$k/original/member" kept; fi
  done
done

=== member_files
member-files: at most 20.0 s, 8388608 bytes, exit codes 0
cd /d/member || exit 1
for f in wal/*.wal snap/*.snap snap/db; do
  case $f in /*) n=$f ;; *) n=$PWD/$f ;; esac
  if [ -f "$f" ]; then stat -c "%s $n" "$f"; fi
done

=== files_of_member
for f in wal/*.wal snap/*.snap snap/db; do
  case $f in /*) n=$f ;; *) n=$PWD/$f ;; esac
  if [ -f "$f" ]; then stat -c "%s $n" "$f"; fi
done

=== data_listing wal apart
data-listing: at most 40.0 s, 33554432 bytes, exit codes 0
p=/d
r=$(readlink -f "$p" 2>/dev/null) || r=$p
[ -n "$r" ] || r=$p
echo "real=$r"
case $r in *"
"*) echo "its path holds a line feed" >&2; exit 1 ;; esac
line() { printf '%s' "$1" | tr '\n\r' '??'; }
if [ -L "$p" ]; then echo symlink=1; fi
# mountinfo spells blanks and backslashes in octal; a subvolume has a device number of its own, and is no mount
R=$(printf '%s' "$r" | sed -e 's/\\/\\134/g' -e 's/ /\\040/g' -e 's/	/\\011/g')
export R
if awk '$5 == ENVIRON["R"] { found = 1 } END { exit !found }' /proc/self/mountinfo; then echo mount=1
elif [ -d "$r" ] && [ "$(stat -c %d "$r")" != "$(stat -c %d "$(dirname "$r")")" ]; then echo mount=1; fi
near=$r
while [ ! -d "$near" ]; do near=$(dirname "$near"); done
printf 'who=%s (uid %s)\n' "$(id -un 2>/dev/null)" "$(id -u)"
echo "no-engine=${FLEETRECOVER_NO_ENGINE:-}"

# what may not be read is not what is not there
may() { if [ -d "$1" ]; then [ -r "$1" ] && [ -x "$1" ]; else [ ! -e "$1" ] || [ -r "$1" ]; fi || echo "forbidden=$1"; }
if [ "$near" = "$r" ]; then may "$r"; elif [ ! -x "$near" ]; then echo "forbidden=$near"; fi
for o in member member/wal member/snap member/snap/db; do may "$r/$o"; done
for o in "$r/member/wal"/*.wal; do may "$o"; done
w=/fast/wal
open() { [ ! -e "$1/finished" ] && [ ! -e "$1/undone" ]; }
ours() { [ -d "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %u "$1")" = "$(id -u)" ]; }
# where a part's WAL lies: only what a run of ours has made
aside() {
  to=$(readlink "$1" 2>/dev/null) || return 1
  run=${1%/wal-of-*}; run=${run##*/}
  case $to in /*.fleetrecover/"$run/${1##*/wal-of-}") ours "${to%/*/*}" ;; *) return 1 ;; esac
}
if [ -z "$w" ]; then
  # a run that is open has moved one, and its container is no more, or says nothing of it now
  for root in "$r.fleetrecover" "$r/.fleetrecover"; do
    ours "$root" || continue
    for l in "$root"/*/wal-of-*; do
      if [ -L "$l" ] && open "${l%/*}" && aside "$l"; then w=${to%.fleetrecover/*}; fi
    done
  done
else
  w=$(readlink -f "$w" 2>/dev/null) || w=/fast/wal
fi
if [ -n "$w" ]; then
  case $w in *"
"*) echo "its path holds a line feed" >&2; exit 1 ;; esac
  echo "wal=$w"
  up=$w
  while [ ! -d "$up" ]; do up=$(dirname "$up"); done
  if [ "$up" = "$w" ]; then may "$w"; elif [ ! -x "$up" ]; then echo "forbidden=$up"; fi
  for o in "$w"/*.wal; do may "$o"; done
  above=${w%/*}; while [ ! -d "$above" ]; do above=$(dirname "$above"); done
  if [ ! -w "$above/" ] && [ ! -d "$w.fleetrecover" ]; then echo "walunwritable=$above"; fi
  echo "walfree=$(df -Pk "$above" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')"
  if [ "$(stat -c %d "$above")" = "$(stat -c %d "$near")" ]; then echo walshared=1; fi
  W=$(printf '%s' "$w" | sed -e 's/\\/\\134/g' -e 's/ /\\040/g' -e 's/	/\\011/g')
  export W
  if awk '$5 == ENVIRON["W"] { found = 1 } END { exit !found }' /proc/self/mountinfo ||
    { [ -d "$w" ] && [ "$(stat -c %d "$w")" != "$(stat -c %d "$above")" ]; }; then
    echo walmount=1
  fi
fi
[ -w "$near" ] || echo "unwritable=$near"
if [ ! -d "$r.fleetrecover" ] && [ "$near" = "$r" ] && [ ! -w "${r%/*}/" ]; then echo "unwritable=${r%/*}/"; fi
echo "free=$(df -Pk "$near" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')"
printf 'fs=%s\n' "$(stat -f -c %T "$near" 2>/dev/null)"
for o in member member/wal member/snap; do
  if [ -L "$r/$o" ]; then echo "inner=$o is a symbolic link"; fi
done
awk 'index($5, ENVIRON["R"] "/member/") == 1 || $5 == ENVIRON["R"] "/member" {
  print "inner=" substr($5, length(ENVIRON["R"]) + 2) " is a mount point" }' /proc/self/mountinfo
if [ -d "$r" ]; then
  echo exists=1
  stat -c 'owner=%u:%g' "$r"; stat -c 'mode=%a' "$r"; stat -c 'label=%C' "$r" 2>/dev/null || true
  for o in "$r"/* "$r"/.[!.]*; do
    [ -e "$o" ] || continue
    if [ -n "$w" ] && { [ "$o" = "$w" ] || [ "$o" = "$w.fleetrecover" ]; }; then continue; fi
    case "${o##*/}" in member) ;; .fleetrecover) ;; *) printf 'other=%s\n' "$(line "${o##*/}")" ;; esac
  done
fi
list() {
  for f in "$1"/wal/*.wal "$1"/snap/*.snap "$1"/snap/db "$1"/snap/*.snap.db; do
    if [ -f "$f" ]; then line "$(stat -c "$2=%s %n" "$f" || true)"; echo; fi
  done
}
if [ -d "$r/member" ]; then
  echo member=1
  du -sk "$r/member" 2>/dev/null | awk '{ print "size=" $1 }'
  list "$r/member" file
fi
wals() {
  for f in "$1"/*.wal; do
    if [ -f "$f" ]; then line "$(stat -c "$2=%s %n" "$f" || true)"; echo; fi
  done
}
if [ -n "$w" ]; then
  du -sk "$w" 2>/dev/null | awk '{ print "walsize=" $1 }'
  wals "$w" walfile
fi
for root in "$r.fleetrecover" "$r/.fleetrecover"; do
  [ -d "$root" ] || [ -L "$root" ] || continue
  # whoever owns the data directory could put one there for us to walk into
  if [ -L "$root" ] || [ "$(stat -c %u "$root")" != "$(id -u)" ]; then echo "foreign=$root"; continue; fi
  echo "root=$root"
  if [ -f "$root/hold/holder.json" ]; then
    printf 'hold=%s\n' "$(tr -d '\n' < "$root/hold/holder.json")"
    printf 'beat=%s\n' "$(cat "$root/hold/beat" 2>/dev/null)"
  elif [ -d "$root/hold" ]; then
    echo 'hold={}'
  fi
  for k in "$root"/*/; do
    k=${k%/}; [ -d "$k" ] && [ ! -L "$k" ] || continue
    case ${k##*/} in hold|*[!A-Za-z0-9._-]*|[!a-z]*) continue ;; esac
    printf 'keep=%s\n' "$k"
    if [ -f "$k/run.json" ]; then printf 'pin=%s\n' "$(tr -d '\n' < "$k/run.json")"; fi
    if [ -f "$k/proof.json" ]; then printf 'proof=%s\n' "$(tr -d '\n' < "$k/proof.json")"; fi
    for part in original partial work booted reset; do
      if [ -e "$k/$part/member" ] || [ -e "$k/$part/no-member" ]; then echo "part=$part"; fi
    done
    for l in "$k"/wal-of-*; do
      [ -L "$l" ] && aside "$l" || continue
      part=${l##*/wal-of-}
      if [ "$part" = original ]; then echo keptapart=1; wals "$to" keptwal; fi
      du -sk "$to" 2>/dev/null | awk '{ print "keptwalsize=" $1 }'
      # an interruption has parted it from its data, which lies in place
      if open "$k" && [ -d "$to" ] && [ ! -e "$k/$part/member" ] && [ ! -e "$k/$part/no-member" ]; then
        echo part=parted
        wals "$to" astray
      fi
    done
    for part in containers.json no-data finished undoing undone; do
      if [ -e "$k/$part" ]; then echo "part=$part"; fi
    done
    if [ -f "$k/containers.json" ]; then printf 'before=%s\n' "$(tr -d '\n' < "$k/containers.json")"; fi
    for part in "$k"/discarded-*; do
      if [ -e "$part" ]; then printf 'discarded=%s\n' "$(line "${part##*/}")"; fi
    done
    for part in "$k"/withdrawn*; do
      if [ -e "$part/member" ]; then printf 'withdrawn=%s\n' "$(line "${part##*/}")"; fi
    done
    for part in original original-elsewhere; do
      if [ -L "$k/$part" ]; then
        away=$(readlink "$k/$part")
        printf 'elsewhere=%s\n' "$(line "$away")"
        du -sk "${away%/*}" 2>/dev/null | awk '{ print "elsewheresize=" $1 }'
      fi
    done
    du -sk "$k" 2>/dev/null | awk '{ print "keepsize=" $1 }'
    if [ -d "$k/original/member" ]; then list "$k/original/member" kept; fi
  done
done

=== member_files wal apart
member-files: at most 20.0 s, 8388608 bytes, exit codes 0
cd /d/member || exit 1
for f in /fast/wal/*.wal snap/*.snap snap/db; do
  case $f in /*) n=$f ;; *) n=$PWD/$f ;; esac
  if [ -f "$f" ]; then stat -c "%s $n" "$f"; fi
done

=== files_of_member wal apart
for f in /fast/wal/*.wal snap/*.snap snap/db; do
  case $f in /*) n=$f ;; *) n=$PWD/$f ;; esac
  if [ -f "$f" ]; then stat -c "%s $n" "$f"; fi
done

=== file_bytes
file: at most 20.0 s, 8388608 bytes, exit codes 0
head -c 1048576 'it'"'"'s $HOME; a b'

=== file_bytes bounded
file: at most 20.0 s, 8388608 bytes, exit codes 0
head -c 100 /f

=== machine
machine: at most 20.0 s, 8388608 bytes, exit codes 0
echo hostname=$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)
echo machine=$(cat /etc/machine-id 2>/dev/null)
echo boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
echo clock=$(date +%s.%N)
echo uid=$(id -u)
echo through=$FLEETRECOVER_THROUGH

=== missing_files
missing-files: at most 20.0 s, 8388608 bytes, exit codes 0
[ -e /a ] || printf '%s\n' /a
[ -e 'it'"'"'s $HOME; a b' ] || printf '%s\n' 'it'"'"'s $HOME; a b'
true

=== ranges
ranges: at most 60.0 s, 1050844 bytes, exit codes 0
[ -r /f ] || exit 1
tail -c +1 /f | head -c 1000 | gzip -1 -c | od -An -v -tx1 | tr -d ' \n'; echo
tail -c +4097 /f | head -c 5 | gzip -1 -c | od -An -v -tx1 | tr -d ' \n'; echo

=== restart_policy
on-failure:5
on-failure
always
no

=== restart_policy of nothing
no
no

=== wal_file
wal-file: at most 600.0 s, 269484032 bytes, exit codes 0
f=/f
size=$(stat -c %s "$f")
block=65536
lo=0
hi=$(( (size + block - 1) / block ))
while [ $((hi - lo)) -gt 0 ]; do
  mid=$(( (lo + hi) / 2 ))
  n=$(tail -c +$((mid * block + 1)) "$f" | head -c $block | tr -d '\000' | head -c 1 | wc -c)
  if [ "$n" -eq 0 ]; then hi=$mid; else lo=$((mid + 1)); fi
done
end=$((lo * block))
[ "$end" -le "$size" ] || end=$size
n=$(tail -c +$((end + 1)) "$f" | tr -d '\000' | head -c 1 | wc -c)
[ "$n" -eq 0 ] || end=$size
sample=$(head -c 262144 "$f" | gzip -1 -c 2>/dev/null | wc -c)
if [ "$sample" -gt 0 ] && [ "$sample" -lt 131072 ] && [ "$end" -gt 262144 ]; then
  echo "$size $end gzip"; head -c "$end" "$f" | gzip -1 -c
else
  echo "$size $end raw"; head -c "$end" "$f"
fi

=== work_dir
work-dir: at most 20.0 s, 8388608 bytes, exit codes 0
p=/w
[ -d "$p" ] || { echo "problem=there is no such directory"; exit 0; }
r=$(readlink -f "$p")
case $r in *"
"*) exit 1 ;; esac
echo "real=$r"
echo "free=$(df -Pk "$r" | awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ && $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }')"
[ "$(stat -c %u "$r")" = "$(id -u)" ] || { echo "problem=it belongs to somebody else"; exit 0; }
case $(stat -c %A "$r") in ????????w?) echo "problem=everybody may write there" ;; esac

