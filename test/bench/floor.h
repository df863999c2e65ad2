/* The record that floor.bpf.c sends to floor.c: about as large as a plain exec event of ig. */
#ifndef FLOOR_H
#define FLOOR_H

struct exec {
    unsigned long long boot_ns;
    unsigned int pid;
    unsigned int parent_pid;
    unsigned int uid;
    unsigned int args_size; /* in bytes; the arguments are NUL-terminated strings */
    char comm[16];
    char parent_comm[16];
    char filename[112];
    char args[132];
};

#endif
