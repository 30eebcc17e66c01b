=== certificates
certificates: at most 20.0 s, 8388608 bytes, exit codes 0
state() {
  if [ -z "$1" ]; then echo
  elif [ -d "$1" ]; then echo directory
  elif [ -s "$1" ]; then
    if [ ! -r "$1" ]; then echo hidden
    elif grep -q -e "-----BEGIN .*$2-----" -- "$1" 2>/dev/null; then echo there
    else echo foreign; fi
  elif [ -e "$1" ]; then echo empty
  elif [ -L "$1" ]; then echo dangling
  else case $(LC_ALL=C ls -d -- "$1" 2>&1) in *"No such file"*) echo missing ;; *) echo hidden ;; esac
  fi
}
k=
k=$(openssl pkey -in /k.pem -pubout -outform DER 2>/dev/null | sha256sum 2>/dev/null | cut -d' ' -f1)
case $k in e3b0c442*|'') k= ;; esac
echo "cert=$(head -c 65536 /c.pem 2>/dev/null | base64 | tr -d '\n')"
echo "ca=$(head -c 65536 /ca.pem 2>/dev/null | base64 | tr -d '\n')"
echo "key=$k"
echo "state=$(state /c.pem CERTIFICATE)"
echo "state=$(state /k.pem 'PRIVATE KEY')"
echo "state=$(state /ca.pem CERTIFICATE)"

=== kept_files
kept-files: at most 20.0 s, 8388608 bytes, exit codes 0
[ -d /d/member ] || [ -d ''/ ] || { echo absent; exit 0; }
if [ -d /d/member ]; then cd /d/member || exit 1; else cd ''/ || exit 1; fi
if [ -n '' ] && [ -L '' ]; then
for f in wal/*.wal snap/*.snap snap/db; do
  case $f in /*) n=$f ;; *) n=$PWD/$f ;; esac
  if [ -f "$f" ]; then stat -c "%s $n" "$f"; fi
done
else
for f in wal/*.wal snap/*.snap snap/db; do
  case $f in /*) n=$f ;; *) n=$PWD/$f ;; esac
  if [ -f "$f" ]; then stat -c "%s $n" "$f"; fi
done
fi

=== made
made: at most 20.0 s, 8388608 bytes, exit codes 0,1
stat -c %W /d/member/wal 2>/dev/null

=== signs
signs: at most 20.0 s, 8388608 bytes, exit codes 0
cd /d/member 2>/dev/null || exit 0
for f in wal/*.wal snap/*.snap snap/db; do
  if [ -f "$f" ]; then stat -c "%Y ${f##*/}" "$f"; fi
done

=== kept_files wal apart
kept-files: at most 20.0 s, 8388608 bytes, exit codes 0
[ -d /d/member ] || [ -d /fast/wal/ ] || { echo absent; exit 0; }
if [ -d /d/member ]; then cd /d/member || exit 1; else cd /fast/wal/ || exit 1; fi
if [ -n /fast/wal ] && [ -L /fast/wal ]; then
for f in /fast/wal/*.wal snap/*.snap snap/db; do
  case $f in /*) n=$f ;; *) n=$PWD/$f ;; esac
  if [ -f "$f" ]; then stat -c "%s $n" "$f"; fi
done
else
for f in wal/*.wal snap/*.snap snap/db; do
  case $f in /*) n=$f ;; *) n=$PWD/$f ;; esac
  if [ -f "$f" ]; then stat -c "%s $n" "$f"; fi
done
fi

=== made wal apart
made: at most 20.0 s, 8388608 bytes, exit codes 0,1
stat -c %W /fast/wal 2>/dev/null

=== signs wal apart
signs: at most 20.0 s, 8388608 bytes, exit codes 0
cd /d/member 2>/dev/null || exit 0
for f in /fast/wal/*.wal snap/*.snap snap/db; do
  if [ -f "$f" ]; then stat -c "%Y ${f##*/}" "$f"; fi
done

=== ports
peer-ports: at most 14.0 s, 8388608 bytes, exit codes 0
try() {
  if command -v bash >/dev/null && command -v timeout >/dev/null; then
    timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
    case $? in 0) echo open ;; 124) echo silent ;; *) echo refused ;; esac
  elif command -v nc >/dev/null; then
    if nc -z -w 2 "$1" "$2" >/dev/null 2>&1; then echo open; else echo unknown; fi
  else echo unknown; fi
}
try 10.0.0.1 2380
try ::1 2380

