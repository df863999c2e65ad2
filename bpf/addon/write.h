// Writing output without blocking for ever on a reader that stopped reading.
#pragma once

#include <algorithm>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "error.h"

namespace ig {

// Standard output is usually a blocking fd whose O_NONBLOCK flag we share with the shell and must not touch,
// and POLLOUT on a pipe promises room for one page only: a larger write may still sleep. So each write asks
// for "what fits now" itself: MSG_DONTWAIT on sockets, RWF_NOWAIT on pipes (Linux 5.14 or newer); terminals
// and older kernels get it by opening the file a second time, with flags of its own.
inline ssize_t write_now(int fd, const uint8_t *data, size_t size) {
    struct stat file;
    if (fstat(fd, &file))
        return -1;
    if (S_ISREG(file.st_mode) || (fcntl(fd, F_GETFL) & O_NONBLOCK))
        return write(fd, data, size);
    if (S_ISSOCK(file.st_mode))
        return send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    iovec part{const_cast<uint8_t *>(data), size};
    ssize_t written = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
    if (written >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL))
        return written;
    std::string path = "/proc/self/fd/" + std::to_string(fd);
    int own = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) {
        written = write(own, data, size);
        int err = errno;
        close(own);
        errno = err;
        return written;
    }
    // What may not be opened again gets a page at a time, after POLLOUT.
    pollfd sink{fd, POLLOUT, 0};
    if (poll(&sink, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd, data, std::min<size_t>(size, 4096));
}

// writeSome(fd, bytes, start, end, timeoutMs): the number of bytes taken; 0 when the time ran out first.
inline Napi::Value write_some(const Napi::CallbackInfo &info) {
    int fd = int_of(info[0]);
    const uint8_t *data = info[1].As<Napi::Uint8Array>().Data();
    size_t start = uint_of(info[2]), size = uint_of(info[3]) - start;
    ssize_t written = write_now(fd, data + start, size);
    if (written < 0 && errno == EAGAIN) {
        pollfd sink{fd, POLLOUT, 0};
        if (poll(&sink, 1, int_of(info[4])) > 0)
            written = write_now(fd, data + start, size);
    }
    if (written < 0 && errno != EAGAIN && errno != EINTR)
        throw system_error(info.Env(), errno, "writing the output");
    return Napi::Number::New(info.Env(), std::max<ssize_t>(written, 0));
}

// unreadBytes(fd): what a pipe holds, its reader gone or not; 0 for other files.
inline Napi::Value unread_bytes(const Napi::CallbackInfo &info) {
    int fd = int_of(info[0]), size = 0;
    struct stat file;
    if (fstat(fd, &file) || !S_ISFIFO(file.st_mode) || ioctl(fd, FIONREAD, &size))
        size = 0;
    return Napi::Number::New(info.Env(), size);
}

} // namespace ig
