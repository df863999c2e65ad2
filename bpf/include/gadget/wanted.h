/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */

/* Switches by which a run that reads some fields only is spared the work for the others. */
#ifndef __GADGET_WANTED_H
#define __GADGET_WANTED_H

#include <vmlinux.h>

/*
 * GADGET_WANTED: the switch `name` of the fields whose annotation `value.wanted` in gadget.yaml is `name`.
 * The runtime turns it off before it loads the gadget if nobody reads any of them; other runtimes leave it
 * on. The verifier knows which, and drops the code that is not reached.
 */
#define GADGET_WANTED(name) const volatile bool gadget_wanted_##name = true;

/* Whether anybody reads them. What is not collected is never shown: leave it as it is. */
#define gadget_wanted(name) gadget_wanted_##name

#endif
