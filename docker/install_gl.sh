#!/bin/sh
# Installs what MuJoCo needs to render without a display, where this user may; else says how.
set -eu

packages="libegl1 libgl1-mesa-dri libosmesa6"

found() { ldconfig -p 2>/dev/null | grep -q "$1"; }

if found 'libEGL\.so' || found 'libOSMesa\.so'; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "Rendering needs libEGL or libOSMesa: install Mesa's EGL library with your package manager." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    sudo=""
elif sudo -n true 2>/dev/null; then
    sudo="sudo"
else
    echo "Rendering needs GL libraries. Run this once, then call make again:" >&2
    echo "    sudo apt-get install -y $packages" >&2
    exit 1
fi
echo "Installing $packages"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages >/dev/null
