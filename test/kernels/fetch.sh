#!/usr/bin/env bash
# Gets from Debian's archive what guests are made of, without installing anything:
#   fetch.sh CACHE tools           QEMU and the programs used here, as far as this machine lacks them, in CACHE/tools
#   fetch.sh CACHE kernel NAME RE  the newest kernel whose release matches RE, as CACHE/NAME/{release,vmlinux,modules.cpio}
# What is there already is kept; a kernel is looked for again after a month. apt's state is in CACHE, too.
set -euo pipefail

KEEP_DAYS=30
LISTS_HOURS=12
# Where Debian has kernels. What a mirror no longer has is passed over.
KERNEL_SUITES=(bullseye-security bookworm bookworm-security bookworm-backports trixie trixie-security trixie-backports sid)
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# What a guest's kernel needs to reach the host's files, and for attaching to network interfaces.
MODULES=(virtio_pci 9pnet_virtio 9p overlay sch_ingress cls_bpf)

fail() { echo "$*" >&2; exit 1; }

cache=$(mkdir -p "$1" && cd "$1" && pwd)
tools=$cache/tools
export PATH=$PATH:$tools/usr/bin:$tools/bin

debian_mirror() { # of a suite
    case $1 in
    bullseye-security | bookworm-security | trixie-security) echo http://security.debian.org/debian-security ;;
    *) echo http://deb.debian.org/debian ;;
    esac
}

# Sets `apt_options` for lists of these suites alone, and fetches the lists if they are old.
use_suites() { # NAME SUITE...
    local state=$cache/apt-$1 suite
    shift
    command -v apt-get >/dev/null || fail "apt-get is missing: kernels and QEMU come from Debian's archive"
    [ -f "$KEYRING" ] || fail "$KEYRING is missing: install debian-archive-keyring"
    mkdir -p "$state/lists/partial" "$state/archives/partial"
    for suite in "$@"; do
        echo "deb [signed-by=$KEYRING] $(debian_mirror "$suite") $suite main"
    done >"$state/sources.list"
    apt_options=(-qq -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state" -o "Dir::Cache::Archives=$state/archives"
        -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3)
    if [ -z "$(find "$state/lists" -maxdepth 1 -name '*Packages*' -mmin -$((LISTS_HOURS * 60)))" ]; then
        apt-get "${apt_options[@]}" update >/dev/null 2>"$state/update.log" || true
    fi
    compgen -G "$state/lists/*Packages*" >/dev/null || fail "no package lists of Debian: $(tail -1 "$state/update.log")"
}

qemu_version() { # the first number of it; nothing if it does not run
    { "$@" --version 2>/dev/null || true; } | sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p'
}

fetch_tools() {
    local codename log=$cache/tools.log
    [ ! -f "$tools/.complete" ] || return 0
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
    use_suites "tools-$codename" "$codename" "$codename-security" "$codename-backports"
    # With what it depends on, but for what is installed. Version 7.2 of Debian 12 makes guests crash.
    apt-get "${apt_options[@]}" -y --no-install-recommends --download-only -o Debug::NoLocking=1 \
        -t "$codename-backports" install qemu-system-x86 seabios busybox-static zstd xz-utils cpio >"$log" 2>&1 ||
        fail "cannot get QEMU: $(tail -1 "$log")"
    mkdir -p "$tools"
    for package in "$cache/apt-tools-$codename"/archives/*.deb; do dpkg -x "$package" "$tools"; done
    rm -rf "$cache/apt-tools-$codename"
    touch "$tools/.complete"
}

newest_release() { # matching $1
    apt-cache "${apt_options[@]}" search --names-only "^linux-image-$1\$" | sed 's/ .*//; s/^linux-image-//' | sort -V | tail -1
}

