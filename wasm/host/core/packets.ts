// Functions of packets: to make events and arrays of them, to look into arrays, to emit.

import { type Context, type HostFunctions, MAX_ELEMENT_INDEX, elementHandle } from './context.js';
import { DataArray, ServedSource } from './data.js';
import { type Budget, MadeArray, MadePacket } from './made.js';

export function packetFunctions(context: Context): HostFunctions {
  const { handles, budget, gadget } = context;
  const madeArray = (handle: number): MadeArray | undefined =>
    handles.get(handle >>> 0, MadeArray as unknown as new () => MadeArray);
  const made = (handle: number): MadePacket | MadeArray | undefined =>
    madeArray(handle) ?? handles.get(handle >>> 0, MadePacket as unknown as new () => MadePacket);
  const failed = <T>(result: T, sentence: string): T => {
    context.complain(sentence);
    return result;
  };
  const packetOf = <T extends MadePacket | MadeArray>(
    kind: { create(source: ServedSource, budget: Budget): T | undefined },
    source: ServedSource,
    name: string,
  ): T | undefined => {
    const packet = kind.create(source, budget);
    if (packet === undefined) context.complain(`${name}: the packets that the module holds are too large`);
    return packet;
  };
  /** A handle of what is released when there is none. */
  const handleOf = (object: MadePacket | MadeArray | undefined): number => {
    if (object === undefined) return 0;
    const handle = handles.add(object);
    if (handle === 0) object.release();
    return handle;
  };

  return {
    dataSourceNewPacketSingle: (sourceHandle: number): number => {
      const source = handles.get(sourceHandle >>> 0, ServedSource);
      if (source === undefined) return 0;
      if (source.source.type !== 'single')
        return failed(0, `dataSourceNewPacketSingle: ${source.source.name} takes arrays`);
      return handleOf(packetOf(MadePacket, source, 'dataSourceNewPacketSingle'));
    },

    dataSourceNewPacketArray: (sourceHandle: number): number => {
      const source = handles.get(sourceHandle >>> 0, ServedSource);
      if (source === undefined) return 0;
      if (source.source.type !== 'array')
        return failed(0, `dataSourceNewPacketArray: ${source.source.name} takes no arrays`);
      return handleOf(packetOf(MadeArray, source, 'dataSourceNewPacketArray'));
    },

    dataSourceEmitAndRelease: (sourceHandle: number, packetHandle: number): number => {
      const source = handles.get(sourceHandle >>> 0, ServedSource);
      const packet = made(packetHandle);
      if (source === undefined || packet?.source !== source) return 1;
      handles.release(packetHandle >>> 0);
      packet.release();
      if (gadget.outbox.emit(packet)) return 0;
      return failed(1, 'dataSourceEmitAndRelease: too many events are emitted at once; some are lost');
    },

    dataSourceRelease: (sourceHandle: number, packetHandle: number): number => {
      const packet = made(packetHandle);
      if (packet === undefined || handles.get(sourceHandle >>> 0, ServedSource) !== packet.source) return 1;
      handles.release(packetHandle >>> 0);
      packet.release();
      return 0;
    },

    dataArrayNew: (arrayHandle: number): number => {
      const array = handles.get(arrayHandle >>> 0, DataArray);
      if (array === undefined) return 0;
      if (!(array instanceof MadeArray))
        return failed(0, 'dataArrayNew: elements can only be added to arrays that the module made');
      return handleOf(packetOf(MadePacket, array.source, 'dataArrayNew'));
    },

    dataArrayAppend: (arrayHandle: number, elementNumber: number): number => {
      const array = madeArray(arrayHandle);
      const element = made(elementNumber);
      if (!(element instanceof MadePacket) || element.source !== array?.source) return 1;
      if (!array.append(element)) return failed(1, 'dataArrayAppend: the array is full');
      handles.release(elementNumber >>> 0);
      return 0;
    },

    dataArrayRelease: (arrayHandle: number, elementNumber: number): number => {
      const array = madeArray(arrayHandle);
      const element = made(elementNumber);
      if (!(element instanceof MadePacket) || element.source !== array?.source) return 1;
      handles.release(elementNumber >>> 0);
      element.release();
      return 0;
    },

    dataArrayLen: (arrayHandle: number): number => handles.get(arrayHandle >>> 0, DataArray)?.length ?? 0,

    dataArrayGet: (arrayHandle: number, index: number): number => {
      const array = handles.get(arrayHandle >>> 0, DataArray);
      if (array === undefined || index < 0 || index > MAX_ELEMENT_INDEX || index >= array.length) return 0;
      return elementHandle(arrayHandle, index);
    },

    releaseHandle: (handleNumber: number): number => {
      const handle = handleNumber >>> 0;
      const packet = made(handle);
      if (handles.release(handle)) packet?.release();
      // Handles of events and elements end by themselves.
      else if (context.data(handle) === undefined) return 1;
      return 0;
    },
  };
}
