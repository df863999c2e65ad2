// The numbers by which a core module names what the host holds for it.

/** More than any gadget needs at a time; one that releases nothing is told so by an error. */
export const MAX_HANDLES = 4096;
/** Arrays' handles have to fit into 16 bits: `dataArrayGet` puts them into the handles of elements. */
const MAX_NUMBER = 0xffff;

type Class<T> = abstract new (...args: never[]) => T;

export class Handles {
  private readonly objects = new Map<number, object>();
  private last = 0;

  /** A new handle; 0 when there are too many. */
  add(object: object): number {
    if (this.objects.size >= MAX_HANDLES) return 0;
    // A number just released is not used again at once, so that what still holds it gets an error.
    do this.last = (this.last % MAX_NUMBER) + 1;
    while (this.objects.has(this.last));
    this.objects.set(this.last, object);
    return this.last;
  }

  /** What a handle stands for, if that is of this class. */
  get<T extends object>(handle: number, type: Class<T>): T | undefined {
    const object = this.objects.get(handle);
    return object instanceof type ? object : undefined;
  }

  /** False when there is no such handle. */
  release(handle: number): boolean {
    return this.objects.delete(handle);
  }
}
