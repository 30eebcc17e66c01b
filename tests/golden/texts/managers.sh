=== starters
starters: at most 20.0 s, 8388608 bytes, exit codes 0
export LC_ALL=C
# where systemd does not run, list-units fails at once, and reading all unit files would only cost time
if command -v systemctl >/dev/null 2>&1 &&
  units=$(systemctl list-units --all --plain --no-legend --no-pager --type=service 2>/dev/null); then
  names=$( { printf '%s\n' "$units"
      systemctl list-unit-files --no-legend --no-pager --type=service
      printf '%s\n' etcd.service etcd2.service etcd-member.service docker-etcd.service
    } 2>/dev/null | awk '{ print $1 }' | grep '^[A-Za-z0-9:_.\\@-]*\.service$' | grep -v '@\.service$' |
    sort -u | head -n 1000)
  # shellcheck disable=SC2086  # names of units: the characters are checked above
  shown=$(systemctl show --no-pager -p Id -p LoadState -p ActiveState -p UnitFileState -p Type -p Restart -p ExecStartPre -p ExecStart -p ExecStartPost -p ExecStop -p WorkingDirectory -- $names 2>/dev/null |
    awk 'BEGIN { RS = ""; ORS = "\n\n" } /docker|podman|nerdctl|crictl|ctr|etcd/' | cut -c 1-2000)
  printf 'units\n%s\n' "$shown"
  printf '%s\n' "$shown" | sed -n 's/^Exec[A-Za-z]*=.*path=\([^ ;]*\).*/\1/p' | sort -u | while read -r path; do
    [ -f "$path" ] || continue
    [ "$(head -c 2 "$path")" = '#!' ] || continue
    head -c 65536 "$path" | awk '{ while (sub(/\\$/, "") && (getline more) > 0) $0 = $0 more; print }' |
      grep -E 'docker|podman|nerdctl|crictl|ctr' | head -n 20 | cut -c 1-2000 | while read -r line; do
      printf 'script %s %s\n' "$path" "$line"
    done
  done
  if [ -w /etc/systemd/system ]; then echo 'settings'; fi
  for file in /etc/systemd/system/*.service.d/50-fleetrecover.conf; do
    [ -f "$file" ] || continue
    unit=${file%/*}
    # the first line, as we have written it: `# fleetrecover RUN: …, WORD`
    head -n 1 "$file" | cut -c 1-300 | sed -n 's/^# fleetrecover \([A-Za-z0-9_.-]*\): .* \([a-z]*\)$/\1 \2/p' |
      while read -r run was; do printf 'held %s %s %s\n' "$(basename "$unit" .d)" "$run" "$was"; done
  done
fi
for file in /etc/crontab /etc/rc.local /etc/cron.d/* /var/spool/cron/* /var/spool/cron/crontabs/*; do
  [ -f "$file" ] || continue
  grep -E '(docker|podman|nerdctl|crictl|ctr)([^#]* )?(start|run|restart|up) ' "$file" | grep -v '^[[:space:]]*#' | head -n 20 | cut -c 1-2000 |
    while read -r line; do printf 'cron %s %s\n' "$file" "$line"; done
done
true

