=== record_containers
record-containers: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
umask 077
[ ! -s /d.keep/r1/containers.json ] || exit 0
docker inspect --type container c1 c2 > /d.keep/r1/containers.json.new
if [ -e /d/member ]; then rm -f /d.keep/r1/no-data; else : > /d.keep/r1/no-data; fi
mv /d.keep/r1/containers.json.new /d.keep/r1/containers.json
sync -f /d.keep/r1 2>/dev/null || sync
undo: nothing to take back

=== record_containers wal apart
record-containers: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
umask 077
[ ! -s /d.keep/r1/containers.json ] || exit 0
docker inspect --type container c1 c2 > /d.keep/r1/containers.json.new
if { [ -e /d/member ] || [ -n "$(ls -A /fast/wal 2>/dev/null)" ]; }; then rm -f /d.keep/r1/no-data; else : > /d.keep/r1/no-data; fi
mv /d.keep/r1/containers.json.new /d.keep/r1/containers.json
sync -f /d.keep/r1 2>/dev/null || sync
undo: nothing to take back

=== fence
fence: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker update --restart=no c1 >/dev/null
docker stop -t 30 c1 >/dev/null
[ "$(docker inspect -f '{{.Name}}' c1)" = /etcd.kept ] || docker rename c1 etcd.kept
undo: docker rename etcd.kept etcd, its restart policy put back, started if it ran

=== fence paused
fence: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker update --restart=no c1 >/dev/null
docker unpause c1 >/dev/null
docker stop -t 30 c1 >/dev/null
[ "$(docker inspect -f '{{.Name}}' c1)" = /etcd.kept ] || docker rename c1 etcd.kept
undo: docker rename etcd.kept etcd, its restart policy put back, started if it ran

=== give_name_back
give-name-back: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
holder=$(docker inspect --type container -f '{{.Id}}' etcd 2>/dev/null || true); [ -z "$holder" ] || [ "$holder" = c1 ] || exit 68
[ "$(docker inspect --type container -f '{{.Name}}' c1)" = /etcd ] || docker rename c1 etcd
undo: docker rename etcd etcd.kept

=== load_image
image-load: at most 3600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker load >/dev/null
docker inspect --type image reg/etcd:v3 >/dev/null 2>&1 || docker tag sha256:1 reg/etcd:v3
docker inspect --type image reg/etcd:v3 >/dev/null
undo: the image stays

=== load_image by digest
image-load: at most 3600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker load >/dev/null
docker inspect --type image reg/etcd@sha256:2 >/dev/null
undo: the image stays

=== load_image by its id
image-load: at most 3600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker load >/dev/null
docker inspect --type image sha256:1 >/dev/null
undo: the image stays

=== load_image nothing known
image-load: at most 3600.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker load >/dev/null
docker inspect --type image reg/etcd:v3 >/dev/null
undo: the image stays

=== put_container_back
put-container-back: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
holder=$(docker inspect --type container -f '{{.Id}}' etcd 2>/dev/null || true); [ -z "$holder" ] || [ "$holder" = c1 ] || exit 68
[ "$(docker inspect --type container -f '{{.Name}}' c1)" = /etcd ] || docker rename c1 etcd
docker update --restart=always c1 >/dev/null
docker start c1 >/dev/null
undo: -

=== put_container_back stays stopped
put-container-back: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
holder=$(docker inspect --type container -f '{{.Id}}' etcd 2>/dev/null || true); [ -z "$holder" ] || [ "$holder" = c1 ] || exit 68
[ "$(docker inspect --type container -f '{{.Name}}' c1)" = /etcd ] || docker rename c1 etcd
docker update --restart=no c1 >/dev/null
undo: -

=== record_containers none
record-containers: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
umask 077
[ ! -s /d.keep/r1/containers.json ] || exit 0
echo '[]' > /d.keep/r1/containers.json.new
if [ -e /d/member ]; then rm -f /d.keep/r1/no-data; else : > /d.keep/r1/no-data; fi
mv /d.keep/r1/containers.json.new /d.keep/r1/containers.json
sync -f /d.keep/r1 2>/dev/null || sync
undo: nothing to take back

