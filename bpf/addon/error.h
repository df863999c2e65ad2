// Errors and libbpf's log, on their way from C to JavaScript.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

#include <bpf/libbpf.h>
#include <napi.h>
#include <uv.h>

namespace ig {

// While one of these lives, what libbpf prints on this thread is kept: the last MiB, debug level included.
class LogCapture {
  public:
    LogCapture() : outer_(current) { current = this; }
    ~LogCapture() { current = outer_; }
    LogCapture(const LogCapture &) = delete;
    LogCapture &operator=(const LogCapture &) = delete;

    std::string text() const { return text_.size() > kLimit ? text_.substr(text_.size() - kLimit) : text_; }

    // libbpf's print callback: one for the process, so it finds its capture through the calling thread.
    static int print(enum libbpf_print_level, const char *format, va_list args) {
        return current ? current->append(format, args) : 0;
    }

  private:
    int append(const char *format, va_list args) {
        va_list measured;
        va_copy(measured, args);
        int length = vsnprintf(nullptr, 0, format, measured);
        va_end(measured);
        if (length <= 0)
            return length;
        size_t at = text_.size();
        text_.resize(at + length + 1);
        vsnprintf(text_.data() + at, length + 1, format, args);
        text_.resize(at + length);
        if (text_.size() > 2 * kLimit)
            text_.erase(0, text_.size() - kLimit);
        return length;
    }

    static constexpr size_t kLimit = 1 << 20;
    static inline thread_local LogCapture *current = nullptr;
    LogCapture *outer_;
    std::string text_;
};

// `what: reason`, with `errno` (positive), `code` ("EPERM") and, where libbpf was asked, its `log`.
inline Napi::Error system_error(Napi::Env env, int err, const std::string &what,
                                const LogCapture *log = nullptr) {
    err = err < 0 ? -err : err;
    // 524 is ENOTSUPP, which the kernel lets slip out of bpf(2) and which user space has no name for.
    if (err == 524)
        err = EOPNOTSUPP;
    auto error = Napi::Error::New(env, what + ": " + strerror(err));
    error.Set("errno", Napi::Number::New(env, err));
    error.Set("code", Napi::String::New(env, uv_err_name(-err)));
    if (log)
        error.Set("log", Napi::String::New(env, log->text()));
    return error;
}

inline Napi::Uint8Array copy_bytes(Napi::Env env, const void *data, size_t size) {
    auto bytes = Napi::Uint8Array::New(env, size);
    if (size)
        memcpy(bytes.Data(), data, size);
    return bytes;
}

inline std::string text_of(const Napi::Value &value) {
    return value.As<Napi::String>().Utf8Value();
}
inline int int_of(const Napi::Value &value) {
    return value.As<Napi::Number>().Int32Value();
}
inline uint32_t uint_of(const Napi::Value &value) {
    return value.As<Napi::Number>().Uint32Value();
}

} // namespace ig
