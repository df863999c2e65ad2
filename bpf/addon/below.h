// Reading a small file below a root directory whose owner is not trusted, without leaving it and without
// waiting for it.
#pragma once

#include <fcntl.h>
#include <memory>
#include <mutex>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

#include "error.h"

namespace ig {

// openat2(2), Linux 5.6; include/uapi/linux/openat2.h, which older headers lack.
struct OpenHow {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};
constexpr uint64_t kResolveNoMagiclinks = 0x02;
constexpr uint64_t kResolveInRoot = 0x10;
constexpr long kOpenat2 = 437;

class Fd {
  public:
    explicit Fd(long fd) : fd_(static_cast<int>(fd)) {}
    ~Fd() {
        if (fd_ >= 0)
            close(fd_);
    }
    Fd(const Fd &) = delete;
    Fd &operator=(const Fd &) = delete;
    operator int() const { return fd_; }

  private:
    int fd_;
};

// Returns 0, or the errno: EISDIR, EINVAL for what is neither file nor directory, EFBIG beyond `limit` bytes.
inline int read_below(const std::string &root, const std::string &path, size_t limit,
                      std::vector<uint8_t> &bytes) {
    Fd base(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (base < 0)
        return errno;
    // O_PATH finds without opening: no device is woken, no writer to a FIFO let go.
    OpenHow how{O_PATH | O_CLOEXEC, 0, kResolveInRoot | kResolveNoMagiclinks};
    Fd found(syscall(kOpenat2, static_cast<int>(base), path.c_str(), &how, sizeof(how)));
    struct stat file;
    if (found < 0 || fstat(found, &file))
        return errno;
    if (!S_ISREG(file.st_mode))
        return S_ISDIR(file.st_mode) ? EISDIR : EINVAL;
    if (static_cast<uint64_t>(file.st_size) > limit)
        return EFBIG;
    // Also what the kernel makes up has no size, and reading that can have effects (/proc/kmsg).
    if (file.st_size == 0)
        return 0;
    std::string same = "/proc/self/fd/" + std::to_string(found);
    Fd content(open(same.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (content < 0)
        return errno;
    // What is appended meanwhile is not read.
    bytes.resize(file.st_size);
    size_t size = 0;
    while (size < bytes.size()) {
        ssize_t count = read(content, bytes.data() + size, bytes.size() - size);
        if (count < 0 && errno != EINTR)
            return errno;
        if (count == 0)
            break;
        size += std::max<ssize_t>(count, 0);
    }
    bytes.resize(size);
    return 0;
}

// A read in a thread of its own: one of libuv's pool would, when it hangs on a file system that never
// answers, keep the process from ending. This one is detached, and does not keep the event loop alive.
class BelowRead {
  public:
    // readFileBelow(root, path, maxBytes): a promise of the bytes.
    static Napi::Value start(const Napi::CallbackInfo &info) {
        auto env = info.Env();
        auto job = std::make_shared<BelowRead>(env);
        job->root_ = text_of(info[0]);
        job->path_ = text_of(info[1]);
        job->limit_ = uint_of(info[2]);
        auto *kept = new std::shared_ptr<BelowRead>(job);
        job->done_ = Done::New(env, "ig_bpf.readFileBelow", 0, 1, job.get(), finalize, kept);
        job->done_.Unref(env);
        int err = run_detached(job);
        if (err) {
            job->err_ = err;
            job->settle(env);
            job->done_.Release();
        }
        return job->deferred_.Promise();
    }

    explicit BelowRead(Napi::Env env) : deferred_(env) {}

  private:
    static void call(Napi::Env env, Napi::Function, BelowRead *job, void *) {
        // Without one, the environment is being torn down.
        if (static_cast<napi_env>(env))
            job->settle(env);
    }
    using Done = Napi::TypedThreadSafeFunction<BelowRead, void, call>;

    static int run_detached(const std::shared_ptr<BelowRead> &job) {
        // The process's signals are for its other threads.
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int err = 0;
        try {
            std::thread([job] { job->run(); }).detach();
        } catch (const std::system_error &error) {
            err = error.code().value();
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        return err;
    }

    void run() {
        try {
            err_ = read_below(root_, path_, limit_, bytes_);
        } catch (const std::bad_alloc &) {
            err_ = ENOMEM;
        }
        // The environment, and `done_` with it, may have gone; it does not go while this is locked.
        std::lock_guard lock(mutex_);
        if (finalized_)
            return;
        done_.NonBlockingCall();
        done_.Release();
    }

    static void finalize(Napi::Env, std::shared_ptr<BelowRead> *kept, BelowRead *) {
        {
            std::lock_guard lock((*kept)->mutex_);
            (*kept)->finalized_ = true;
        }
        delete kept;
    }

    void settle(Napi::Env env) {
        if (err_)
            deferred_.Reject(system_error(env, err_, "reading " + path_ + " below " + root_).Value());
        else
            deferred_.Resolve(copy_bytes(env, bytes_.data(), bytes_.size()));
    }

    std::string root_, path_;
    size_t limit_ = 0;
    std::vector<uint8_t> bytes_;
    int err_ = 0;
    Napi::Promise::Deferred deferred_;
    Done done_;
    std::mutex mutex_;
    bool finalized_ = false;
};

} // namespace ig
