# Read by the commands beside it. Gives `prepare NAME`: an environment that holds
# what requirements/NAME.txt pins and the project itself, and $bin, its programs.
# Run from the root of the repository.
#
# `prepare_alone NAME` leaves the project out.
#
# COUNTERFOIL_PYTHON       which interpreter to use, instead of the first that runs
# COUNTERFOIL_ENVIRONMENT  where the environment is, instead of .venv

environment=${COUNTERFOIL_ENVIRONMENT:-.venv}
bin=$environment/bin

stop() {
    rm -f "$environment.installing"
    printf '%s\n' "$@" >&2
    exit 1
}

# Whether $1 is a Python that we support. A name on the path may be a shim that
# refuses to run, so it is run before it is chosen.
runs() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${COUNTERFOIL_PYTHON:-}" ]; then
        runs "$COUNTERFOIL_PYTHON" ||
            stop "expected Python 3.11, 3.12 or 3.13 in COUNTERFOIL_PYTHON, found $COUNTERFOIL_PYTHON"
        printf '%s\n' "$COUNTERFOIL_PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 \
        "${HOME:-}"/.pyenv/versions/3.1[123].*/bin/python; do
        if runs "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    stop 'expected Python 3.11, 3.12 or 3.13, found none; on Debian and Ubuntu:' \
        '    sudo apt install python3 python3-venv'
}

has_uv() {
    uv --version >/dev/null 2>&1
}

make_environment() {
    found=$(find_python) || exit 1
    echo "Making $environment with $("$found" --version)" >&2
    rm -rf "$environment"
    if has_uv; then
        watched uv venv --quiet --python "$found" "$environment" || stop 'uv made no environment'
    # Debian ships ensurepip apart; what is left of it there can still be imported.
    elif ! "$found" -c 'import ensurepip, venv; ensurepip.version()' 2>/dev/null ||
        ! watched "$found" -m venv "$environment"; then
        rm -rf "$environment"
        case $found in
        python3) package=python3-venv ;;
        *) package=$("$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])') ;;
        esac
        stop 'this Python cannot make environments; on Debian and Ubuntu the missing part is:' \
            "    sudo apt install $package"
    fi
}

# Run a command that writes into the environment, under its own process id in the mark: it may
# outlive this shell, and then the next one must wait for it.
watched() {
    sh -c 'echo $$ >>"$0" && exec "$@"' "$environment.installing" "$@"
}

is_somebody_at_work() {
    for process in $(cat "$environment.installing" 2>/dev/null); do
        if kill -0 "$process" 2>/dev/null; then return 0; fi
    done
    return 1
}

install() {
    status=0
    if has_uv; then
        watched uv pip install --quiet --python "$bin/python" "$@" || status=$?
    else
        watched "$bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" ||
            status=$?
    fi
    # An installer that gave up has cleaned up behind itself; one that was killed has not.
    case $status in
    0) ;;
    12[89] | 1[3-9][0-9]) exit "$status" ;;
    *) stop "could not install: $*" ;;
    esac
}

# Whether the environment holds requirements/$1.txt and this very project, by its stamp.
is_ready() {
    [ "$(cat "$environment/counterfoil-$1" 2>/dev/null)" = "$(stamp "$1")" ] && runs "$bin/python"
}

stamp() {
    pwd -P
    cat pyproject.toml "requirements/$1.txt" | cksum
}

prepare() {
    mark=$environment.installing
    if [ -z "${COUNTERFOIL_PYTHON:-}" ] && [ ! -e "$mark" ] && is_ready "$1"; then return; fi
    mkdir -p "$(dirname "$environment")"
    # The mark says who is installing. One that outlived its processes was left by
    # a command that was killed half way: its environment is made anew.
    until (set -C && echo $$ >"$mark") 2>/dev/null; do
        [ -e "$mark" ] || [ -w "$(dirname "$mark")" ] || stop "expected a folder to write to, found $PWD"
        if is_somebody_at_work; then
            sleep 1
        else
            rm -rf "$environment" "$mark"
        fi
    done
    if ! is_ready "$1" || ! is_chosen; then
        if ! runs "$bin/python" || ! is_chosen; then make_environment; fi
        if ! has_uv && ! "$bin/python" -m pip --version >/dev/null 2>&1; then make_environment; fi
        echo "Installing what requirements/$1.txt pins (the first time takes about a minute)" >&2
        install --require-hashes --requirement "requirements/$1.txt"
        # pip takes no local project together with hashes, so it comes second.
        if [ -z "${alone:-}" ]; then install --no-deps --no-build-isolation --editable .; fi
        stamp "$1" >"$environment/counterfoil-$1"
    fi
    rm -f "$mark"
}

prepare_alone() {
    alone=yes
    prepare "$1"
}

# Whether the environment's Python is the one that COUNTERFOIL_PYTHON asks for.
is_chosen() {
    [ -z "${COUNTERFOIL_PYTHON:-}" ] || {
        version='import sys; print(sys.version_info[:2])'
        [ "$("$bin/python" -c "$version" 2>/dev/null)" = "$("$COUNTERFOIL_PYTHON" -c "$version")" ]
    }
}