=== remove_container
remove-container: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker inspect --type container etcd-q >/dev/null 2>&1 || exit 0
[ "$(docker inspect --type container -f '{{index .Config.Labels "fleetrecover.run"}}' etcd-q)" = r1 ] || exit 68
docker update --restart=no etcd-q >/dev/null
docker stop -t 30 etcd-q >/dev/null
docker rm etcd-q >/dev/null
undo: it was ours, and is made again when needed

=== remove_kept_container
remove-kept-container: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker inspect --type container c1 >/dev/null 2>&1 || exit 0
[ "$(docker inspect --type container -f '{{.Name}} {{.State.Running}}' c1)" = '/etcd.kept false' ] || exit 71
docker rm c1 >/dev/null
undo: it cannot be taken back

=== restart_container
restart: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker restart -t 30 etcd >/dev/null
undo: -

=== run_container
etcd: at most 120.0 s, 8388608 bytes, exit codes 0
shown: docker run '*'
set -eu
printf '%s\n' A=secret B=2 | docker run 'it'"'"'s $HOME; a b' >/dev/null
undo: the container is removed

=== run_container no environment
etcd: at most 120.0 s, 8388608 bytes, exit codes 0
set -eu
docker run >/dev/null </dev/null
undo: the container is removed

=== save_image
image-save: at most 3600.0 s, 17179869184 bytes, exit codes 0
docker save reg/etcd:v3

=== set_restart_policy
restart-policy: at most 60.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker update --restart=on-failure:5 etcd >/dev/null
undo: -

=== start_existing
start: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker start etcd >/dev/null
undo: -

=== start_original
start: at most 120.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
holder=$(docker inspect --type container -f '{{.Id}}' etcd 2>/dev/null || true); [ -z "$holder" ] || [ "$holder" = c1 ] || exit 68
[ "$(docker inspect --type container -f '{{.Name}}' c1)" = /etcd ] || docker rename c1 etcd
docker update --restart=always c1 >/dev/null
if [ "$(docker inspect -f '{{.State.Restarting}}' c1)" = true ]; then docker restart -t 30 c1 >/dev/null; else docker start c1 >/dev/null; fi
undo: it is stopped and set aside again

=== stop_container
stop: at most 90.0 s, 8388608 bytes, exit codes 0
set -eu
umask 077
docker stop -t 30 etcd >/dev/null
undo: -

=== cli_version
cli-version: at most 20.0 s, 8388608 bytes, exit codes 0
docker version --format '{{.Server.Version}}'

=== cli_version of podman
cli-version: at most 20.0 s, 8388608 bytes, exit codes 0
/usr/bin/podman version --format '{{.Client.Version}}'

=== container_logs
container-logs: at most 20.0 s, 8388608 bytes, exit codes 0,1
docker logs --tail 15 etcd 2>&1

=== container_state
container-state: at most 30.0 s, 8388608 bytes, exit codes 0,1
docker inspect --type container etcd 2>/dev/null

=== containers
containers: at most 40.0 s, 8388608 bytes, exit codes 0,1
docker ps -a --no-trunc -q >/dev/null || exit 1
ids=$( { docker ps -a --no-trunc --format '{{.ID}} {{.Image}} {{.Names}} {{.Command}}' | grep -i -F -e etcd -e etcd | cut -d' ' -f1; docker ps -a --no-trunc -q --filter label=fleetrecover.run; } | grep -x '[0-9a-f][0-9a-f]*' | sort -u)
[ -n "$ids" ] || { echo '[]'; exit 0; }
docker inspect --type container $ids

=== engine_info
engine-info: at most 30.0 s, 8388608 bytes, exit codes 0,1
docker info --format '{{json .}}' 2>/dev/null

=== has_image
has-image: at most 30.0 s, 8388608 bytes, exit codes 0,1
docker inspect --type image -f '{{.Id}}' reg/etcd:v3 2>/dev/null

=== images
images: at most 30.0 s, 8388608 bytes, exit codes 0,1
docker inspect --type image sha256:1 sha256:2 2>/dev/null

=== images none
images: at most 30.0 s, 8388608 bytes, exit codes 0,1
echo '[]'

=== refuse_running
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

=== refuse_running wal apart
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

