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

# The Python packages of the requirements tests/$1 in .deps/$2; further words are options of pip.
packages() {
    local requirements=$root/tests/$1 folder=$deps/$2
    shift 2
    if ! cmp --silent "$requirements" "$folder/requirements.txt"; then
        rm -rf "$folder"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --require-hashes --only-binary=:all: "$@" \
            --target "$folder" --requirement "$requirements" ||
            fail "the download failed: check the network and run this again"
        cp "$requirements" "$folder/requirements.txt"
    fi
}
