/*
 * Writes @ to standard output and ends once descriptor 3 is closed: in between, tests look at it in
 * /proc. Without a C library, so that it can be built for 32 bits, too.
 */

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, EXIT = 60 };
#elif defined(__i386__)
enum { READ = 3, WRITE = 4, EXIT = 1 };
#elif defined(__aarch64__)
enum { READ = 63, WRITE = 64, EXIT = 93 };
#endif

static long call(long number, long first, void *second, long third) {
    long result;
#if defined(__x86_64__)
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(first), "S"(second), "d"(third)
                     : "rcx", "r11", "memory");
#elif defined(__i386__)
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "0"(number), "b"(first), "c"(second), "d"(third)
                     : "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = first, x2 __asm__("x2") = third;
    register void *x1 __asm__("x1") = second;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    result = x0;
#endif
    return result;
}

void _start(void) {
    char byte = '@';
    call(WRITE, 1, &byte, 1);
    while (call(READ, 3, &byte, 1) > 0)
        ;
    call(EXIT, 0, 0, 0);
    __builtin_unreachable();
}
