// Programs, maps and links in the kernel that no process has any more: what a tool that leaks leaves behind.

import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

const KINDS = ['prog', 'map', 'link'] as const;
type Kind = (typeof KINDS)[number];

interface KernelObject {
  readonly id: number;
  readonly name?: string;
  /** Of a program. */
  readonly map_ids?: readonly number[];
  /** Of a link. */
  readonly prog_id?: number;
}

export function canListKernelObjects(): boolean {
  return process.getuid?.() === 0 && spawnSync('bpftool', ['version']).status === 0;
}

/** Each as `prog 17 ig_execve_e`. What a process has a descriptor of is not among them, and what that one uses. */
export function orphans(): Set<string> {
  const held = heldObjects();
  const [progs, maps, links] = KINDS.map(list) as [KernelObject[], KernelObject[], KernelObject[]];
  for (const { id, prog_id: prog } of links) if (held.link.has(id) && prog !== undefined) held.prog.add(prog);
  for (const { id, map_ids: ids } of progs) if (held.prog.has(id)) ids?.forEach((map) => held.map.add(map));
  const named = (kind: Kind, objects: readonly KernelObject[]): string[] =>
    objects.filter(({ id }) => !held[kind].has(id)).map(({ id, name }) => `${kind} ${id} ${name ?? ''}`);
  return new Set([...named('prog', progs), ...named('map', maps), ...named('link', links)]);
}

function list(kind: Kind): KernelObject[] {
  return JSON.parse(execFileSync('bpftool', ['-j', kind, 'show'], { encoding: 'utf8' })) as KernelObject[];
}

/** By descriptors of all processes; proc(5), /proc/PID/fdinfo. */
function heldObjects(): Record<Kind, Set<number>> {
  const held = { prog: new Set<number>(), map: new Set<number>(), link: new Set<number>() };
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const text of fdinfoOf(pid)) {
      for (const [, kind, id] of text.matchAll(/^(prog|map|link)_id:\s+(\d+)$/gm))
        held[kind as Kind].add(Number(id));
    }
  }
  return held;
}

function fdinfoOf(pid: string): string[] {
  const directory = `/proc/${pid}/fdinfo`;
  try {
    return readdirSync(directory).map((fd) => readOrNothing(`${directory}/${fd}`));
  } catch {
    return []; // it has ended, or is not ours to look at
  }
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // closed since
  }
}
