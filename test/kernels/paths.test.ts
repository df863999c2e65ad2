// trace_exec's paths are those that the process itself sees, wherever it is: see test/live/programs/paths.c.

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ExecEvent, Ig, parseAccount, parseEvents } from '../ig.js';
import { buildProgram } from '../live/programs.js';
import { temporaryDirectory } from '../registry/images.js';

const LONGEST = 4095;

const DEEDS = [
  'plain',
  'from root',
  ...[1, 2, 50, 63, 64, 65, 66, 200, 201, 2047, 2048, 2100].map((count) => `${count} names`),
  ...[4000, 4095, 4096, 4097, 4098, 5000].map((size) => `${size} bytes`),
  ...['renamed', 'deleted', 'deleted and made again', 'in a deleted directory', 'deleted root'],
  ...['nameless', 'memfd', 'memfd with a strange name'],
  ...['by fd link', 'by cwd link', 'by exe link', 'symbolic links'],
  ...['newlines', 'spaces', 'quotes', 'controls', 'not UTF-8', 'UTF-8', 'called deleted', 'longest name'],
  ...['bound directory', 'bound file', 'bound and deleted', 'moved out of bound'],
  ...['stacked', 'covered', 'moved mount', 'detached', 'detached root', 'detached under another'],
  ...['never attached', 'nested namespaces', 'from another namespace'],
  ...['chrooted', 'chrooted twice', 'chrooted to mount', 'outside of root', 'pivoted', 'left on old root'],
  ...['overlay', 'overlay upper', 'overlay in overlay', 'overlay renamed', 'overlay deleted'],
  ...['overlay chrooted', 'script', 'text', 'thread'],
  ...['deleted parent', 'parent in memory', 'chrooted parent'],
];

/** By name; a path that is too long for a link is not among them. */
type Facts = Readonly<Partial<Record<string, string>>>;

/** By deed. */
function parseFacts(output: Buffer): Map<string, Facts> {
  const words = output.toString().split('\0').slice(0, -1);
  const facts = new Map<string, Record<string, string>>();
  for (let i = 0; i < words.length; i += 3) {
    const [deed, name, value] = words.slice(i, i + 3) as [string, string, string];
    facts.set(deed, { ...facts.get(deed), [name]: value });
  }
  return facts;
}

/** What is shown of a path: if it is too long, as many whole names of its end as fit, without a slash before them. */
function shown(path: string): string {
  if (path.length <= LONGEST) return path;
  return path.slice(path.indexOf('/', path.length - LONGEST) + 1);
}

function pathsOf({ cwd, exepath, file, parent_exepath }: ExecEvent): object {
  return { cwd, exepath, file, parent_exepath };
}

describe('trace_exec --paths', () => {
  let facts = new Map<string, Facts>();
  let events: readonly ExecEvent[] = [];

  it('traces execs in all places and loses none', async () => {
    const directory = temporaryDirectory();
    const program = join(directory, 'paths');
    buildProgram('paths', program, '-pthread');
    const place = join(directory, 'place');
    mkdirSync(place);
    const ig = await Ig.tracing('run trace_exec --host -o json --paths --ignore-failed=false'.split(' '));
    facts = parseFacts(execFileSync(program, [place, ...DEEDS]));
    const { stdout, stderr } = await ig.stop();
    events = parseEvents(stdout);
    expect([...facts.keys()]).toEqual(DEEDS);
    expect(parseAccount(stderr).lost).toBe(0);
  });

  it.each(DEEDS)('shows what the process sees: %s', (deed) => {
    const { pid, parent, cwd, exe, file, built, ...caller } = facts.get(deed)!;
    const directory = built === undefined ? undefined : shown(dirname(built));
    const executed = built === undefined ? undefined : shown(built);
    const [attempt, event] = events.filter(({ proc }) => proc.pid === Number(pid)).slice(-2);
    expect(pathsOf(attempt!)).toEqual({
      cwd: caller['caller.cwd'] ?? directory,
      exepath: caller['caller.exe'],
      parent_exepath: parent,
    });
    expect(pathsOf(event!)).toEqual({
      cwd: cwd ?? directory,
      exepath: exe ?? executed,
      file: file ?? executed,
      parent_exepath: parent,
    });
  });

  it('shows each byte that is not UTF-8 as U+FFFD', () => {
    const { pid } = facts.get('not UTF-8')!;
    const event = events.findLast(({ proc }) => proc.pid === Number(pid))!;
    expect(event.cwd).toMatch(/\/\ufffd\ufffd gr\ufffd\ufffde \ufffd\($/);
  });
});
