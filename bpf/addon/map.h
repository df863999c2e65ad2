// A map in the kernel, by its fd: its own (created here) or a loaded object's.
#pragma once

#include <unistd.h>

#include <bpf/bpf.h>

#include "error.h"

namespace ig {

inline bpf_map_type map_type_named(const std::string &name) {
    for (int type = BPF_MAP_TYPE_UNSPEC + 1; const char *known = libbpf_bpf_map_type_str(bpf_map_type(type));
         type++)
        if (name == known)
            return bpf_map_type(type);
    return BPF_MAP_TYPE_UNSPEC;
}

class BpfMap : public Napi::ObjectWrap<BpfMap> {
  public:
    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "BpfMap",
                           {
                               InstanceAccessor<&BpfMap::fd>("fd"),
                               InstanceMethod<&BpfMap::lookup>("lookup"),
                               InstanceMethod<&BpfMap::update>("update"),
                               InstanceMethod<&BpfMap::remove>("delete"),
                               InstanceMethod<&BpfMap::next_key>("nextKey"),
                               InstanceMethod<&BpfMap::close>("close"),
                           });
    }

    // (fd) of an object's map, or (type, name, keySize, valueSize, maxEntries, flags) for a new one.
    explicit BpfMap(const Napi::CallbackInfo &info) : Napi::ObjectWrap<BpfMap>(info) {
        if (info.Length() == 1) {
            fd_ = int_of(info[0]);
            return;
        }
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = uint_of(info[5]));
        std::string name = text_of(info[1]);
        LogCapture log;
        fd_ = bpf_map_create(map_type_named(text_of(info[0])), name.c_str(), uint_of(info[2]),
                             uint_of(info[3]), uint_of(info[4]), &opts);
        if (fd_ < 0)
            throw system_error(info.Env(), fd_, "creating the map " + name, &log);
        owned_ = true;
    }

    ~BpfMap() { release(); }

  private:
    void release() {
        if (owned_)
            ::close(fd_);
        owned_ = false;
        fd_ = -1;
    }

    static void *data(const Napi::Value &bytes) { return bytes.As<Napi::Uint8Array>().Data(); }

    // True when done, false when there is no such element.
    Napi::Value outcome(Napi::Env env, int err, const char *what) {
        if (err && err != -ENOENT)
            throw system_error(env, err, what);
        return Napi::Boolean::New(env, err == 0);
    }

    Napi::Value fd(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), fd_); }

    // lookup(key, into)
    Napi::Value lookup(const Napi::CallbackInfo &info) {
        return outcome(info.Env(), bpf_map_lookup_elem(fd_, data(info[0]), data(info[1])),
                       "looking up a key");
    }

    // update(key, value, flags)
    void update(const Napi::CallbackInfo &info) {
        int err = bpf_map_update_elem(fd_, data(info[0]), data(info[1]), uint_of(info[2]));
        if (err)
            throw system_error(info.Env(), err, "updating a key");
    }

    Napi::Value remove(const Napi::CallbackInfo &info) {
        return outcome(info.Env(), bpf_map_delete_elem(fd_, data(info[0])), "deleting a key");
    }

    // nextKey(previous | null, into)
    Napi::Value next_key(const Napi::CallbackInfo &info) {
        const void *previous = info[0].IsNull() ? nullptr : data(info[0]);
        return outcome(info.Env(), bpf_map_get_next_key(fd_, previous, data(info[1])), "walking the keys");
    }

    void close(const Napi::CallbackInfo &) { release(); }

    int fd_ = -1;
    bool owned_ = false;
};

} // namespace ig
