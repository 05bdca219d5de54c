# Shared by the scripts of this folder; sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$root/.deps

# One sentence with the remedy, then the end.
fail() {
    echo "error: $*" >&2
    exit 1
}

# One line of progress.
say() {
    echo "==> $*"
}

# A command that must be on the PATH, and how to get it.
need() {
    command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: $2"
}
