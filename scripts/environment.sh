# Sourced by up, down and test: makes ./.venv from the lock file, fetching uv where it is missing.

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
PYTHON="$ROOT/.venv/bin/python"

fail() {
    printf '%s\n' "$1" >&2
    exit 3
}

# Prints a command that runs Python 3.11 or newer; fails where there is none.
find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (4,))' 2>/dev/null; then
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

# Puts uv into ./.uv. --target works where the system's Python refuses to have packages installed.
fetch_uv() {
    local python
    [ -x "$ROOT/.uv/bin/uv" ] && return
    python="$(find_python)" || fail "Kairon needs Python 3.11 or newer."
    "$python" -m pip install --quiet --disable-pip-version-check --target "$ROOT/.uv" uv >&2 && return
    rm -rf "$ROOT/.uv"
    "$python" -m venv "$ROOT/.uv" && "$ROOT/.uv/bin/pip" install --quiet uv >&2 && return
    rm -rf "$ROOT/.uv"
    fail "uv could not be installed by pip; install it (https://docs.astral.sh/uv/) and try again."
}

# Runs `uv sync` for ./.venv, whatever environment the caller is in.
sync_with() {
    local uv="$1" choose=()
    shift
    if [ ! -x "$PYTHON" ]; then
        choose=(--python "$(find_python || echo 3.11)")
    fi
    env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT="$ROOT/.venv" \
        "$uv" sync --quiet --project "$ROOT" --locked --extra embedded --compile-bytecode \
        ${choose[@]+"${choose[@]}"} "$@" >&2
}

# prepare_environment run|test: nothing is done when neither the lock nor the folder has changed.
prepare_environment() {
    local purpose="$1" wanted stamp options=()
    stamp="$ROOT/.venv/.kairon-$purpose"
    wanted="$ROOT $(cat "$ROOT/uv.lock" "$ROOT/pyproject.toml" | cksum)"
    if [ -x "$PYTHON" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    [ -x "$PYTHON" ] || printf 'Setting up the environment in .venv; the first time takes a minute.\n' >&2
    if [ "$purpose" = run ]; then
        options=(--no-dev --inexact) # leave the test tools alone where they are installed
    fi
    # A uv that is too old for the lock file gets replaced by one of our own.
    if ! { uv --version >/dev/null 2>&1 && sync_with uv ${options[@]+"${options[@]}"}; }; then
        fetch_uv
        sync_with "$ROOT/.uv/bin/uv" ${options[@]+"${options[@]}"} ||
            # behind a company's proxy only the system's certificates are the right ones
            UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 sync_with "$ROOT/.uv/bin/uv" ${options[@]+"${options[@]}"} ||
            fail "The dependencies could not be installed; the lines above say why."
    fi
    printf '%s\n' "$wanted" >"$stamp"
    if [ "$purpose" = test ]; then
        printf '%s\n' "$wanted" >"$ROOT/.venv/.kairon-run" # it has all that running needs
    fi
}
