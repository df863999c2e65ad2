// Functions of eBPF maps: those of the gadget's program, and those that the module makes.

import { quoted } from '../errors.js';
import type { Context, HostFunctions } from './context.js';
import type { GuestBuffer } from './memory.js';
import type { ServedMap } from './services.js';

const MAX_NAME_BYTES = 128;
/** BPF_F_LOCK, the last flag. */
const MAX_FLAGS = 4n;
/** What all keys and values of a map that a module makes may take in the kernel, in bytes. */
const MAX_MAP_SIZE = 16 * 1024 * 1024;
const MAX_MADE_MAPS = 64;

/** Types that a module can make, by number (enum bpf_map_type, include/uapi/linux/bpf.h). */
const MAKEABLE: ReadonlyMap<number, string> = new Map([
  [1, 'hash'],
  [2, 'array'],
  [5, 'percpu_hash'],
  [6, 'percpu_array'],
  [9, 'lru_hash'],
  [10, 'lru_percpu_hash'],
]);
/** Their values are descriptors of other things than maps, which must not reach a module. */
const REFUSED = new Set(['prog_array', 'perf_event_array', 'cgroup_array']);
const OF_MAPS = new Set(['array_of_maps', 'hash_of_maps']);

/** What a handle of a map stands for. */
class MapHandle {
  readonly map: ServedMap;
  /** Whether the module made it. */
  readonly isMade: boolean;

  constructor(map: ServedMap, isMade: boolean) {
    this.map = map;
    this.isMade = isMade;
  }
}

export function mapFunctions(context: Context): HostFunctions {
  const { memory, handles, madeMaps } = context;
  const { services } = context.gadget;
  const map = (handle: number): MapHandle | undefined => handles.get(handle >>> 0, MapHandle);
  const failed = <T>(result: T, sentence: string): T => {
    context.complain(sentence);
    return result;
  };
  /** Runs a call of the kernel; whatever it throws is the module's to see as an error. */
  const attempt = <T>(name: string, otherwise: T, call: () => T): T => {
    try {
      return call();
    } catch (error) {
      return failed(otherwise, `${name}: ${quoted(error instanceof Error ? error.message : String(error))}`);
    }
  };
  const sized = (buffer: GuestBuffer, size: number): Uint8Array | undefined => {
    const bytes = memory.slice(buffer);
    return bytes?.length === size ? bytes : undefined;
  };
  /** The value to write; for a map of maps that of a handle is the map's descriptor. */
  const valueFor = ({ type, lookupSize }: ServedMap, buffer: GuestBuffer): Uint8Array | undefined => {
    const value = sized(buffer, lookupSize);
    if (value === undefined || !OF_MAPS.has(type)) return value;
    const inner = map(new DataView(value.buffer, value.byteOffset).getUint32(0, true));
    return inner && new Uint8Array(Uint32Array.of(inner.map.fd).buffer);
  };

  return {
    newMap: (
      nameBuffer: GuestBuffer,
      typeNumber: number,
      keySize: number,
      valueSize: number,
      maxEntries: number,
    ): number => {
      const name = memory.text(nameBuffer, MAX_NAME_BYTES);
      const type = MAKEABLE.get(typeNumber);
      if (name === undefined) return 0;
      if (type === undefined) return failed(0, `newMap: maps of type ${typeNumber} cannot be made`);
      const sizes = [keySize, valueSize, maxEntries].map((size) => size >>> 0) as [number, number, number];
      if ((sizes[0] + sizes[1]) * sizes[2] > MAX_MAP_SIZE || madeMaps.size >= MAX_MADE_MAPS)
        return failed(0, `newMap: ${quoted(name)} is too large, or there are too many maps`);
      return attempt('newMap', 0, () => {
        const created = services.createMap({
          name: name.slice(0, 15),
          type,
          keySize: sizes[0],
          valueSize: sizes[1],
          maxEntries: sizes[2],
        });
        const handle = handles.add(new MapHandle(created, true));
        if (handle === 0) created.close();
        else madeMaps.add(created);
        return handle;
      });
    },

    getMap: (nameBuffer: GuestBuffer): number => {
      const name = memory.text(nameBuffer, MAX_NAME_BYTES);
      if (name === undefined) return 0;
      if (context.phase !== 'start') return failed(0, 'getMap: the maps are there from gadgetStart on');
      const found = services.map(name);
      if (found === undefined) return failed(0, `getMap: there is no map ${quoted(JSON.stringify(name))}`);
      if (REFUSED.has(found.type)) return failed(0, `getMap: ${name} is a map of type ${found.type}`);
      return handles.add(new MapHandle(found, false));
    },

    mapLookup: (mapHandle: number, keyBuffer: GuestBuffer, valueBuffer: GuestBuffer): number => {
      const found = map(mapHandle)?.map;
      if (found === undefined) return 1;
      if (OF_MAPS.has(found.type)) return failed(1, 'mapLookup: the maps in a map cannot be looked up');
      const key = sized(keyBuffer, found.keySize);
      const value = memory.slice(valueBuffer)?.subarray(0, found.lookupSize);
      if (key === undefined || value?.length !== found.lookupSize)
        return failed(1, 'mapLookup: the key or the value has another size than the map’s');
      return attempt('mapLookup', 1, () => (found.lookupInto(key, value) ? 0 : 1));
    },

    mapUpdate: (
      mapHandle: number,
      keyBuffer: GuestBuffer,
      valueBuffer: GuestBuffer,
      flags: bigint,
    ): number => {
      const found = map(mapHandle)?.map;
      if (found === undefined) return 1;
      if (flags < 0n || flags > MAX_FLAGS) return failed(1, `mapUpdate: there are no flags ${flags}`);
      const key = sized(keyBuffer, found.keySize);
      const value = valueFor(found, valueBuffer);
      if (key === undefined || value === undefined)
        return failed(1, 'mapUpdate: the key or the value has another size than the map’s');
      return attempt('mapUpdate', 1, () => {
        found.update(key, value, Number(flags));
        return 0;
      });
    },

    mapDelete: (mapHandle: number, keyBuffer: GuestBuffer): number => {
      const found = map(mapHandle)?.map;
      if (found === undefined) return 1;
      const key = sized(keyBuffer, found.keySize);
      if (key === undefined) return failed(1, 'mapDelete: the key has another size than the map’s');
      return attempt('mapDelete', 1, () => (found.delete(key) ? 0 : 1));
    },

    mapRelease: (mapHandle: number): number => {
      const found = map(mapHandle);
      if (found === undefined) return 1;
      if (!found.isMade) return failed(1, 'mapRelease: only maps made by newMap can be closed');
      handles.release(mapHandle >>> 0);
      found.map.close();
      madeMaps.delete(found.map);
      return 0;
    },

    newPerfReader: (): number =>
      failed(0, 'newPerfReader: this version of ig has no readers of perf buffers'),
    perfReaderPause: (): number => 1,
    perfReaderResume: (): number => 1,
    perfReaderRead: (): number => 1,
    perfReaderClose: (): number => 1,
  };
}
