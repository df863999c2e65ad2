// @ts-check
// Runs a command on another kernel: in a virtual machine that sees this machine's files, and whose writes are dropped.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const INIT = fileURLToPath(new URL('init', import.meta.url));
const MEMORY = '4G';
const CPUS = '2';
/** Starts that end with a dead guest: emulators are not perfect. */
const ATTEMPTS = 2;
const POLL_MS = 1000;
const STUCK_MS = 120_000;
const DIED = 'the guest died';
/** Of the guest's console, shown when it dies. */
const LAST_LINES = 25;
/** Older ones make guests crash: 7.2 translates cmpxchg16b wrongly, and code that is patched while it runs. */
const OLDEST_QEMU = 10;

/** @typedef {{ program: string, args: readonly string[], env: NodeJS.ProcessEnv }} Qemu */
/**
 * What came of a command: its status, or why it has none.
 * @typedef {{ status: number, seconds: number } | { failure: string, seconds: number }} Outcome
 */
/** @typedef {{ kernel: string, command: string, timeoutSeconds: number, onOutput: (text: string) => void }} Job */

/** @type {(program: string, env: NodeJS.ProcessEnv) => number} */
function majorVersion(program, env) {
  try {
    const said = execFileSync(program, ['--version'], {
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number(/version (\d+)/.exec(said)?.[1]);
  } catch {
    return 0;
  }
}

/**
 * This machine's QEMU, or that of fetch.sh.
 * @type {(tools: string) => Qemu}
 */
export function findQemu(tools) {
  const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((path) => join(tools, path));
  const unpacked = { ...process.env, LD_LIBRARY_PATH: libraries.join(':') };
  const firmware = ['qemu', 'seabios'].flatMap((name) => ['-L', join(tools, 'usr/share', name)]);
  const candidates = [
    { program: 'qemu-system-x86_64', args: [], env: process.env },
    { program: join(tools, 'usr/bin/qemu-system-x86_64'), args: firmware, env: unpacked },
  ];
  const found = candidates.find(({ program, env }) => majorVersion(program, env) >= OLDEST_QEMU);
  if (found === undefined)
    throw new Error(`there is no QEMU of version ${OLDEST_QEMU} or later, neither here nor in ${tools}`);
  return found;
}

/**
 * The first file system: modules, busybox and init.
 * @type {(kernel: string, tools: string, output: string) => void}
 */
function makeInitramfs(kernel, tools, output) {
  // Archives may follow one another.
  const pack = `
    set -e
    PATH=$PATH:${tools}/bin:${tools}/usr/bin
    work=$(mktemp -d)
    install -D "$(command -v busybox)" "$work/bin/busybox"
    install "$1" "$work/init"
    (cd "$work" && find . | busybox cpio -o -H newc 2>/dev/null) | cat "$0" - >"$2"
    rm -r "$work"`;
  execFileSync('bash', ['-c', pack, join(kernel, 'modules.cpio'), INIT, output]);
}

/** @type {(kernel: string, share: string) => string[]} */
function machine(kernel, share) {
  const parameters = ['console=ttyS0', 'loglevel=4', 'panic=-1', 'nokaslr', 'mitigations=off', 'audit=0'];
  // eBPF's hooks of security modules, which Debian's oldest kernel does not turn on by itself.
  const trusted = ['random.trust_cpu=on', 'no_timer_check', 'tsc=reliable', 'lsm=lockdown,yama,apparmor,bpf'];
  const folder = (/** @type {string} */ path, /** @type {string} */ tag, /** @type {string} */ mode) =>
    `local,path=${path},mount_tag=${tag},security_model=none,${mode}`;
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-machine', 'pc'],
    // Time is counted in instructions, a nanosecond each: a guest that gets little of the processor does not notice.
    ...['-accel', 'tcg,thread=single,tb-size=512', '-icount', 'shift=0'],
    ...['-cpu', 'max', '-smp', CPUS, '-m', MEMORY],
    ...['-serial', `file:${join(share, 'console')}`],
    ...['-kernel', join(kernel, 'vmlinux'), '-initrd', join(share, 'initramfs')],
    ...['-append', [...parameters, ...trusted].join(' ')],
    ...['-virtfs', folder('/', 'host', 'readonly=on,multidevs=remap')],
    ...['-virtfs', folder(share, 'share', 'multidevs=remap')],
  ];
}

/** @type {(path: string) => string} */
function textOf(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

/**
 * One life of a guest.
 * @type {(qemu: Qemu, tools: string, job: Job) => Promise<{ status?: number, failure: string }>}
 */
async function attempt(qemu, tools, { kernel, command, timeoutSeconds, onOutput }) {
  const share = mkdtempSync(join(tmpdir(), 'ig-guest-'));
  const clean = () => rmSync(share, { recursive: true, force: true });
  process.once('exit', clean);
  try {
    makeInitramfs(kernel, tools, join(share, 'initramfs'));
    writeFileSync(join(share, 'command'), `cd '${process.cwd()}' || exit\n${command}\n`);
    const guest = spawn(qemu.program, [...qemu.args, ...machine(kernel, share)], {
      env: qemu.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let complaint = '';
    guest.stderr.on('data', (/** @type {Buffer} */ bytes) => (complaint += bytes.toString()));
    const end = await follow(guest, join(share, 'output'), timeoutSeconds, onOutput);
    const status = textOf(join(share, 'status'));
    if (status !== '') return { status: Number(status), failure: '' };
    if (end === 'late') return { failure: `did not end within ${timeoutSeconds} s` };
    if (end === 'stuck') return { failure: `${DIED}: nothing moved in it for ${STUCK_MS / 1000} s` };
    const console = textOf(join(share, 'console')).trimEnd().split('\n').slice(-LAST_LINES).join('\n');
    return { failure: `${DIED}:\n${console}\n${complaint}` };
  } finally {
    process.off('exit', clean);
    clean();
  }
}

/**
 * The CPU time a process has used; that of a living guest grows, by its timers at least.
 * @type {(pid: number | undefined) => string}
 */
function cpuTime(pid) {
  // The 14th and 15th field, proc(5); the second ends with the last bracket.
  return textOf(`/proc/${pid}/stat`).replace(/^.*\)/s, '').split(' ').slice(12, 14).join(' ');
}

/**
 * Passes on what the command says until the guest ends; ends it when it is late or no longer moves.
 * @type {(guest: import('node:child_process').ChildProcess, output: string, timeoutSeconds: number, onOutput: (text: string) => void) => Promise<'by itself' | 'late' | 'stuck'>}
 */
async function follow(guest, output, timeoutSeconds, onOutput) {
  const stop = () => void guest.kill('SIGKILL');
  process.once('exit', stop);
  const ended = once(guest, 'close').then(() => false);
  const deadline = Date.now() + timeoutSeconds * 1000;
  /** @type {'by itself' | 'late' | 'stuck'} */
  let end = 'by itself';
  let shown = 0;
  let used = '';
  // Counted, not timed: whoever stops the guest for a while may stop this process, too.
  let idlePolls = 0;
  for (let isRunning = true; isRunning;) {
    isRunning = await Promise.race([ended, sleep(POLL_MS, true)]);
    const bytes = existsSync(output) ? readFileSync(output) : Buffer.alloc(0);
    if (bytes.length > shown) onOutput(bytes.subarray(shown).toString());
    shown = bytes.length;
    const before = used;
    used = cpuTime(guest.pid);
    idlePolls = used === before ? idlePolls + 1 : 0;
    if (!isRunning || end !== 'by itself') continue;
    if (Date.now() > deadline) end = 'late';
    else if (idlePolls * POLL_MS > STUCK_MS) end = 'stuck';
    if (end !== 'by itself') stop();
  }
  process.off('exit', stop);
  return end;
}

/**
 * Runs a shell command as root in a guest of this kernel, a directory made by fetch.sh. A guest that dies gets a second life.
 * @type {(qemu: Qemu, tools: string, job: Job) => Promise<Outcome>}
 */
export async function runInGuest(qemu, tools, job) {
  const begin = Date.now();
  let failure = '';
  for (let i = 0; i < ATTEMPTS; i++) {
    const outcome = await attempt(qemu, tools, job);
    const seconds = Math.round((Date.now() - begin) / 1000);
    if (outcome.status !== undefined) return { status: outcome.status, seconds };
    failure = outcome.failure;
    if (!failure.startsWith(DIED)) break;
    job.onOutput(`${failure}\n`);
  }
  return { failure, seconds: Math.round((Date.now() - begin) / 1000) };
}