# Newer kernels come in parts; a part that the mirror has lost must not keep us from the image.
download_kernel() { # RELEASE DIRECTORY
    local part
    for part in image binary modules; do
        if apt-cache "${apt_options[@]}" show "linux-$part-$1" >/dev/null 2>&1; then
            (cd "$2" && apt-get "${apt_options[@]}" download "linux-$part-$1" >/dev/null 2>download.log) ||
                fail "cannot get linux-$part-$1: $(tail -1 "$2/download.log")"
        fi
    done
    for part in "$2"/*.deb; do dpkg -x "$part" "$2/root"; done
}

unpack() { # a file, whatever it is compressed with
    case $1 in
    *.xz) xz -dc "$1" ;;
    *.zst) zstd -dqc "$1" ;;
    *) cat "$1" ;;
    esac
}

# The ELF file within a bzImage: QEMU starts it at once, without the slow unpacking in the guest.
extract_vmlinux() { # VMLINUZ OUTPUT
    local magic=(fd377a585a00 28b52ffd) unpacker=('xz -dc --single-stream' 'zstd -dqc') i offset
    for i in 0 1; do
        while read -r offset; do
            tail -c "+$((offset + 1))" "$1" | ${unpacker[i]} >"$2" 2>/dev/null || true
            [ "$(head -c 4 "$2" | od -An -tx1 | tr -d ' ')" != 7f454c46 ] || return 0
        done < <(LC_ALL=C grep -aboP "$(sed 's/../\\x&/g' <<<"${magic[i]}")" "$1" | cut -d: -f1)
    done
    fail "no kernel found in $(basename "$1")"
}

# An archive of the modules, and of their names in the order in which they are to be loaded.
pack_modules() { # DIRECTORY-OF-MODULES OUTPUT
    local work
    work=$(mktemp -d)
    mkdir "$work/modules"
    declare -A file_of=() added=()
    while IFS= read -r file; do
        name=$(basename "${file%%.ko*}")
        file_of[${name//-/_}]=$file
    done < <(find "$1/kernel" -name '*.ko*')
    add_module() {
        local name=${1//-/_} needed
        [ -z "${added[$name]:-}" ] && [ -n "${file_of[$name]:-}" ] || return 0 # built in, if it is not there
        added[$name]=1
        unpack "${file_of[$name]}" >"$work/modules/$name.ko"
        for needed in $(tr '\0' '\n' <"$work/modules/$name.ko" | sed -n 's/^depends=//p' | head -1 | tr , ' '); do
            add_module "$needed"
        done
        echo "$name.ko" >>"$work/modules/order"
    }
    : >"$work/modules/order"
    for module in "${MODULES[@]}"; do add_module "$module"; done
    (cd "$work" && find modules | busybox cpio -o -H newc 2>/dev/null) >"$2"
    rm -r "$work"
}

make_kernel() { # NAME RELEASE
    local work moddir image
    work=$(mktemp -d "$cache/new.XXXXXX")
    trap "rm -rf '$work'" EXIT
    download_kernel "$2" "$work"
    moddir=$(find "$work/root" -type d -path "*/lib/modules/$2" | head -1)
    image=$(find "$work/root" -name 'vmlinuz*' -type f | head -1)
    [ -n "$moddir" ] && [ -n "$image" ] || fail "the packages of $2 are not as expected"
    mkdir "$work/done"
    extract_vmlinux "$image" "$work/done/vmlinux"
    pack_modules "$moddir" "$work/done/modules.cpio"
    echo "$2" >"$work/done/release"
    rm -rf "${cache:?}/$1"
    mv "$work/done" "$cache/$1"
}

renew_kernel() { # NAME RE
    local release
    use_suites kernels "${KERNEL_SUITES[@]}"
    release=$(newest_release "$2")
    [ -n "$release" ] || fail "Debian's archive has no kernel $2"
    if [ "$release" = "$(cat "$cache/$1/release" 2>/dev/null)" ]; then
        touch "$cache/$1/release"
    else
        make_kernel "$1" "$release"
    fi
}

fetch_kernel() { # NAME RE
    local have=$cache/$1/release
    [ -z "$(find "$have" -mtime "-$KEEP_DAYS" 2>/dev/null)" ] || return 0
    # By a process of its own: where that fails, the kernel from last time will do.
    "$0" "$cache" renew "$1" "$2" || [ -f "$have" ]
}

case "${2:-}" in
tools) fetch_tools ;;
kernel) fetch_kernel "$3" "$4" ;;
renew) renew_kernel "$3" "$4" ;;
*) fail "usage: $0 CACHE tools|kernel NAME RE" ;;
esac
