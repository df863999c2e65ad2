/** Draws an eBPF object as Mermaid text (https://mermaid.js.org): a flowchart and a sequence diagram. */
import type { DataSourceInfo } from './data-sources.js';
import type { EbpfInfo, ProgramInfo } from './ebpf.js';

/** A map that holds variables says little about how data flows. */
const VARIABLES = /^\.(rodata|data|bss)(\.|$)/;

/** Programs, the maps they use, and the data sources that come out. */
export function flowchart(info: EbpfInfo): string {
  const programs = ids(
    info.programs.map(({ name }) => name),
    'program',
  );
  const maps = ids(drawnMaps(info), 'map');
  const sources = ids(
    info.datasources.map(({ name }) => name),
    'source',
  );
  const lines = ['flowchart LR'];
  for (const { name, section } of info.programs) {
    lines.push(`  ${programs.get(name)}["${label(name)}<br/>${label(section)}"]`);
  }
  for (const { name, type } of info.maps) {
    if (maps.has(name)) lines.push(`  ${maps.get(name)}[("${label(name)}<br/>${label(type)}")]`);
  }
  for (const [name, id] of sources) lines.push(`  ${id}(["${label(name)}"])`);
  for (const { name, maps: used } of info.programs) {
    for (const map of used) if (maps.has(map)) lines.push(`  ${programs.get(name)} --> ${maps.get(map)}`);
  }
  for (const source of info.datasources) {
    for (const from of origins(source, programs, maps))
      lines.push(`  ${from} --> ${sources.get(source.name)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** What happens in turn: a hook runs its program, which uses maps, which user space reads. */
export function sequence(info: EbpfInfo): string {
  const hooks = ids(info.programs.map(hookOf), 'hook');
  const programs = ids(
    info.programs.map(({ name }) => name),
    'program',
  );
  const maps = ids(drawnMaps(info), 'map');
  const lines = ['sequenceDiagram'];
  for (const [name, id] of [...hooks, ...programs, ...maps])
    lines.push(`  participant ${id} as ${label(name)}`);
  lines.push('  participant user as user space');
  for (const program of info.programs) {
    lines.push(`  ${hooks.get(hookOf(program))}->>${programs.get(program.name)}: ${label(program.type)}`);
    for (const map of program.maps) {
      if (maps.has(map)) lines.push(`  ${programs.get(program.name)}->>${maps.get(map)}: uses`);
    }
  }
  for (const source of info.datasources) {
    for (const from of origins(source, programs, maps)) lines.push(`  ${from}->>user: ${label(source.name)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Where the records of a data source come from, of what is drawn. */
function origins(
  { map, programs: writers = [] }: DataSourceInfo,
  programs: ReadonlyMap<string, string>,
  maps: ReadonlyMap<string, string>,
): string[] {
  const found = [
    map === undefined ? undefined : maps.get(map),
    ...writers.map((writer) => programs.get(writer)),
  ];
  return found.filter((id) => id !== undefined);
}

function hookOf({ attachTo, section }: ProgramInfo): string {
  return attachTo ?? section;
}

function drawnMaps({ maps }: EbpfInfo): string[] {
  return maps.map(({ name }) => name).filter((name) => !VARIABLES.test(name));
}

/** Names of the diagram's own, as those of an object can be anything; equal names share one. */
function ids(names: readonly string[], kind: string): Map<string, string> {
  return new Map([...new Set(names)].map((name, i) => [name, `${kind}${i}`]));
}

/** Text in which Mermaid and Markdown see no syntax: all but ordinary characters as `#CODE;`. */
function label(text: string): string {
  return text.replace(/[^\w ./:,*+-]/gu, (character) => `#${character.codePointAt(0)};`);
}
