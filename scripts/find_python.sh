#!/bin/sh
# Prints the path of a Python that slimtune runs on: NAME, else python3 if its version is supported, else the
# first supported one. Each interpreter is run to find its version, because names are no evidence: pyenv
# installs commands such as python3.7 that only print "command not found".
#   find_python.sh [NAME] [--explain]
is_supported() {
    "$1" -c 'import ensurepip, sys, venv
sys.exit(sys.version_info[:2] not in ((3, 7), (3, 11), (3, 12), (3, 13)))' >/dev/null 2>&1
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
    if is_supported "$candidate"; then
        # The interpreter's own path: a pyenv command may choose another one in another folder.
        "$candidate" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done
if [ "$named" ] && [ "$2" = --explain ]; then
    echo "slimtune: $named cannot be run or is not Python 3.7 or 3.11 to 3.13:" \
         "choose another: make demo PYTHON=python3.11" >&2
elif [ "$1" = --explain ]; then
    echo "slimtune: no Python 3.7 or 3.11 to 3.13 found: install one (apt-get install python3 python3-venv)" \
         "or name it: make demo PYTHON=/path/to/python3.11" >&2
fi
exit 1
