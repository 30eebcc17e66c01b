=== claim
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
me="$$-$(born $$) ${boot:--} $(up) 60 fence"
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

=== claim odd names
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
busy=/busy
me="$$-$(born $$) ${boot:--} $(up) 7 command"
other() {
name=$(printf %s "${1##* }" | tr -cd "A-Za-z0-9._-")
printf "busy: %s, at most %s s more\n" "${name:-command}" "$(left "$1")" >&2
exit 98
}
old=$(cat /h/busy 2>/dev/null) || old=
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
busy=/busy
me="$$-$(born $$) ${boot:--} $(up) 7 a-b-ä_.-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
other() {
name=$(printf %s "${1##* }" | tr -cd "A-Za-z0-9._-")
printf "busy: %s, at most %s s more\n" "${name:-command}" "$(left "$1")" >&2
exit 98
}
old=$(cat /h/busy 2>/dev/null) || old=
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

=== clear_stale
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

=== mark_of
/d.keep/busy

=== old_mark_of
/d.keep/hold/busy

