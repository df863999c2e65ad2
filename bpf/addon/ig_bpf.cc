// The native addon: the classes and functions bpf/native.ts declares. Arguments are checked in TypeScript;
// this side assumes them right and only moves bytes and fds. All state belongs to one JavaScript environment,
// so that every worker thread can load it.
#include <linux/membarrier.h>
#include <mutex>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>

#include "below.h"
#include "map.h"
#include "object.h"
#include "probe.h"
#include "ring.h"
#include "write.h"

namespace ig {

Napi::Value num_possible_cpus(const Napi::CallbackInfo &info) {
    int count = libbpf_num_possible_cpus();
    if (count < 0)
        throw system_error(info.Env(), count, "counting the possible CPUs");
    return Napi::Number::New(info.Env(), count);
}

Napi::Value libbpf_version(const Napi::CallbackInfo &info) {
    return Napi::String::New(info.Env(), libbpf_version_string());
}

// mountDetached(type): an fd of a mount of that file system which nobody else sees and which goes with the
// fd.
Napi::Value mount_detached(const Napi::CallbackInfo &info) {
    int context = fsopen(text_of(info[0]).c_str(), FSOPEN_CLOEXEC);
    int mount = -1;
    if (context >= 0 && fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
        mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
    int err = errno;
    if (context >= 0)
        close(context);
    if (mount < 0)
        throw system_error(info.Env(), err, "mounting " + text_of(info[0]));
    return Napi::Number::New(info.Env(), mount);
}

// measureRuns(): an fd; while it is open, the kernel measures how long eBPF programs run.
Napi::Value measure_runs(const Napi::CallbackInfo &info) {
    int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
    if (fd < 0)
        throw system_error(info.Env(), fd, "enabling run-time statistics of eBPF programs");
    return Napi::Number::New(info.Env(), fd);
}

// bootToEpochNs(): CLOCK_REALTIME minus CLOCK_BOOTTIME, a bigint of nanoseconds.
Napi::Value boot_to_epoch_ns(const Napi::CallbackInfo &info) {
    timespec boot, wall;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t seconds = wall.tv_sec - boot.tv_sec;
    return Napi::BigInt::New(info.Env(), seconds * 1'000'000'000 + (wall.tv_nsec - boot.tv_nsec));
}

// bootNowNs(): CLOCK_BOOTTIME, a number of nanoseconds: exact to a microsecond for 285 years.
Napi::Value boot_now_ns(const Napi::CallbackInfo &info) {
    timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return Napi::Number::New(info.Env(), boot.tv_sec * 1e9 + boot.tv_nsec);
}

// waitForPrograms(): returns when every program that was running has ended. Programs run in RCU read sections
// (kernel/trace/bpf_trace.c, __bpf_trace_run), and this command is synchronize_rcu()
// (kernel/sched/membarrier.c), which the kernel refuses where CPUs run without a tick; some milliseconds do
// there.
void wait_for_programs(const Napi::CallbackInfo &) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
        usleep(20'000);
}

// Sections of programs for network interfaces with more in their names than libbpf 1.1 takes: a direction, a
// name.
void register_sections() {
    for (const char *section : {"classifier+", "tc+", "tcx+"})
        libbpf_register_prog_handler(section, BPF_PROG_TYPE_SCHED_CLS, bpf_attach_type(0), nullptr);
    libbpf_register_prog_handler("socket1", BPF_PROG_TYPE_SOCKET_FILTER, bpf_attach_type(0), nullptr);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
    static std::once_flag once;
    std::call_once(once, [] {
        libbpf_set_print(LogCapture::print);
        register_sections();
    });

    auto link = BpfLink::define(env);
    env.SetInstanceData(new AddonData{Napi::Persistent(link)});
    exports.Set("BpfObject", BpfObject::define(env));
    exports.Set("BpfMap", BpfMap::define(env));
    exports.Set("RingReader", RingReader::define(env));
    exports.Set("readFileBelow", Napi::Function::New<BelowRead::start>(env));
    exports.Set("writeSome", Napi::Function::New<write_some>(env));
    exports.Set("unreadBytes", Napi::Function::New<unread_bytes>(env));
    exports.Set("waitForPrograms", Napi::Function::New<wait_for_programs>(env));
    exports.Set("numPossibleCpus", Napi::Function::New<num_possible_cpus>(env));
    exports.Set("libbpfVersion", Napi::Function::New<libbpf_version>(env));
    exports.Set("measureRuns", Napi::Function::New<measure_runs>(env));
    exports.Set("bootToEpochNs", Napi::Function::New<boot_to_epoch_ns>(env));
    exports.Set("bootNowNs", Napi::Function::New<boot_now_ns>(env));
    exports.Set("probeProgram", Napi::Function::New<probe_program>(env));
    exports.Set("probeMapType", Napi::Function::New<probe_map_type>(env));
    exports.Set("kernelBtfIds", Napi::Function::New<kernel_btf_ids>(env));
    exports.Set("mountDetached", Napi::Function::New<mount_detached>(env));
    return exports;
}

NODE_API_MODULE(ig_bpf, init)

} // namespace ig
