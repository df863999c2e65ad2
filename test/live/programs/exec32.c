/*
 * A program of 32 bits for x86:
 *
 *   exec32 FILE [ARGUMENT…]             execve(FILE), with these arguments
 *   exec32 at DIRECTORY NAME [ARGUMENT…]  execveat(fd of DIRECTORY, NAME)
 *
 * When the exec fails, errno is the exit status. Without a C library, as there may be none of 32 bits.
 */

enum { EXIT = 1, OPEN = 5, EXECVE = 11, EXECVEAT = 358 };

static long call(long number, long first, const void *second, const void *third, const void *fourth,
                 long fifth) {
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "0"(number), "b"(first), "c"(second), "d"(third), "S"(fourth), "D"(fifth)
                     : "memory");
    return result;
}

__attribute__((used)) void run(long *stack) {
    char **words = (char **)(stack + 1);
    char *environment[] = {0};
    long result;
    if (words[1][0] == 'a') {
        long directory = call(OPEN, (long)words[2], 0, 0, 0, 0);
        result = call(EXECVEAT, directory, words[3], words + 4, environment, 0);
    } else {
        result = call(EXECVE, (long)words[1], words + 2, environment, 0, 0);
    }
    call(EXIT, -result, 0, 0, 0, 0);
    __builtin_unreachable();
}

__asm__(".globl _start\n"
        "_start:\n"
        "    movl %esp, %eax\n"
        "    pushl %eax\n"
        "    call run\n");
