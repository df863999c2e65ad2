// An attachment of one program to one hook.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#include <vector>

#include <bpf/bpf.h>

#include "error.h"

namespace ig {

class BpfLink : public Napi::ObjectWrap<BpfLink> {
  public:
    static Napi::Function define(Napi::Env env) {
        return DefineClass(
            env, "BpfLink",
            {InstanceMethod<&BpfLink::read>("read"), InstanceMethod<&BpfLink::close>("close")});
    }

    explicit BpfLink(const Napi::CallbackInfo &info) : Napi::ObjectWrap<BpfLink>(info) {}
    ~BpfLink() { destroy(); }

    void own(bpf_link *link) { link_ = link; }
    // An attachment that lasts as long as this descriptor.
    void own(int fd) { fd_ = fd; }

  private:
    void destroy() {
        if (link_)
            bpf_link__destroy(link_);
        if (fd_ >= 0)
            ::close(fd_);
        link_ = nullptr;
        fd_ = -1;
    }

    void close(const Napi::CallbackInfo &) { destroy(); }

    // read(maxBytes, netnsFd | -1): one pass of an iterator, to its end.
    Napi::Value read(const Napi::CallbackInfo &info) {
        size_t limit = info[0].As<Napi::Number>().Int64Value();
        int fd = create_iterator(info.Env(), int_of(info[1]));
        std::vector<uint8_t> bytes(64 << 10);
        size_t size = 0;
        int err = 0;
        for (;;) {
            ssize_t got = ::read(fd, bytes.data() + size, bytes.size() - size);
            if (got > 0) {
                size += got;
                if (size > limit)
                    err = EFBIG;
                else if (size == bytes.size())
                    bytes.resize(size * 2);
            } else if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
                continue; // EAGAIN: the kernel gave the CPU up after many objects without output
            } else if (got < 0) {
                err = errno;
            }
            if (got == 0 || err)
                break;
        }
        ::close(fd);
        if (err)
            throw system_error(info.Env(), err, "reading the iterator");
        return copy_bytes(info.Env(), bytes.data(), size);
    }

    // Socket iterators walk the network namespace of the thread that creates them, and keep to it.
    int create_iterator(Napi::Env env, int netns) {
        if (!link_)
            throw system_error(env, EBADF, "reading the iterator");
        int home = -1;
        if (netns >= 0) {
            home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
            if (home < 0 || setns(netns, CLONE_NEWNET)) {
                int err = errno;
                if (home >= 0)
                    ::close(home);
                throw system_error(env, err, "entering the network namespace");
            }
        }
        int fd = bpf_iter_create(bpf_link__fd(link_));
        int err = errno;
        if (home >= 0) {
            // Going on in a container's namespace would be worse than stopping.
            if (setns(home, CLONE_NEWNET))
                Napi::Error::Fatal("ig_bpf", "cannot return to the own network namespace");
            ::close(home);
        }
        if (fd < 0)
            throw system_error(env, err, "creating the iterator");
        return fd;
    }

    bpf_link *link_ = nullptr;
    int fd_ = -1;
};

} // namespace ig
