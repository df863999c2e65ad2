/** The command line around trace_exec: output modes, fields, help, completion. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse as parseYaml, parseAllDocuments } from 'yaml';
import { type Ended, type ExecEvent, IG, Ig, parseAccount, runIg, trace } from '../ig.js';
import { Launcher, type Programs, buildPrograms } from './programs.js';

const COMM = 'ig-cli';
const ARGUMENTS = ['a b', 'it: "is"', '- no\n---\nlist', '\x1b[31m', 'null', 'grüße', ''];

let programs: Programs;
let program: string;
beforeAll(() => {
  programs = buildPrograms();
  program = programs.tinyAs(COMM);
});
afterAll(() => programs.remove());

/** Traces two execs. */
async function traceTwo(...args: string[]): Promise<Ended & { pids: number[] }> {
  const ig = await Ig.tracing(['run', 'trace_exec', '--host', '--comm', COMM, ...args]);
  const pids = [
    (await new Launcher(programs, 'path', program).go(ARGUMENTS)).pid,
    (await new Launcher(programs, 'path', program).go(['second'])).pid,
  ];
  return { ...(await ig.stop()), pids };
}

describe('output modes', () => {
  function expectTwo(events: readonly ExecEvent[], pids: readonly number[]): void {
    expect(events).toMatchObject([
      { proc: { comm: COMM, pid: pids[0] }, argv: ARGUMENTS, ret: 0, args_truncated: false, error: '' },
      { proc: { comm: COMM, pid: pids[1] }, argv: ['second'], args: 'second' },
    ]);
  }

  it('jsonpretty is JSON for a person', async () => {
    const { stdout, pids } = await traceTwo('-o', 'jsonpretty');
    const texts = stdout.split(/(?<=^\})\n/m).filter((text) => text !== '');
    expectTwo(
      texts.map((text) => JSON.parse(text) as ExecEvent),
      pids,
    );
    expect(stdout).toMatch(/^ {2}"proc": \{\n {4}"comm": /m);
  });

  it('yaml has a document per event', async () => {
    const { stdout, pids } = await traceTwo('-o', 'yaml');
    const documents = parseAllDocuments(stdout);
    expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
    expectTwo(
      documents.map((document) => document.toJS() as ExecEvent),
      pids,
    );
  });

  it('json, jsonpretty and yaml have the same fields', async () => {
    const keys: string[][] = [];
    for (const mode of ['json', 'jsonpretty', 'yaml']) {
      const { stdout } = await traceTwo('-o', mode);
      const first =
        mode === 'json'
          ? stdout.split('\n', 1)[0]!
          : stdout.split(mode === 'yaml' ? /^---\n/m : /(?<=^\})\n/m);
      const text = Array.isArray(first) ? first.find((part) => part !== '')! : first;
      keys.push(allKeys(parseYaml(text)).sort());
    }
    expect(keys[1]).toEqual(keys[0]);
    expect(keys[2]).toEqual(keys[0]);
  });

  it('none prints nothing and counts all the same', async () => {
    const { stdout, stderr } = await traceTwo('-o', 'none');
    expect(stdout).toBe('');
    expect(parseAccount(stderr)).toMatchObject({ delivered: 2, filtered: 0, lost: 0 });
  });
});

function allKeys(value: unknown, prefix = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [prefix];
  return Object.entries(value).flatMap(([key, inner]) => allKeys(inner, `${prefix}.${key}`));
}

describe('--fields', () => {
  const titlesWith = async (fields: string): Promise<string[]> => {
    const { stdout } = await traceTwo('--fields', fields);
    return stdout
      .split('\n', 1)[0]!
      .split(/ +/)
      .filter((title) => title !== '');
  };

  it('chooses the columns in the order given', async () => {
    expect(await titlesWith('proc.pid,ret,proc.comm')).toEqual(['PID', 'RET', 'COMM']);
  });

  it('adds and removes columns', async () => {
    const { stdout } = await traceTwo();
    const usual = stdout.split('\n', 1)[0]!.split(/ +/);
    const changed = await titlesWith('+ret,-tty');
    expect(usual).toContain('TTY');
    expect(changed).toEqual([...usual.filter((title) => title !== 'TTY'), 'RET']);
  });

  it('shows values under their titles', async () => {
    const { stdout, pids } = await traceTwo('--fields', 'proc.comm,args,ret');
    const [header, first, second] = stdout.split('\n');
    expect(pids).toHaveLength(2);
    expect(header!.indexOf('ARGS')).toBe(second!.indexOf('second'));
    expect(first!.startsWith(COMM)).toBe(true);
  });

  it('chooses what -o json has, which is everything otherwise', async () => {
    const keys: string[][] = [];
    for (const more of [[], ['--fields', 'proc.pid,args'], ['--fields', '+command,-args']]) {
      const { events } = await trace(['--comm', COMM, ...more], () =>
        new Launcher(programs, 'path', program).go(['x']),
      );
      keys.push(allKeys(events[0]));
    }
    const [all, chosen, changed] = keys;
    expect(all!.length).toBeGreaterThan(40);
    expect(chosen).toEqual(['.args', '.proc.pid']);
    expect(changed).toHaveLength(all!.length);
    expect(new Set(changed)).toEqual(new Set([...all!.filter((key) => key !== '.args'), '.command']));
  });
});

