# Sourced by the run.sh of the Python clients: makes a virtual environment with pinned packages and runs main.py in it.
# python_client FOLDER "PACKAGE==VERSION..." [install|FEATURE...]
python_client() {
    local folder=$1 packages=$2 name environment
    name=$(basename "$folder") environment=$scratch/$(basename "$folder")
    shift 2
    if [ "$(cat "$environment/installed" 2>/dev/null)" != "$packages" ]; then
        rm -rf "$environment"
        python3 -m venv "$environment"
        # shellcheck disable=SC2086 # packages are words
        "$environment/bin/pip" install --quiet --disable-pip-version-check --no-compile $packages
        echo "$packages" >"$environment/installed"
    fi
    [ "${1:-}" != install ] || return 0
    echo "$name: $packages"
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$(dirname "$folder")/shared" exec "$environment/bin/python" "$folder/main.py" "$@"
}
