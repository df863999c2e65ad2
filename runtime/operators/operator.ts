// What an operator is: set up once with the data source, then called with every batch.

import type { Batch } from '../data/batch.js';

/** The part of an operator that runs per batch. */
export type BatchStep = (batch: Batch) => void;
