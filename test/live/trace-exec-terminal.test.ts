/** trace_exec on a terminal: the header at once, columns that fit the window, nothing that drives the terminal. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Ig } from '../ig.js';
import { Terminal } from '../terminal.js';
import { until } from '../until.js';
import { Launcher, type Programs, buildPrograms, runProgram } from './programs.js';

const RUN = ['run', 'trace_exec', '--host'];

let programs: Programs;
let tiny: string;
beforeAll(() => {
  programs = buildPrograms();
  tiny = programs.tinyAs('ig-terminal');
});
afterAll(() => programs.remove());

let terminal: Terminal | undefined;
afterEach(async () => {
  await terminal?.interrupt();
  terminal = undefined;
});

/** Starts on a window of this width; the header says that it traces. */
async function open(columns: number, ...args: string[]): Promise<Terminal> {
  terminal = new Terminal(columns, [...RUN, '--comm', 'ig-terminal', ...args]);
  await terminal.line(/\bPID\b/);
  return terminal;
}

async function execute(...argv: string[]): Promise<number> {
  return (await new Launcher(programs, 'path', tiny).go(argv)).pid;
}

const LONG = 'long argument '.repeat(40);

describe('on a terminal', () => {
  it.each([60, 80, 140, 200, 300])(
    'of %d columns no line is wider, and values stand below their titles',
    async (width) => {
      const window = await open(width, '--fields', 'proc.comm,proc.pid,args,error,proc.creds.user');
      const pid = await execute('short', LONG);
      const line = await window.line(new RegExp(String(pid)));
      const [header] = window.lines();
      expect(header).toMatch(/^COMM +PID +ARGS +ERR(OR|…) +USER$/);
      for (const text of window.lines()) expect([...text].length).toBeLessThanOrEqual(width);
      expect(line).toContain('…');
      // A value begins below its title, or ends below its end.
      expect(line.indexOf('short')).toBe(header!.indexOf('ARGS'));
      expect(line.indexOf(String(pid)) + String(pid).length).toBe(header!.indexOf('PID') + 'PID'.length);
    },
  );

  it('wide windows show more of the arguments', async () => {
    const shown: number[] = [];
    for (const width of [80, 200]) {
      const window = await open(width, '--fields', 'proc.pid,args,error');
      const line = await window.line(new RegExp(String(await execute(LONG))));
      shown.push(line.trimEnd().length);
      await window.interrupt();
    }
    expect(shown[1]! - shown[0]!).toBeGreaterThan(60);
  });

  it('of 80 columns the default columns show what was executed', async () => {
    const short = programs.tinyAs('ig-term');
    terminal = new Terminal(80, [...RUN, '--comm', 'ig-term']);
    await terminal.line(/\bPID\b/);
    const { pid } = await new Launcher(programs, 'path', short).go(['0123456789', 'more']);
    const line = await terminal.line(new RegExp(String(pid)));
    expect(line).toMatch(/^.* ig-term .* 0123456789/);
    for (const text of terminal.lines()) expect([...text].length).toBeLessThanOrEqual(80);
  });

  it('columns follow the window when it changes', async () => {
    const window = await open(70, '--fields', 'proc.pid,args,error');
    const before = await window.line(new RegExp(String(await execute(LONG))));
    expect([...before].length).toBeLessThanOrEqual(70);
    // The signal may take effect after the next event: later ones must follow.
    window.resize(160);
    await until(async () => {
      const pid = await execute(LONG);
      return [...(await window.line(new RegExp(String(pid))))].length > 70;
    }, 'wider lines');
    const after = await window.line(new RegExp(String(await execute(LONG))));
    expect([...after].length).toBeLessThanOrEqual(160);
    window.resize(50);
    await until(async () => {
      const pid = await execute(LONG);
      return [...(await window.line(new RegExp(String(pid))))].length <= 50;
    }, 'narrower lines');
  });

  it('arguments cannot drive the terminal', async () => {
    const window = await open(200, '--fields', 'proc.pid,args,argv,command');
    const pid = await execute('\x1b]0;title\x07', '\x1b[2J', '\u009b31m', '\r\n\b');
    await window.line(new RegExp(String(pid)));
    expect(window.raw()).not.toMatch(/[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]/);
    expect(window.raw().replaceAll('\r\n', '')).not.toMatch(/[\r\n]|\xc2[\x80-\x9f]/);
  });

  it('wide characters count twice', async () => {
    const window = await open(60, '--fields', 'args,proc.pid,error');
    const pid = await execute('世界'.repeat(40));
    const line = await window.line(new RegExp(String(pid)));
    const cells = [...line].reduce((sum, c) => sum + (/[世界]/.test(c) ? 2 : 1), 0);
    expect(cells).toBeLessThanOrEqual(60);
    expect(line).toMatch(/^'(世界)+世?… *\d+$/);
  });

  it('Ctrl-C ends it with status 0', async () => {
    const window = await open(100);
    expect(await window.interrupt()).toBe(0);
    terminal = undefined;
    expect(window.lines()).toHaveLength(1);
  });

  it('JSON is not cut', async () => {
    terminal = new Terminal(60, [...RUN, '--comm', 'ig-terminal', '-o', 'json']);
    const window = terminal;
    let pid = 0;
    await until(async () => {
      pid = await execute(LONG);
      return window.lines().length > 0;
    }, 'the first event');
    const line = await window.line(new RegExp(String(pid)));
    expect(JSON.parse(line)).toMatchObject({ argv: [LONG] });
  });
});

describe('on a slow terminal', () => {
  const EXECS = 5000;
  const burst = (): Promise<unknown> => runProgram(programs.burst, [`${EXECS}`, tiny]);
  const openSlow = async (rate: number, ...args: string[]): Promise<Terminal> => {
    const slow = [programs.stalled, rate] as const;
    terminal = new Terminal(100, [...RUN, '--comm', 'ig-terminal', '-v', ...args], slow);
    await terminal.line(/^Tracing/);
    return terminal;
  };

  it('every line is whole, with lines of stderr in between', async () => {
    const window = await openSlow(400_000, '--fields', 'proc.comm,proc.pid,args', '--stats-interval', '0.1');
    await burst();
    const shown = (): string[] => window.lines().filter((line) => line.startsWith('ig-terminal'));
    await until(() => shown().length >= EXECS, 'all execs on the terminal');
    expect(shown().filter((line) => !/^ig-terminal +\d+ \/\S+ \d+$/.test(line))).toEqual([]);
    const others = window.lines().filter((line) => !line.startsWith('ig-terminal'));
    expect(others.filter((line) => !/^(Image|Tracing|COMM|Stats at .* filled$)/.test(line))).toEqual([]);
    expect(others.filter((line) => line.startsWith('Stats')).length).toBeGreaterThan(1);
  });

  it('Ctrl-C ends it also when the terminal takes nothing any more', async () => {
    const window = await openSlow(10_000_000);
    window.stall();
    await burst();
    // Nothing tells from outside that the worker waits for the terminal.
    await sleep(300);
    expect(await window.interrupt()).toBe(0);
    terminal = undefined;
  });
});

describe('piped', () => {
  it('the header comes before the first event', async () => {
    const ig = await Ig.tracing([...RUN, '--comm', 'ig-terminal']);
    await ig.until(() => ig.stdout.endsWith('GROUP\n'), 'its header');
    const { stdout } = await ig.stop();
    expect(stdout).toMatch(/^RUNTIME\.CONTAINERNAME +COMM .* GROUP\n$/);
  });

  it('nothing is cut', async () => {
    const ig = await Ig.tracing([...RUN, '--comm', 'ig-terminal']);
    const pid = await execute('first', LONG);
    const { stdout } = await ig.stop();
    const line = stdout.split('\n').find((text) => text.includes(` ${pid} `));
    expect(line).toContain(`first '${LONG}'`);
    expect(stdout).not.toMatch(/…/);
  });
});
