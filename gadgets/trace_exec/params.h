/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* What users can set; gadget.yaml names and describes it. */
#ifndef __TRACE_EXEC_PARAMS_H
#define __TRACE_EXEC_PARAMS_H

#include <vmlinux.h>
#include <gadget/macros.h>

const volatile bool ignore_failed = true;
GADGET_PARAM(ignore_failed)

const volatile bool paths = false;
GADGET_PARAM(paths)

const volatile __u32 ancestors = 0;
GADGET_PARAM(ancestors)

/* User space does it; of the kernel it wants the path of the file. */
const volatile bool hash = false;
GADGET_PARAM(hash)

const volatile bool exits = false;
GADGET_PARAM(exits)

#endif
