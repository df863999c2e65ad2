#!/usr/bin/env node
// The `ig` command: what of it cannot even be loaded is told in a sentence, too.

import { fail } from './fail.js';

await import('./program.js').catch((error: unknown) => fail(error, false));
