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

  constructor(columns: number, args: readonly string[]) {
    const words = [process.execPath, IG, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
    const command = `stty cols ${columns} rows 24 -echo; exec ${words.join(' ')}`;
    this.child = spawn('script', ['-qfec', command, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
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
