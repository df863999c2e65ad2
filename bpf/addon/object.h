// An eBPF object: opened from an ELF file in memory, changed, loaded, its programs attached.
#pragma once

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <bpf/btf.h>

#include "link.h"

namespace ig {

struct AddonData {
    Napi::FunctionReference link;
};

// While it lives, this thread takes no signals: the kernel gives up verifying (EAGAIN) when one waits.
class SignalBlock {
  public:
    SignalBlock() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalBlock() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalBlock(const SignalBlock &) = delete;
    SignalBlock &operator=(const SignalBlock &) = delete;

  private:
    sigset_t before_;
};

class BpfObject : public Napi::ObjectWrap<BpfObject> {
  public:
    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "BpfObject",
                           {
                               InstanceMethod<&BpfObject::programs>("programs"),
                               InstanceMethod<&BpfObject::maps>("maps"),
                               InstanceMethod<&BpfObject::btf>("btf"),
                               InstanceMethod<&BpfObject::set_autoload>("setAutoload"),
                               InstanceMethod<&BpfObject::set_attach_target>("setAttachTarget"),
                               InstanceMethod<&BpfObject::set_max_entries>("setMaxEntries"),
                               InstanceMethod<&BpfObject::leave_out_map>("leaveOutMap"),
                               InstanceMethod<&BpfObject::set_value_size>("setValueSize"),
                               InstanceMethod<&BpfObject::reuse_map>("reuseMap"),
                               InstanceMethod<&BpfObject::initial_value>("initialValue"),
                               InstanceMethod<&BpfObject::set_initial_value>("setInitialValue"),
                               InstanceMethod<&BpfObject::load>("load"),
                               InstanceMethod<&BpfObject::program_fd>("programFd"),
                               InstanceMethod<&BpfObject::map_fd>("mapFd"),
                               InstanceMethod<&BpfObject::attach>("attach"),
                               InstanceMethod<&BpfObject::attach_raw_tracepoint>("attachRawTracepoint"),
                               InstanceMethod<&BpfObject::attach_perf_event>("attachPerfEvent"),
                               InstanceMethod<&BpfObject::attach_kprobe>("attachKprobe"),
                               InstanceMethod<&BpfObject::attach_uprobe>("attachUprobe"),
                               InstanceMethod<&BpfObject::attach_iter>("attachIter"),
                               InstanceMethod<&BpfObject::attach_kprobe_multi>("attachKprobeMulti"),
                               InstanceMethod<&BpfObject::attach_cgroup>("attachCgroup"),
                               InstanceMethod<&BpfObject::attach_tcx>("attachTcx"),
                               InstanceMethod<&BpfObject::attach_socket>("attachSocket"),
                               InstanceMethod<&BpfObject::close>("close"),
                           });
    }

    // (bytes, name, btfCustomPath | undefined). libbpf copies what it needs: the bytes may go afterwards.
    explicit BpfObject(const Napi::CallbackInfo &info) : Napi::ObjectWrap<BpfObject>(info) {
        auto bytes = info[0].As<Napi::Uint8Array>();
        std::string name = text_of(info[1]);
        std::string custom_btf = info[2].IsString() ? text_of(info[2]) : "";
        LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name.c_str());
        if (!custom_btf.empty())
            opts.btf_custom_path = custom_btf.c_str();
        LogCapture log;
        object_ = bpf_object__open_mem(bytes.Data(), bytes.ByteLength(), &opts);
        if (!object_)
            throw system_error(info.Env(), errno, "opening the eBPF object", &log);
    }

    ~BpfObject() { destroy(); }

  private:
    void destroy() {
        if (object_)
            bpf_object__close(object_);
        object_ = nullptr;
    }

    bpf_object *object(Napi::Env env) {
        if (!object_)
            throw system_error(env, EBADF, "using a closed eBPF object");
        return object_;
    }

    bpf_program *program(const Napi::CallbackInfo &info) {
        bpf_program *found = bpf_object__find_program_by_name(object(info.Env()), text_of(info[0]).c_str());
        if (!found)
            throw system_error(info.Env(), ENOENT, "finding the program " + text_of(info[0]));
        return found;
    }

    bpf_map *map(const Napi::CallbackInfo &info) {
        bpf_map *found = bpf_object__find_map_by_name(object(info.Env()), text_of(info[0]).c_str());
        if (!found)
            throw system_error(info.Env(), ENOENT, "finding the map " + text_of(info[0]));
        return found;
    }

    void close(const Napi::CallbackInfo &) { destroy(); }

    // ---- what the ELF file says ----

    Napi::Value programs(const Napi::CallbackInfo &info) {
        auto env = info.Env();
        auto list = Napi::Array::New(env);
        bpf_program *prog;
        bpf_object__for_each_program(prog, object(env)) {
            auto entry = Napi::Object::New(env);
            const char *type = libbpf_bpf_prog_type_str(bpf_program__type(prog));
            entry.Set("name", bpf_program__name(prog));
            entry.Set("section", bpf_program__section_name(prog));
            entry.Set("type", type ? type : "unknown");
            entry.Set("autoload", bpf_program__autoload(prog));
            list.Set(list.Length(), entry);
        }
        return list;
    }

    Napi::Value maps(const Napi::CallbackInfo &info) {
        auto env = info.Env();
        auto list = Napi::Array::New(env);
        bpf_map *map;
        bpf_object__for_each_map(map, object(env)) {
            auto entry = Napi::Object::New(env);
            const char *type = libbpf_bpf_map_type_str(bpf_map__type(map));
            std::string name = bpf_map__name(map);
            // libbpf calls a section's map "OBJECT.rodata", cut to 15 characters; it finds it as ".rodata"
            // too.
            if (bpf_map__is_internal(map) && name.find('.') != std::string::npos)
                name.erase(0, name.find('.'));
            entry.Set("name", name);
            entry.Set("type", type ? type : "unknown");
            entry.Set("keySize", bpf_map__key_size(map));
            entry.Set("valueSize", bpf_map__value_size(map));
            entry.Set("maxEntries", bpf_map__max_entries(map));
            entry.Set("leftOut", !bpf_map__autocreate(map));
            list.Set(list.Length(), entry);
        }
        return list;
    }

    Napi::Value btf(const Napi::CallbackInfo &info) {
        struct btf *btf = bpf_object__btf(object(info.Env()));
        uint32_t size = 0;
        const void *data = btf ? btf__raw_data(btf, &size) : nullptr;
        return copy_bytes(info.Env(), data, data ? size : 0);
    }

    // ---- changes before the load ----

    void check(const Napi::CallbackInfo &info, int err, const char *what, const LogCapture &log) {
        if (err)
            throw system_error(info.Env(), err, what + (" " + text_of(info[0])), &log);
    }

    void set_autoload(const Napi::CallbackInfo &info) {
        LogCapture log;
        check(info, bpf_program__set_autoload(program(info), info[1].As<Napi::Boolean>()),
              "setting autoload of", log);
    }

    void set_attach_target(const Napi::CallbackInfo &info) {
        LogCapture log;
        int err = bpf_program__set_attach_target(program(info), 0, text_of(info[1]).c_str());
        check(info, err, "setting the attach target of", log);
    }

    void set_max_entries(const Napi::CallbackInfo &info) {
        LogCapture log;
        check(info, bpf_map__set_max_entries(map(info), uint_of(info[1])), "resizing the map", log);
    }

    void leave_out_map(const Napi::CallbackInfo &info) {
        LogCapture log;
        check(info, bpf_map__set_autocreate(map(info), false), "leaving out the map", log);
    }

    void set_value_size(const Napi::CallbackInfo &info) {
        LogCapture log;
        check(info, bpf_map__set_value_size(map(info), uint_of(info[1])), "resizing values of the map", log);
    }

    void reuse_map(const Napi::CallbackInfo &info) {
        LogCapture log;
        check(info, bpf_map__reuse_fd(map(info), int_of(info[1])), "reusing a map as", log);
    }

    Napi::Value initial_value(const Napi::CallbackInfo &info) {
        size_t size = 0;
        const void *data = bpf_map__initial_value(map(info), &size);
        return copy_bytes(info.Env(), data, data ? size : 0);
    }

    // setInitialValue(map, offset, bytes)
    void set_initial_value(const Napi::CallbackInfo &info) {
        size_t size = 0;
        // libbpf's own skeletons write through this mapping; it turns read-only with the load.
        auto data = static_cast<uint8_t *>(const_cast<void *>(bpf_map__initial_value(map(info), &size)));
        size_t offset = uint_of(info[1]);
        auto bytes = info[2].As<Napi::Uint8Array>();
        if (loaded_ || !data || offset > size || bytes.ByteLength() > size - offset)
            throw system_error(info.Env(), EINVAL, "setting the initial value of " + text_of(info[0]));
        memcpy(data + offset, bytes.Data(), bytes.ByteLength());
    }

    // ---- in the kernel ----

    // A load in a thread of libuv's pool. The object is taken from its owner meanwhile, who can neither use
    // nor free it then, and the owner is kept from the garbage collector.
    class Load : public Napi::AsyncWorker {
      public:
        Load(const Napi::CallbackInfo &info, BpfObject *owner)
            : AsyncWorker(info.Env(), "ig_bpf.load"), deferred_(info.Env()), owner_(owner),
              reference_(Napi::Persistent(info.This().As<Napi::Object>())),
              object_(owner->object(info.Env())) {
            owner->object_ = nullptr;
            owner->loaded_ = true;
        }

        Napi::Promise promise() const { return deferred_.Promise(); }

      protected:
        void Execute() override {
            LogCapture log;
            SignalBlock block;
            error_ = bpf_object__load(object_);
            if (error_)
                log_ = log.text();
        }

        // May find its environment ending: then only the first line has an effect.
        void OnOK() override {
            owner_->object_ = object_;
            if (!error_)
                return deferred_.Resolve(Env().Undefined());
            auto error = system_error(Env(), error_, "loading the eBPF object");
            error.Set("log", Napi::String::New(Env(), log_));
            deferred_.Reject(error.Value());
        }

      private:
        Napi::Promise::Deferred deferred_;
        BpfObject *owner_;
        Napi::ObjectReference reference_;
        bpf_object *object_;
        int error_ = 0;
        std::string log_;
    };

    // load(): a promise. Until it settles, all else finds the object closed.
    Napi::Value load(const Napi::CallbackInfo &info) {
        auto load = new Load(info, this);
        load->Queue();
        return load->promise();
    }

    Napi::Value program_fd(const Napi::CallbackInfo &info) {
        return Napi::Number::New(info.Env(), bpf_program__fd(program(info)));
    }

    Napi::Value map_fd(const Napi::CallbackInfo &info) {
        return Napi::Number::New(info.Env(), bpf_map__fd(map(info)));
    }

    Napi::Value owned(const Napi::CallbackInfo &info, bpf_link *link, const LogCapture &log) {
        int err = errno;
        if (!link)
            throw system_error(info.Env(), err, "attaching " + text_of(info[0]), &log);
        Napi::Object wrap;
        try {
            wrap = info.Env().GetInstanceData<AddonData>()->link.New({});
        } catch (...) {
            bpf_link__destroy(link);
            throw;
        }
        BpfLink::Unwrap(wrap)->own(link);
        return wrap;
    }

    Napi::Value owned_fd(const Napi::CallbackInfo &info, int fd, int err) {
        if (fd < 0)
            throw system_error(info.Env(), err, "attaching " + text_of(info[0]));
        Napi::Object wrap;
        try {
            wrap = info.Env().GetInstanceData<AddonData>()->link.New({});
        } catch (...) {
            ::close(fd);
            throw;
        }
        BpfLink::Unwrap(wrap)->own(fd);
        return wrap;
    }

    // attach(program): as its section says, for every kind libbpf knows.
    Napi::Value attach(const Napi::CallbackInfo &info) {
        LogCapture log;
        return owned(info, bpf_program__attach(program(info)), log);
    }

    // attachRawTracepoint(program, tracepoint)
    Napi::Value attach_raw_tracepoint(const Napi::CallbackInfo &info) {
        LogCapture log;
        return owned(info, bpf_program__attach_raw_tracepoint(program(info), text_of(info[1]).c_str()), log);
    }

    // attachPerfEvent(program, type, config, frequencyHz, cpu): of all processes on that CPU.
    Napi::Value attach_perf_event(const Napi::CallbackInfo &info) {
        bpf_program *prog = program(info);
        perf_event_attr attr{};
        attr.size = sizeof(attr);
        attr.type = uint_of(info[1]);
        attr.config = uint_of(info[2]);
        attr.sample_freq = uint_of(info[3]);
        attr.freq = attr.sample_freq != 0;
        LogCapture log;
        int fd = syscall(SYS_perf_event_open, &attr, -1, int_of(info[4]), -1, PERF_FLAG_FD_CLOEXEC);
        if (fd < 0)
            throw system_error(info.Env(), errno, "opening a perf event for " + text_of(info[0]), &log);
        bpf_link *link = bpf_program__attach_perf_event(prog, fd);
        if (!link) {
            int err = errno;
            ::close(fd);
            errno = err;
        }
        return owned(info, link, log);
    }

    // attachKprobe(program, isReturn, symbol, offset)
    Napi::Value attach_kprobe(const Napi::CallbackInfo &info) {
        LIBBPF_OPTS(bpf_kprobe_opts, opts, .offset = uint_of(info[3]));
        opts.retprobe = info[1].As<Napi::Boolean>();
        LogCapture log;
        return owned(info, bpf_program__attach_kprobe_opts(program(info), text_of(info[2]).c_str(), &opts),
                     log);
    }

    // attachUprobe(program, isReturn, pid | -1, path, symbol ("" for none), offset)
    Napi::Value attach_uprobe(const Napi::CallbackInfo &info) {
        std::string symbol = text_of(info[4]);
        size_t offset = info[5].As<Napi::Number>().Int64Value();
        LIBBPF_OPTS(bpf_uprobe_opts, opts);
        opts.retprobe = info[1].As<Napi::Boolean>();
        opts.func_name = symbol.empty() ? nullptr : symbol.c_str();
        LogCapture log;
        return owned(info,
                     bpf_program__attach_uprobe_opts(program(info), int_of(info[2]), text_of(info[3]).c_str(),
                                                     offset, &opts),
                     log);
    }

    // attachIter(program, mapFd | -1)
    Napi::Value attach_iter(const Napi::CallbackInfo &info) {
        bpf_iter_link_info target{};
        LIBBPF_OPTS(bpf_iter_attach_opts, opts);
        if (int fd = int_of(info[1]); fd >= 0) {
            target.map.map_fd = fd;
            opts.link_info = &target;
            opts.link_info_len = sizeof(target);
        }
        LogCapture log;
        return owned(info, bpf_program__attach_iter(program(info), &opts), log);
    }

    // attachKprobeMulti(program, isReturn, pattern)
    Napi::Value attach_kprobe_multi(const Napi::CallbackInfo &info) {
        LIBBPF_OPTS(bpf_kprobe_multi_opts, opts);
        opts.retprobe = info[1].As<Napi::Boolean>();
        LogCapture log;
        return owned(
            info, bpf_program__attach_kprobe_multi_opts(program(info), text_of(info[2]).c_str(), &opts), log);
    }

    // attachCgroup(program, directory): to that cgroup of version 2 and those below.
    Napi::Value attach_cgroup(const Napi::CallbackInfo &info) {
        bpf_program *prog = program(info);
        int cgroup = open(text_of(info[1]).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (cgroup < 0)
            throw system_error(info.Env(), errno, "opening the cgroup " + text_of(info[1]));
        LogCapture log;
        bpf_link *link = bpf_program__attach_cgroup(prog, cgroup);
        int err = errno;
        ::close(cgroup);
        errno = err;
        return owned(info, link, log);
    }

    // attachTcx(program, isEgress, interface)
    Napi::Value attach_tcx(const Napi::CallbackInfo &info) {
        int prog = bpf_program__fd(program(info));
        int interface = if_nametoindex(text_of(info[2]).c_str());
        if (!interface)
            throw system_error(info.Env(), errno, "finding the network interface " + text_of(info[2]));
        // BPF_TCX_INGRESS and BPF_TCX_EGRESS, include/uapi/linux/bpf.h; libbpf 1.1 only passes them on.
        auto direction = bpf_attach_type(info[1].As<Napi::Boolean>() ? 47 : 46);
        int fd = bpf_link_create(prog, interface, direction, nullptr);
        return owned_fd(info, fd, errno);
    }

    // attachSocket(program): to a packet socket, which gets what all interfaces of this network namespace
    // send and receive. Nobody reads it, so it may hold next to nothing.
    Napi::Value attach_socket(const Napi::CallbackInfo &info) {
        int prog = bpf_program__fd(program(info));
        // Of no protocol until it has its filter: nothing comes in before.
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
        int least = 0;
        sockaddr_ll all{};
        all.sll_family = AF_PACKET;
        all.sll_protocol = htons(ETH_P_ALL);
        if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)) ||
                        setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) ||
                        bind(fd, reinterpret_cast<sockaddr *>(&all), sizeof(all)))) {
            int err = errno;
            ::close(fd);
            return owned_fd(info, -1, err);
        }
        return owned_fd(info, fd, errno);
    }

    bpf_object *object_ = nullptr;
    bool loaded_ = false;
};

} // namespace ig
