#!/bin/sh
# Prints a Python that slimtune runs on: the one named, else python3 where its version fits, else the first that fits
# and can be run. An interpreter is asked for its version, for names lie (pyenv's shims answer "command not found").
#   find_python.sh [NAME] [--explain]
fits() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in ((3, 7), (3, 11), (3, 12), (3, 13)))' >/dev/null 2>&1
}

if [ -n "$1" ] && [ "$1" != --explain ]; then
    named=$1
fi
pyenv_root=${PYENV_ROOT:-$HOME/.pyenv}
case "$named" in
'') wanted='3.11 3.12 3.13 3.7' candidates='python3 python3.11 python3.12 python3.13 python3.7 python' ;;
*)  wanted=$(basename "$named" | sed -n 's/^python\([0-9.]*\)$/\1/p') candidates=$named ;;
esac
for version in $wanted; do
    for interpreter in "$pyenv_root"/versions/"$version"*/bin/python; do
        candidates="$candidates $interpreter"
    done
done
for candidate in $candidates; do
    if fits "$candidate"; then
        # Its real place: a shim would choose again elsewhere.
        "$candidate" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done
if [ "$named" ] && [ "$2" = --explain ]; then
    echo "slimtune: $named cannot be run or is not Python 3.7 or 3.11 to 3.13: choose another, as in make demo PYTHON=python3.11" >&2
elif [ "$1" = --explain ]; then
    echo "slimtune: no Python 3.7 or 3.11 to 3.13 found: install one, as in apt-get install python3 python3-venv," \
         "or name it: make demo PYTHON=/path/to/python3.11" >&2
fi
exit 1