describe('help', () => {
  const COMMANDS = [
    ...[
      'run',
      'trace',
      'list-gadgets',
      'list-containers',
      'image',
      'gadget',
      'login',
      'logout',
      'config',
      'version',
    ],
    'completion',
  ];

  it('names all commands', async () => {
    const { stdout, stderr, status } = await runIg(['--help']);
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    for (const command of COMMANDS) {
      expect(stdout).toMatch(new RegExp(`^  ${command}\\b.* {2}\\w+`, 'm'));
    }
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(110);
  });

  it.each([...COMMANDS, 'trace exec', 'image build', 'gadget new', 'gadget test', 'config view'])(
    'of %s has a usage line',
    async (command) => {
      const { stdout, stderr, status } = await runIg([...command.split(' '), '--help']);
      expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
      expect(stdout).toMatch(new RegExp(`^Usage: ig ${command}`, 'm'));
    },
  );

  it('of a gadget describes all its parameters', async () => {
    const { stdout, stderr, status } = await runIg(['run', 'trace_exec', '-h']);
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    const gadget = parseYaml(
      readFileSync(new URL('../../gadgets/trace_exec/gadget.yaml', import.meta.url), 'utf8'),
    ) as { params: { ebpf: Record<string, { key: string; description: string }> } };
    const params = Object.values(gadget.params.ebpf);
    expect(params.length).toBeGreaterThan(5);
    for (const { key, description } of params) {
      expect(stdout).toMatch(new RegExp(`^  --${key} <\\w+> +${description.slice(0, 20)}`, 'm'));
    }
  });

  it('of a gadget describes every field that its events have', async () => {
    const { stdout } = await runIg(['run', 'trace_exec', '-h']);
    const section = stdout.slice(stdout.indexOf('\nFields'), stdout.indexOf('\nExamples'));
    const lines = section.trim().split('\n').slice(1);
    const described = new Map(
      lines.map((line) => {
        const [, name, description] = /^ [ *] (\S+) +\S+(?: +(.*))?$/.exec(line) ?? [];
        return [name, description];
      }),
    );
    const { events } = await trace(['--comm', COMM], () => new Launcher(programs, 'path', program).go(['x']));
    const seen = allKeys(events[0]).map((key) => key.slice(1));
    expect(seen.filter((name) => !described.has(name))).toEqual([]);
    expect([...described].filter(([, text]) => !text).map(([name]) => name)).toEqual([]);
  });
});

describe('small commands', () => {
  it('version prints that of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(await runIg(['version'])).toMatchObject({ stdout: `v${version}\n`, stderr: '', status: 0 });
  });

  it('list-gadgets names trace_exec and its digest', async () => {
    const { stdout, status } = await runIg(['list-gadgets']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^trace_exec +\S+ +sha256:[0-9a-f]{64}$/m);
    const list = (await runIg(['list-gadgets', '-o', 'json'])).stdout;
    const gadgets = JSON.parse(list) as { name: string; digest: string }[];
    expect(stdout).toContain(gadgets.find(({ name }) => name === 'trace_exec')!.digest);
  });
});

describe('completion', () => {
  function bash(script: string): string {
    // As a user has it: `ig` on the PATH, by a link.
    const bin = join(programs.directory, 'bin');
    mkdirSync(bin, { recursive: true });
    try {
      symlinkSync(IG, join(bin, 'ig'));
    } catch {
      // There since the test before.
    }
    const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
    return execFileSync('bash', ['-uc', script], { encoding: 'utf8', env });
  }

  const complete = (...words: string[]): string[] =>
    bash(
      `source <(ig completion bash); complete -p ig >/dev/null; COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')});
       COMP_CWORD=${words.length - 1}; "$(complete -p ig | sed 's/.*-F \\([^ ]*\\).*/\\1/')" ig; printf '%s\\n' "\${COMPREPLY[@]}"`,
    )
      .split('\n')
      .filter((word) => word !== '');

  it('in bash completes commands, gadgets and flags', () => {
    expect(complete('ig', 'ru')).toEqual(['run']);
    expect(complete('ig', 'run', 'trace_e')).toEqual(['trace_exec']);
    expect(complete('ig', 'run', 'trace_exec', '--time')).toEqual(['--timeout']);
    expect(complete('ig', 'trace', 'e')).toEqual(['exec']);
    expect(complete('ig', 'trace', 'exec', '--time')).toEqual(['--timeout']);
    expect(complete('ig', 'completion', 'f')).toEqual(['fish']);
    expect(complete('ig', 'image', 'pru')).toEqual(['prune']);
    expect(complete('ig', 'gadget', 'new', 'x', '--lang', 'asse')).toEqual(['assemblyscript']);
    expect(complete('ig', 'run', 'trace_exec', '--pull', 'mi')).toEqual(['missing']);
    expect(complete('ig', 'image', 'sign', '--k')).toEqual(['--key']);
    expect(complete('ig', 'image', 'inspect', 'trace_e')).toEqual(['trace_exec']);
    expect(complete('ig', 'login', '--password-')).toEqual(['--password-stdin']);
  });

  it.each(['bash', 'zsh', 'fish'])('for %s is a script', async (shell) => {
    const { stdout, stderr, status } = await runIg(['completion', shell]);
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toContain('list-gadgets');
    // The other shells are not installed everywhere; what they share with bash is checked.
    if (shell !== 'fish') execFileSync('bash', ['-n'], { input: stdout });
  });
});
