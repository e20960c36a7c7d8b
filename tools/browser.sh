#!/bin/sh
# Sees to it that the browser tests have a Chromium, when this machine lets us. Never fails: without one those tests skip
# and say why.
set -u

for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if ! command -v apt-get >/dev/null 2>&1; then
    echo "No Chromium and no apt-get: the browser tests will be skipped. Set CHROMIUM to the path of one." >&2
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "No Chromium: the browser tests will be skipped. To run them: sudo apt-get install chromium" >&2
    exit 0
fi
echo "Installing Chromium for the browser tests ..." >&2
export DEBIAN_FRONTEND=noninteractive
if { timeout 600 apt-get update -qq && timeout 600 apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1; then
    exit 0
fi
echo "Chromium could not be installed: the browser tests will be skipped." >&2
