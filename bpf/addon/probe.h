// What the kernel can do, found out by trying: nothing that is made here outlives the call.
#pragma once

#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "map.h"
#include "object.h"

namespace ig {

inline bpf_prog_type program_type_named(const std::string &name) {
    for (int type = BPF_PROG_TYPE_UNSPEC + 1;
         const char *known = libbpf_bpf_prog_type_str(bpf_prog_type(type)); type++)
        if (name == known)
            return bpf_prog_type(type);
    return BPF_PROG_TYPE_UNSPEC;
}

// probeProgram(type, attachType, btfId, instructions): loads a GPL program and drops it; throws with the
// verifier's log.
inline void probe_program(const Napi::CallbackInfo &info) {
    auto code = info[3].As<Napi::Uint8Array>();
    std::vector<char> log(64 << 10);
    LIBBPF_OPTS(bpf_prog_load_opts, opts);
    opts.expected_attach_type = bpf_attach_type(uint_of(info[1]));
    opts.attach_btf_id = uint_of(info[2]);
    opts.log_buf = log.data();
    opts.log_size = log.size();
    opts.log_level = 1;
    LogCapture said;
    SignalBlock block;
    std::string type = text_of(info[0]);
    int fd = bpf_prog_load(program_type_named(type), "ig_probe", "GPL",
                           reinterpret_cast<const bpf_insn *>(code.Data()),
                           code.ByteLength() / sizeof(bpf_insn), &opts);
    if (fd >= 0) {
        close(fd);
        return;
    }
    auto error = system_error(info.Env(), fd, "loading a " + type + " program");
    error.Set("log", Napi::String::New(info.Env(), log.data()));
    throw error;
}

// probeMapType(type): creates the smallest map of that type, with BTF where it takes some, and drops it.
inline void probe_map_type(const Napi::CallbackInfo &info) {
    LogCapture said;
    std::string type = text_of(info[0]);
    errno = 0;
    int found = libbpf_probe_bpf_map_type(map_type_named(type), nullptr);
    if (found == 1)
        return;
    // 0 stands for any refusal; the system call has left its own.
    int err = found < 0 ? found : errno ? errno : EINVAL;
    throw system_error(info.Env(), err, "creating a " + type + " map");
}

// kernelBtfIds(names, kinds): the ids in vmlinux of types of these names and BTF_KIND_*; 0 where there is
// none.
inline Napi::Value kernel_btf_ids(const Napi::CallbackInfo &info) {
    auto env = info.Env();
    auto names = info[0].As<Napi::Array>();
    auto kinds = info[1].As<Napi::Array>();
    LogCapture log;
    struct btf *btf = btf__load_vmlinux_btf();
    if (!btf)
        throw system_error(env, errno, "reading the kernel's BTF", &log);
    auto ids = Napi::Array::New(env, names.Length());
    for (uint32_t i = 0; i < names.Length(); i++) {
        int id = btf__find_by_name_kind(btf, text_of(names[i]).c_str(), uint_of(kinds[i]));
        ids[i] = Napi::Number::New(env, id < 0 ? 0 : id);
    }
    btf__free(btf);
    return ids;
}

} // namespace ig
