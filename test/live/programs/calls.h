/* What calls.c and the gadget of calls.bpf.c agree on. */
#ifndef CALLS_H
#define CALLS_H

/* The number of a system call that there is not; its argument counts the calls of a process. */
#define CALL 26983

#endif
