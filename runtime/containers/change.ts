// What changes in the container table, as plain data: it is posted to the threads that hold a copy.

import type { Container } from './container.js';

export type TableChange =
  /**
   * `index` is this container from now on: a new one, one whose data changed, or one that is seen in one more
   * mount namespace (`mntns`). Who was in that namespace before has left it by `sinceBootNs`.
   */
  | {
      readonly kind: 'add';
      readonly index: number;
      readonly mntns: number;
      readonly sinceBootNs: number;
      /** Whether the user asked for it. */
      readonly selected: boolean;
      readonly container: Container;
    }
  /** The container ended; events up to `untilBootNs` (CLOCK_BOOTTIME) are still its own. */
  | { readonly kind: 'leave'; readonly index: number; readonly untilBootNs: number }
  /** The container is forgotten. Its index never comes again. */
  | { readonly kind: 'remove'; readonly index: number }
  /** Whose the namespace is from then on is being found out. */
  | { readonly kind: 'unknown'; readonly mntns: number; readonly sinceBootNs: number }
  /** The namespace is no container's: a part of the host, which `selected` says is asked for or not. */
  | {
      readonly kind: 'notContainer';
      readonly mntns: number;
      readonly sinceBootNs: number;
      readonly selected: boolean;
    };

export type TableListener = (change: TableChange) => void;
