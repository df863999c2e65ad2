// Functions of data sources: to find and to make them, to find and to add fields, to subscribe.

import { DataSource } from '../../../runtime/data/data-source.js';
import type { Field } from '../../../runtime/data/field.js';
import { KINDS, type Kind } from '../../../runtime/data/kind.js';
import { quoted } from '../errors.js';
import { type Context, type HostFunctions, SUBSCRIPTION } from './context.js';
import { ServedField, ServedSource } from './data.js';
import type { GuestBuffer } from './memory.js';

const MAX_NAME_BYTES = 128;
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/;
const MAX_MADE_SOURCES = 16;
const MAX_ADDED_FIELDS = 256;
const MAX_SUBSCRIPTIONS = 256;
const MAX_TAGS = 32;
/** The last kind of the peer's. */
const KIND_BYTES = KINDS.indexOf('bytes');
const TYPES = [undefined, 'single', 'array'] as const;

export function dataSourceFunctions(context: Context): HostFunctions {
  const { memory, handles, gadget } = context;
  const source = (handle: number): ServedSource | undefined => handles.get(handle >>> 0, ServedSource);
  const failed = (sentence: string): 0 => {
    context.complain(sentence);
    return 0;
  };

  return {
    newDataSource: (nameBuffer: GuestBuffer, typeNumber: number): number => {
      const name = memory.text(nameBuffer, MAX_NAME_BYTES);
      const type = TYPES[typeNumber];
      const refused = refuseNewSource(context, name, type);
      if (refused !== undefined) return failed(`newDataSource: ${refused}`);
      const made = gadget.declarations.isNew(`source ${name} ${type}`)
        ? new ServedSource(gadget.sources.length, new DataSource(name!, type!, 0))
        : gadget.sources.find(({ source }) => source.name === name)!;
      gadget.sources[made.index] = made;
      return handles.add(made);
    },

    getDataSource: (nameBuffer: GuestBuffer): number => {
      const name = memory.text(nameBuffer, MAX_NAME_BYTES) ?? '';
      const found = gadget.sources.find(({ source }) => source.name === name);
      if (found === undefined) return failed(`getDataSource: there is no data source ${named(name)}`);
      return handles.add(found);
    },

    dataSourceGetField: (sourceHandle: number, nameBuffer: GuestBuffer): number => {
      const served = source(sourceHandle);
      const name = memory.text(nameBuffer, MAX_NAME_BYTES);
      if (served === undefined || name === undefined) return 0;
      const field = served.source.field(name);
      if (field === undefined)
        return failed(`dataSourceGetField: ${served.source.name} has no field ${named(name)}`);
      return handles.add(served.field(field));
    },

    dataSourceAddField: (sourceHandle: number, nameBuffer: GuestBuffer, kind: number): number => {
      const served = source(sourceHandle);
      const name = memory.text(nameBuffer, MAX_NAME_BYTES);
      if (served === undefined) return 0;
      const refused = refuseNewField(context, name, kind >>> 0);
      if (refused !== undefined) return failed(`dataSourceAddField: ${refused}`);
      const field = addField(context, served, name!, KINDS[kind]!);
      if (field === undefined)
        return failed(`dataSourceAddField: ${served.source.name} already has a field ${name}`);
      return handles.add(served.field(field));
    },

    fieldAddTag: (fieldHandle: number, tagBuffer: GuestBuffer): number => {
      const field = handles.get(fieldHandle >>> 0, ServedField)?.field;
      const tag = memory.text(tagBuffer, MAX_NAME_BYTES);
      if (field === undefined || tag === undefined || field.tags.length >= MAX_TAGS) return 1;
      if (!field.tags.includes(tag)) field.tags = [...field.tags, tag];
      return 0;
    },

    dataSourceSubscribe: (sourceHandle: number, type: number, priority: number, callback: bigint): number => {
      const served = source(sourceHandle);
      if (served === undefined) return 1;
      const refused = refuseSubscription(context, served, type);
      if (refused !== undefined) {
        context.complain(`dataSourceSubscribe: ${refused}`);
        return 1;
      }
      context.subscribe(served, { type, priority, callback });
      return 0;
    },

    dataSourceUnreference: (sourceHandle: number): number => {
      const served = source(sourceHandle);
      if (served === undefined) return 1;
      served.isShown = false;
      return 0;
    },

    dataSourceIsReferenced: (sourceHandle: number): number => {
      const served = source(sourceHandle);
      if (served === undefined) return 2;
      return served.isShown ? 1 : 0;
    },
  };
}

function named(name: string): string {
  return quoted(JSON.stringify(name));
}

/** Why a data source cannot be made; undefined when it can. */
function refuseNewSource(
  { phase, gadget }: Context,
  name: string | undefined,
  type: string | undefined,
): string | undefined {
  if (phase !== 'init') return 'data sources can only be made in gadgetInit';
  if (name === undefined || !NAME.test(name)) return 'the name is not that of a data source';
  if (type === undefined) return 'the type is neither 1 (single) nor 2 (array)';
  const { sources, kernelSources } = gadget;
  if (!gadget.declarations.repeats && sources.length - kernelSources >= MAX_MADE_SOURCES)
    return `a module can make at most ${MAX_MADE_SOURCES} data sources`;
  const same = sources.findIndex(({ source }) => source.name === name);
  return same < 0 || (same >= kernelSources && gadget.declarations.repeats)
    ? undefined
    : `there is a data source ${name} already`;
}

function refuseNewField(
  { phase, gadget }: Context,
  name: string | undefined,
  kind: number,
): string | undefined {
  if (phase !== 'init') return 'fields can only be added in gadgetInit';
  if (name === undefined || !NAME.test(name)) return 'the name is not that of a field';
  if (kind > KIND_BYTES) return `there is no kind ${kind}`;
  if (gadget.declarations.count >= MAX_ADDED_FIELDS)
    return `a module can add at most ${MAX_ADDED_FIELDS} fields`;
  return undefined;
}

/** Undefined when there is one of that name already. */
function addField({ gadget }: Context, served: ServedSource, name: string, kind: Kind): Field | undefined {
  const { source } = served;
  const declaration = `field ${source.name} ${name} ${kind}`;
  const old = source.field(name);
  // A module that is started again finds its fields in place.
  if (old !== undefined && !gadget.declarations.hasRepeated(declaration)) return undefined;
  if (!gadget.declarations.isNew(declaration)) return old;
  if (kind === 'none') return source.addField({ fullName: name, kind, location: { in: 'nowhere' } });
  // A column has no fixed size that a text would have to be filled up to with NULs.
  return source.addColumn({ fullName: name, kind: kind === 'cstring' ? 'string' : kind }).field;
}

function refuseSubscription(
  context: Context,
  { index, source }: ServedSource,
  type: number,
): string | undefined {
  if (!context.canCallBack) return 'the module has no function dataSourceCallback';
  if (index >= context.gadget.kernelSources) return 'a module does not get the events that it makes itself';
  if (type < SUBSCRIPTION.data || type > SUBSCRIPTION.packet) return `there is no type ${type}`;
  if (type === SUBSCRIPTION.array && source.type !== 'array') return `${source.name} has no arrays`;
  if (context.subscriptionCount >= MAX_SUBSCRIPTIONS)
    return `a module can subscribe at most ${MAX_SUBSCRIPTIONS} times`;
  return undefined;
}
