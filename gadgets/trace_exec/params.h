/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* What users can set; gadget.yaml names and describes it. */
#ifndef __TRACE_EXEC_PARAMS_H
#define __TRACE_EXEC_PARAMS_H

#include <vmlinux.h>
#include <gadget/macros.h>

#define ENV_NAMES_MAX 512

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

/* Bytes of arguments in a record. */
const volatile __u32 max_args = 32768;
GADGET_PARAM(max_args)

/* Names of environment variables, with commas between them. */
const volatile char env_names[ENV_NAMES_MAX] = "";
GADGET_PARAM(env_names)

#endif
