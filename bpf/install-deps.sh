#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that a step needs and that are missing:
#   bpf/install-deps.sh build   compilers, libbpf, libelf
#   bpf/install-deps.sh test    what the tests run against: docker, a registry, ...
#   bpf/install-deps.sh sanitizers  what looks for mistakes with memory
#   bpf/install-deps.sh bench   the peers that the benchmark measures
# On other distributions it prints what is missing and fails.
set -euo pipefail

newest_clang() { # the newest installed clang >= 16, as a suffix such as "-19"
    local suffix
    for suffix in "" -22 -21 -20 -19 -18 -17 -16; do
        if command -v "clang$suffix" >/dev/null && command -v "llvm-strip$suffix" >/dev/null &&
            [ "$("clang$suffix" -dumpversion | cut -d. -f1)" -ge 16 ]; then
            echo "$suffix"
            return 0
        fi
    done
    return 1
}

missing=()
need_command() { command -v "$1" >/dev/null || missing+=("$2"); }
need_file() { compgen -G "$1" >/dev/null || missing+=("$2"); }

case "${1:-}" in
build)
    need_command g++ g++
    need_command pkg-config pkg-config
    need_command patchelf patchelf
    need_file '/usr/include/bpf/libbpf.h' libbpf-dev
    need_file '/usr/include/libelf.h' libelf-dev
    need_file '/usr/include/zlib.h' zlib1g-dev
    newest_clang >/dev/null || missing+=(clang)
    ;;
test)
    need_command dockerd docker.io
    need_command docker docker.io
    need_command iptables iptables
    need_command containerd containerd
    need_command podman podman
    need_command runc runc
    need_command docker-registry docker-registry
    need_command htpasswd apache2-utils
    need_command skopeo skopeo
    need_command busybox busybox-static
    need_command script bsdutils
    need_command unshare util-linux
    need_command bwrap bubblewrap
    need_command openssl openssl
    need_command python3 python3
    need_command clang-format-16 clang-format-16
    need_command bpftool bpftool
    # Guest languages; Go 1.24 is too new for a Debian package to count on.
    suffix=$(newest_clang) && need_command "wasm-ld$suffix" "lld$suffix"
    need_file /usr/bin/rustc rustc
    need_file '/usr/lib/rustlib/wasm32-unknown-unknown/lib/libcore-*' libstd-rust-dev-wasm32
    ;;
sanitizers)
    need_command valgrind valgrind
    ;;
bench)
    need_command execsnoop libbpf-tools
    need_command bpftrace bpftrace
    ;;
*)
    echo "usage: $0 build|test|sanitizers|bench" >&2
    exit 2
    ;;
esac
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "These are missing; install them with your distribution's package manager (Debian's names): ${missing[*]}" >&2
    echo "clang must be 16 or newer, libbpf 1.1 or newer." >&2
    exit 1
fi

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"; }

echo "Installing: ${missing[*]}" >&2
apt update >&2
packages=()
for package in "${missing[@]}"; do
    if [ "$package" = clang ]; then
        for version in 19 18 17 16 20 21 22; do
            if apt-cache show "clang-$version" >/dev/null 2>&1; then
                packages+=("clang-$version" "llvm-$version")
                break
            fi
        done
        [[ " ${packages[*]} " == *" clang-"* ]] || { echo "This distribution has no clang 16 or newer." >&2; exit 1; }
    elif [ "$package" = bpftool ] && ! apt-cache show bpftool >/dev/null 2>&1; then
        packages+=(linux-tools-common) # Ubuntu's name
    else
        packages+=("$package")
    fi
done
apt install -y --no-install-recommends "${packages[@]}" >&2
