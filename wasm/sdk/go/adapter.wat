;; WASI preview 1 for a Go program, without anything behind it: a post-processor imports nothing. The clock counts how
;; often it was asked, random numbers are always the same, there are no files, and what is printed is kept for the log.
;; Interface: https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md
(module
  (import "env" "memory" (memory 0))

  ;; errno
  (global $SUCCESS i32 (i32.const 0))
  (global $BADF i32 (i32.const 8))
  (global $NOSYS i32 (i32.const 52))

  (global $now (mut i64) (i64.const 0)) ;; nanoseconds
  (global $random (mut i64) (i64.const 1))

  ;; Where output goes, what fits there, and where its size is counted.
  (global $output (mut i32) (i32.const 0))
  (global $capacity (mut i32) (i32.const 0))
  (global $used (mut i32) (i32.const 0))

  ;; The SDK's own: memory.go.
  (func (export "ig_capture_output") (param $output i32) (param $capacity i32) (param $used i32)
    (global.set $output (local.get $output))
    (global.set $capacity (local.get $capacity))
    (global.set $used (local.get $used)))

  (func (export "fd_write") (param $fd i32) (param $parts i32) (param $count i32) (param $written i32) (result i32)
    (local $sum i32)
    (if (i32.gt_u (i32.sub (local.get $fd) (i32.const 1)) (i32.const 1)) (then (return (global.get $BADF))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (call $keep (i32.load (local.get $parts)) (i32.load offset=4 (local.get $parts)))
        (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $parts))))
        (local.set $parts (i32.add (local.get $parts) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $written) (local.get $sum))
    (global.get $SUCCESS))

  ;; Keeps of the bytes what fits.
  (func $keep (param $at i32) (param $size i32)
    (local $kept i32)
    (local $free i32)
    (if (i32.eqz (global.get $capacity)) (then (return)))
    (local.set $kept (i32.load (global.get $used)))
    (local.set $free (i32.sub (global.get $capacity) (local.get $kept)))
    (if (i32.gt_u (local.get $size) (local.get $free)) (then (local.set $size (local.get $free))))
    (memory.copy (i32.add (global.get $output) (local.get $kept)) (local.get $at) (local.get $size))
    (i32.store (global.get $used) (i32.add (local.get $kept) (local.get $size))))

  ;; Each look at the clock takes a microsecond.
  (func $tick (result i64)
    (global.set $now (i64.add (global.get $now) (i64.const 1000)))
    (global.get $now))

  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $to i32) (result i32)
    (i64.store (local.get $to) (call $tick))
    (global.get $SUCCESS))

  (func (export "clock_res_get") (param $clock i32) (param $to i32) (result i32)
    (i64.store (local.get $to) (i64.const 1000))
    (global.get $SUCCESS))

  ;; Sleeping is done at once, by setting the clock. A subscription has 48 bytes, an event 32.
  (func (export "poll_oneoff") (param $asked i32) (param $events i32) (param $count i32) (param $to i32) (result i32)
    (local $until i64)
    (i32.store (local.get $to) (local.get $count))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (memory.fill (local.get $events) (i32.const 0) (i32.const 32))
        (i64.store (local.get $events) (i64.load (local.get $asked))) ;; the caller's name for it
        (i32.store8 offset=10 (local.get $events) (i32.load8_u offset=8 (local.get $asked)))
        (if (i32.eqz (i32.load8_u offset=8 (local.get $asked))) ;; a time, not a file
          (then
            (local.set $until (i64.load offset=24 (local.get $asked)))
            (if (i32.eqz (i32.load16_u offset=40 (local.get $asked))) ;; from now
              (then (local.set $until (i64.add (local.get $until) (global.get $now)))))
            (if (i64.gt_u (local.get $until) (global.get $now))
              (then (global.set $now (local.get $until)))))
          (else (i32.store16 offset=8 (local.get $events) (global.get $BADF))))
        (local.set $asked (i32.add (local.get $asked) (i32.const 48)))
        (local.set $events (i32.add (local.get $events) (i32.const 32)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (global.get $SUCCESS))

  (func (export "sched_yield") (result i32) (global.get $SUCCESS))

  ;; xorshift64
  (func (export "random_get") (param $to i32) (param $size i32) (result i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $size)))
        (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 13))))
        (global.set $random (i64.xor (global.get $random) (i64.shr_u (global.get $random) (i64.const 7))))
        (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 17))))
        (i64.store8 (local.get $to) (global.get $random))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (local.set $size (i32.sub (local.get $size) (i32.const 1)))
        (br $next)))
    (global.get $SUCCESS))

  (func (export "args_get") (param i32 i32) (result i32) (global.get $SUCCESS))
  (func (export "args_sizes_get") (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $size) (i32.const 0))
    (global.get $SUCCESS))

  ;; One variable: GOMEMLIMIT=48MiB, with its NUL. It has the collector work harder before the host's cap is reached.
  (func (export "environ_sizes_get") (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 1))
    (i32.store (local.get $size) (i32.const 17))
    (global.get $SUCCESS))
  (func (export "environ_get") (param $variables i32) (param $text i32) (result i32)
    (i32.store (local.get $variables) (local.get $text))
    (i64.store (local.get $text) (i64.const 0x4d494c4d454d4f47)) ;; GOMEMLIM
    (i64.store offset=8 (local.get $text) (i64.const 0x42694d38343d5449)) ;; IT=48MiB
    (i32.store8 offset=16 (local.get $text) (i32.const 0))
    (global.get $SUCCESS))

  (func (export "proc_exit") (param $status i32) unreachable)

  ;; Files and sockets: there are none.
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (global.get $BADF))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (global.get $BADF))
  (func (export "fd_datasync") (param i32) (result i32) (global.get $BADF))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (global.get $BADF))
  (func (export "fd_filestat_get") (param i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (global.get $BADF))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (global.get $BADF))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (global.get $BADF))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (global.get $BADF))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (global.get $BADF))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_renumber") (param i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_sync") (param i32) (result i32) (global.get $BADF))
  (func (export "fd_tell") (param i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_close") (param i32) (result i32) (global.get $BADF))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (global.get $BADF))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (global.get $NOSYS))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "proc_raise") (param i32) (result i32) (global.get $NOSYS))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (global.get $NOSYS))
)
