# Debian packages: which are missing, and how they come, for the scripts that try what they bring.

is_installed() { [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# lacking PACKAGE…: those that are not installed.
lacking() {
    local package
    for package; do
        is_installed "$package" || printf '%s ' "$package"
    done
}

# install PACKAGE…: those that are missing. Needs root, where any is.
install() {
    local absent
    read -ra absent <<<"$(lacking "$@" | tr ' ' '\n' | sort --unique | tr '\n' ' ')"
    ((${#absent[@]} > 0)) || return 0
    echo "installing ${absent[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet=2
    apt-get install --yes --no-install-recommends --quiet=2 "${absent[@]}" >/dev/null
}
