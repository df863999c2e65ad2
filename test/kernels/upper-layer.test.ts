// Whether trace_exec knows what lies in an overlay's upper layer: of files that came there, or did not, in many ways.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ExecEvent, Ig, parseAccount, parseEvents } from '../ig.js';
import { buildProgram } from '../live/programs.js';
import { temporaryDirectory } from '../registry/images.js';

interface Deed {
  /** What a shell does before, beside the directories lower, upper and merged. */
  readonly prepare?: string;
  /** What is executed, in `merged`. */
  readonly file: string;
  /** What runs then, in `merged`, if it is not the file. */
  readonly program?: string;
  /** What starts it, in `merged`: a shell. */
  readonly parent?: string;
  /** The layer of a file that is not in the one where its name is. */
  readonly isUpper?: boolean;
  readonly fails?: 'ENOENT' | 'ENOEXEC';
}

const LOWER = ['lower', 'modified', 'mode', 'opened', 'old', 'first', 'place', 'place-2'];

const DEEDS: Readonly<Record<string, Deed>> = {
  'a lower file': { file: 'lower' },
  'a modified file': { prepare: 'echo >>merged/modified', file: 'modified' },
  'a file of another mode': { prepare: 'chmod 700 merged/mode', file: 'mode' },
  'a file opened for writing': { prepare: ': >>merged/opened', file: 'opened' },
  'a renamed file': { prepare: 'mv merged/old merged/renamed', file: 'renamed' },
  'a linked file': { prepare: 'ln merged/first merged/second', file: 'second' },
  'a new file': { prepare: 'cp tiny merged/new', file: 'new' },
  'a new file in a new directory': { prepare: 'mkdir merged/a; cp tiny merged/a/new', file: 'a/new' },
  'a file of a tmpfs': {
    prepare: 'mkdir merged/tmp; mount -t tmpfs tmpfs merged/tmp; cp tiny merged/tmp',
    file: 'tmp/tiny',
  },
  'a file of a directory that is mounted': {
    prepare: 'mkdir outside merged/dir; cp tiny outside; mount --bind outside merged/dir',
    file: 'dir/tiny',
  },
  'a file that is mounted over a new one': {
    prepare: 'cp tiny merged/over; mount --bind tiny merged/over',
    file: 'over',
    isUpper: false,
  },
  'a new file that is mounted over a lower one': {
    prepare: 'cp tiny merged/bound; mount --bind merged/bound merged/place',
    file: 'place',
    isUpper: true,
  },
  'a lower file that is mounted over a new one': {
    prepare: 'cp tiny merged/place-3; mount --bind merged/place-2 merged/place-3',
    file: 'place-3',
    isUpper: false,
  },
  'a new script of a lower interpreter': {
    prepare: 'echo "#!$PWD/merged/lower" >merged/script; chmod +x merged/script',
    file: 'script',
    program: 'lower',
  },
  'a lower script of a new interpreter': {
    prepare: 'cp tiny merged/interpreter',
    file: 'lower-script',
    program: 'interpreter',
  },
  'a file, by a lower shell': { file: 'lower', parent: 'shell' },
  'a file, by a new shell': { prepare: 'cp /bin/sh merged/new-shell', file: 'lower', parent: 'new-shell' },
  'what is not there': { file: 'nothing', fails: 'ENOENT' },
  'a lower text': { file: 'text', fails: 'ENOEXEC' },
  'a new text': { prepare: 'cp merged/text merged/new-text', file: 'new-text', fails: 'ENOEXEC' },
};

/** In a mount namespace of its own: prints, for each deed, the pid, then whether file, program and parent are in upper/. */
const SCRIPT = `
set -e
mkdir -p "$1/place"
mount -t tmpfs tmpfs "$1/place"
cd "$1/place"
cp ../tiny .
mkdir lower upper work merged
for name in ${LOWER.join(' ')}; do cp tiny "lower/$name"; done
cp /bin/sh lower/shell
echo : >lower/text
echo "#!$PWD/merged/interpreter" >lower/lower-script
chmod +x lower/*
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,METACOPY overlay merged
in_upper() { if [ -e "upper/$1" ]; then echo true; else echo false; fi; }
`;

function steps({ prepare = ':', file, program = file, parent }: Deed): string {
  const shell = parent === undefined ? '/bin/sh' : `merged/${parent}`;
  return `
    ${prepare}
    ${shell} -c 'merged/${file} 2>/dev/null & echo $!; wait'
    in_upper ${file}; in_upper ${program}; in_upper ${parent ?? 'none'}`;
}

interface Facts {
  readonly pid: number;
  readonly file: boolean;
  readonly program: boolean;
  readonly parent: boolean;
}

function parseFacts(output: string): Map<string, Facts> {
  const lines = output.trimEnd().split('\n');
  return new Map(
    Object.keys(DEEDS).map((name, i) => {
      const [pid, file, program, parent] = lines.slice(4 * i, 4 * i + 4);
      return [
        name,
        { pid: Number(pid), file: file === 'true', program: program === 'true', parent: parent === 'true' },
      ];
    }),
  );
}

function layersOf({ upper_layer, fupper_layer, pupper_layer, error }: ExecEvent): object {
  return { upper_layer, fupper_layer, pupper_layer, error };
}

const OPTIONS = ['metacopy=off', 'metacopy=on'];
const WAYS = OPTIONS.flatMap((option) => Object.keys(DEEDS).map((name) => [name, option] as const));

describe('the upper layer of an overlay', () => {
  const facts = new Map<string, Map<string, Facts>>();
  let events: readonly ExecEvent[] = [];

  it('traces all kinds of files and loses none', async () => {
    const directory = temporaryDirectory();
    buildProgram('tiny', join(directory, 'tiny'), '-nostdlib', '-ffreestanding');
    const ig = await Ig.tracing(['run', 'trace_exec', '--host', '-o', 'json', '--ignore-failed=false']);
    for (const option of OPTIONS) {
      const script = SCRIPT.replace('METACOPY', option) + Object.values(DEEDS).map(steps).join('\n');
      const words = ['-m', '--propagation', 'private', '/bin/sh', '-c', script, 'sh', directory];
      facts.set(option, parseFacts(execFileSync('unshare', words, { encoding: 'utf8' })));
    }
    const { stdout, stderr } = await ig.stop();
    events = parseEvents(stdout);
    expect(parseAccount(stderr).lost).toBe(0);
  });

  it.each(WAYS)('knows that of %s, with %s', (name, option) => {
    const { isUpper, fails } = DEEDS[name]!;
    const { pid, file, program, parent } = facts.get(option)!.get(name)!;
    const event = events.findLast(({ proc, error }) => proc.pid === pid && error === (fails ?? ''))!;
    expect(layersOf(event)).toEqual({
      error: fails ?? '',
      fupper_layer: fails === 'ENOENT' ? undefined : (isUpper ?? file),
      ...(fails === undefined ? { upper_layer: isUpper ?? program, pupper_layer: parent } : {}),
    });
  });
});
