// The built `ig` as a user has it: on a terminal.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { IG } from './ig.js';
import { until } from './until.js';

/** A command on a terminal of its own, made by script(1). It ends with the test at the latest. */
export class Terminal {
  private readonly child: ChildProcess;
  private readonly chunks: Buffer[] = [];
  private readonly exited: Promise<number | null>;

  /** `slow`: the program test/live/programs/stalled.c, and how many bytes of the terminal it reads in a second. */
  constructor(columns: number, args: readonly string[], slow?: readonly [program: string, rate: number]) {
    const quoted = [process.execPath, IG, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
    const command = `stty cols ${columns} rows 24 -echo; exec ${quoted.join(' ')}`;
    const [program, words] =
      slow === undefined
        ? ['script', ['-qfec', command, '/dev/null']]
        : [slow[0], [`${slow[1]}`, '/bin/sh', '-c', command]];
    this.child = spawn(program, words, {
      stdio: ['pipe', 'pipe', slow === undefined ? 'inherit' : 'ignore'],
      env: { ...process.env, SHELL: '/bin/sh' },
    });
    this.child.stdout!.on('data', (chunk: Buffer) => this.chunks.push(chunk));
    this.exited = new Promise((resolve) => this.child.on('close', resolve));
    onTestFinished(() => void this.child.kill());
  }

  /** All that came to the terminal so far, errors too, byte by byte in latin1. */
  raw(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  /** The complete lines so far. */
  lines(): string[] {
    return Buffer.concat(this.chunks).toString().split('\r\n').slice(0, -1);
  }

  /** Waits for a line. */
  async line(pattern: RegExp): Promise<string> {
    const shown = (): boolean => this.lines().some((line) => pattern.test(line));
    await until(shown, `${pattern.source} on the terminal`);
    return this.lines().find((line) => pattern.test(line))!;
  }

  /** A slow one takes nothing any more. */
  stall(): void {
    this.child.kill('SIGUSR1');
  }

  /** As if the user typed it. */
  type(text: string): void {
    this.child.stdin!.write(text);
  }

  /** Waits until the command ends by itself; returns the exit status. */
  async end(): Promise<number | null> {
    const status = await this.exited;
    this.child.stdin!.destroy();
    return status;
  }

  /** As if the user made the window larger or smaller. */
  resize(columns: number): void {
    const pid = readFileSync(`/proc/${this.child.pid!}/task/${this.child.pid!}/children`, 'utf8').trim();
    execFileSync('stty', ['-F', readlinkSync(`/proc/${pid}/fd/0`), 'cols', String(columns)]);
  }

  /** Ctrl-C; returns the exit status. */
  async interrupt(): Promise<number | null> {
    this.type('\x03');
    return this.end();
  }
}
