#!/bin/sh
# Makes the virtual environment that the Makefile works in: finds a Python of at least 3.11, installs one where there is
# none (apt, as root), and installs the pinned packages. Nothing outside of the project's folder is changed but by apt.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

fits() { command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  for python in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python3.14; do
    if fits "$python"; then echo "$python"; return 0; fi
  done
  return 1
}

apt_install() {
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "no Python of at least 3.11 with venv is here; install it: apt-get install python3 python3-venv" >&2
    exit 3
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if ! python=$(find_python); then
  apt_install python3 python3-venv ca-certificates
  if ! python=$(find_python); then  # an older Ubuntu has a newer Python beside its own
    for version in 3.12 3.11; do
      if apt_install "python$version" "python$version-venv"; then break; fi
    done
    python=$(find_python) || { echo "this system's packages have no Python of at least 3.11" >&2; exit 3; }
  fi
fi
[ -x "$venv/bin/python" ] && fits "$venv/bin/python" || { rm -rf "$venv"; "$python" -m venv "$venv"; }
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r requirements-test.txt
"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps -e .
touch "$venv/.ready"
