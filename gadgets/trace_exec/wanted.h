/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* What of a record is collected only if somebody reads it: gadget.yaml says at each field which of these it
 * is. */
#ifndef __TRACE_EXEC_WANTED_H
#define __TRACE_EXEC_WANTED_H

#include <gadget/wanted.h>
#include "params.h"

GADGET_WANTED(args)
GADGET_WANTED(env)
GADGET_WANTED(filename)
GADGET_WANTED(terminal)
GADGET_WANTED(login)
GADGET_WANTED(namespaces)
GADGET_WANTED(rights)
GADGET_WANTED(ancestors)
/* What is known of the file given to exec, of the program that runs, and of the parent's. */
GADGET_WANTED(file)
GADGET_WANTED(program)
GADGET_WANTED(parent_program)
/* Paths, with --paths. */
GADGET_WANTED(cwd)
GADGET_WANTED(file_path)
GADGET_WANTED(exepath)
GADGET_WANTED(parent_exepath)

/* Whether what they belong to has to be found. */
static __always_inline bool wants_file(void) {
    return gadget_wanted(file) || ((paths || hash) && gadget_wanted(file_path));
}

static __always_inline bool wants_exe(void) {
    return gadget_wanted(program) || gadget_wanted(rights) || (paths && gadget_wanted(exepath));
}

static __always_inline bool wants_parent_exe(void) {
    return gadget_wanted(parent_program) || (paths && gadget_wanted(parent_exepath));
}

/* It tells whether the process is in a container, and so whether files can be newer than that. */
static __always_inline bool wants_pid_namespace(void) {
    return gadget_wanted(namespaces) || gadget_wanted(file) || gadget_wanted(program);
}

#endif
