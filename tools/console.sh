#!/bin/sh
# Builds the console into the package, when Node is there. Without it everything else works, and the server says how to get it.
# Usage: tools/console.sh build | check
set -u
cd "$(dirname "$0")/../console" || exit 1

if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    echo "Node is not installed: going on without the console. (It needs Node 20.19 or newer.)" >&2
    exit 0
fi
if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; then
    echo "Node $(node --version) is too old: going on without the console. (It needs 20.19 or newer.)" >&2
    exit 0
fi
set -e
if [ ! -f node_modules/.installed ] || [ package-lock.json -nt node_modules/.installed ]; then
    echo "Installing the console's packages ..." >&2
    npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.installed
fi
case "${1:-build}" in
build)
    echo "Building the console ..." >&2
    npm run --silent build
    ;;
check)
    npm run --silent typecheck
    npm run --silent lint
    npm run --silent test
    ;;
esac
