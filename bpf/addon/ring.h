// A consumer of a BPF ring buffer that drains whole batches into a caller's buffer.
#pragma once

#include <algorithm>
#include <atomic>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"

namespace ig {

// Layout (kernel/bpf/ringbuf.c): page 0 holds the consumer position, page 1 the producer position, then the
// data, which the kernel maps twice in a row so that a record that wraps is still contiguous. A record is a
// header of 8 bytes {u32 length and flags, u32 page offset} and its data, rounded up to 8.
class RingReader : public Napi::ObjectWrap<RingReader> {
  public:
    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "RingReader",
                           {
                               InstanceAccessor<&RingReader::skipped>("skipped"),
                               InstanceAccessor<&RingReader::consumed>("consumed"),
                               InstanceAccessor<&RingReader::produced>("produced"),
                               InstanceMethod<&RingReader::wait>("wait"),
                               InstanceMethod<&RingReader::drain>("drain"),
                               InstanceMethod<&RingReader::close>("close"),
                           });
    }

    // (fd, ringSizeBytes). The fd is duplicated: it is another thread's, and its number may be reused.
    explicit RingReader(const Napi::CallbackInfo &info) : Napi::ObjectWrap<RingReader>(info) {
        page_ = sysconf(_SC_PAGESIZE);
        size_ = uint_of(info[1]);
        fd_ = fcntl(int_of(info[0]), F_DUPFD_CLOEXEC, 3);
        if (fd_ >= 0)
            consumer_ = map(page_, PROT_READ | PROT_WRITE, 0);
        if (consumer_)
            producer_ = map(page_ + 2 * size_, PROT_READ, page_);
        if (!producer_) {
            int err = errno;
            release();
            throw system_error(info.Env(), err, "mapping the ring buffer");
        }
    }

    ~RingReader() { release(); }

  private:
    static constexpr uint32_t kBusy = 1u << 31;
    static constexpr uint32_t kDiscard = 1u << 30;
    static constexpr size_t kHeader = 8;

    static size_t round_up(size_t size) { return (size + 7) & ~size_t(7); }

    uint8_t *map(size_t length, int protection, off_t offset) {
        void *at = mmap(nullptr, length, protection, MAP_SHARED, fd_, offset);
        return at == MAP_FAILED ? nullptr : static_cast<uint8_t *>(at);
    }

    void release() {
        int err = errno;
        if (producer_)
            munmap(producer_, page_ + 2 * size_);
        if (consumer_)
            munmap(consumer_, page_);
        if (fd_ >= 0)
            ::close(fd_);
        producer_ = consumer_ = nullptr;
        fd_ = -1;
        errno = err;
    }

    void check_open(Napi::Env env) {
        if (!producer_)
            throw system_error(env, EBADF, "reading a closed ring buffer");
    }

    // Both positions only grow; the kernel writes one, this reader alone the other.
    std::atomic_ref<unsigned long> position(uint8_t *page) {
        return std::atomic_ref<unsigned long>(*reinterpret_cast<unsigned long *>(page));
    }

    Napi::Value skipped(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), skipped_); }

    Napi::Value consumed(const Napi::CallbackInfo &info) {
        check_open(info.Env());
        return Napi::Number::New(info.Env(), position(consumer_).load(std::memory_order_relaxed));
    }

    Napi::Value produced(const Napi::CallbackInfo &info) {
        check_open(info.Env());
        return Napi::Number::New(info.Env(), position(producer_).load(std::memory_order_acquire));
    }

    // wait(timeoutMs): whether there is something to drain. A signal ends the wait early.
    Napi::Value wait(const Napi::CallbackInfo &info) {
        check_open(info.Env());
        pollfd ring{fd_, POLLIN, 0};
        int ready = poll(&ring, 1, int_of(info[0]));
        if (ready < 0 && errno != EINTR)
            throw system_error(info.Env(), errno, "waiting for the ring buffer");
        return Napi::Boolean::New(info.Env(), ready > 0);
    }

    // drain(buffer, offsets, recordsAt, minRecordSize, end): see the TypeScript side for the contract.
    Napi::Value drain(const Napi::CallbackInfo &info) {
        check_open(info.Env());
        auto buffer = info[0].As<Napi::Uint8Array>();
        auto offset_array = info[1].As<Napi::Uint32Array>();
        uint8_t *out = buffer.Data();
        uint32_t *offsets = offset_array.Data();
        const size_t end = buffer.ByteLength(), max_records = offset_array.ElementLength() - 1;
        const size_t start = uint_of(info[2]), min_size = uint_of(info[3]);
        size_t at = start, count = 0;

        unsigned long consumed = position(consumer_).load(std::memory_order_relaxed);
        const unsigned long limit = info[4].As<Napi::Number>().Int64Value();
        const unsigned long produced = std::min(limit, position(producer_).load(std::memory_order_acquire));
        bool corrupt = produced > consumed && produced - consumed > size_;
        while (!corrupt && consumed < produced && count < max_records) {
            uint8_t *header = producer_ + page_ + (consumed & (size_ - 1));
            uint32_t word = std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t *>(header))
                                .load(std::memory_order_acquire);
            if (word & kBusy)
                break;
            size_t size = word & ~(kBusy | kDiscard);
            size_t taken = round_up(kHeader + size);
            if ((corrupt = taken > size_ || taken > produced - consumed))
                break;
            if (!(word & kDiscard)) {
                size_t padded = round_up(std::max(size, min_size));
                if (padded > end - start) {
                    skipped_++;
                } else if (padded > end - at) {
                    break;
                } else {
                    memcpy(out + at, header + kHeader, size);
                    memset(out + at + size, 0, padded - size);
                    offsets[count++] = at;
                    at += padded;
                }
            }
            consumed += taken;
        }
        offsets[count] = at;
        // The kernel may overwrite what lies before this position from here on.
        position(consumer_).store(consumed, std::memory_order_release);
        if (corrupt)
            throw system_error(info.Env(), EBADMSG, "reading a ring buffer record of impossible length");
        return Napi::Number::New(info.Env(), count);
    }

    void close(const Napi::CallbackInfo &) { release(); }

    int fd_ = -1;
    size_t page_ = 0, size_ = 0;
    uint8_t *consumer_ = nullptr, *producer_ = nullptr;
    uint64_t skipped_ = 0;
};

} // namespace ig
