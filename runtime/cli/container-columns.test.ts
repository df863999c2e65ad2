import { describe, expect, it } from 'vitest';
import {
  ContainerColumns,
  type ContainerRow,
  type TableOptions,
  chooseColumns,
  containerColumnNames,
  defaultColumns,
} from './container-columns.js';
import { UsageError } from './fail.js';
import { LIST_CONTAINERS_HELP } from './list-containers-command.js';

const ID = '49aca177bfb3995a3ab55b10984dfbf27b66dba391ab9a2d9ecfc53b77ea9751';
const WEB: ContainerRow = {
  runtime: { containerName: 'web', runtimeName: 'docker', containerId: ID, containerPid: 42 },
  hostNetwork: false,
};
const POD: ContainerRow = {
  runtime: { containerName: 'nginx' },
  k8s: {
    namespace: 'shop',
    podName: 'web-1',
    podLabels: { tier: 'front', app: 'web' },
    owner: { kind: 'Job' },
  },
};

function tableOf(options: Partial<TableOptions>): ContainerColumns {
  return new ContainerColumns({ watch: false, onKubernetes: false, ...options });
}

describe('the columns of ig list-containers', () => {
  it('are as wide as their values, with nothing cut, when they are piped', () => {
    const names = chooseColumns('runtime.containername,runtime.containerid,runtime.containerpid', false);
    expect(tableOf({ chosen: names }).table([WEB, POD]).split('\n')).toEqual([
      `RUNTIME.CONTAINERNAME RUNTIME.CONTAINERID${' '.repeat(45)} RUNTIME.CONTAINERPID`,
      `web                   ${ID} 42`,
      'nginx',
      '',
    ]);
  });

  it('fit the terminal, with enough of the id to use it', () => {
    const table = tableOf({ widthColumns: 80 }).table([WEB]);
    for (const line of table.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(table).toContain(` ${ID.slice(0, 12)}`);
  });

  it('tell the pod first on a Kubernetes node, and the event first in a watch', () => {
    expect(defaultColumns(true, true).slice(0, 5)).toEqual([
      ...['event', 'timestamp', 'k8s.namespace', 'k8s.podName', 'k8s.containerName'],
    ]);
  });

  it('are fewer on a terminal too narrow for all, unless they were asked for', () => {
    const node = { watch: true, onKubernetes: true, widthColumns: 80 };
    expect(tableOf(node).header().split(/ +/)).toHaveLength(5);
    expect(
      tableOf({ ...node, chosen: defaultColumns(true, true) })
        .header()
        .split(/ +/),
    ).toHaveLength(10);
  });

  it('show values of every kind', () => {
    const names = ['k8s.podLabels', 'k8s.owner.kind', 'hostNetwork', 'runtime.containerPid'];
    const lines = tableOf({ chosen: names }).table([WEB, POD]).split('\n');
    expect(lines[1]!.trim().split(/ +/)).toEqual(['false', '42']);
    expect(lines[2]!.split(/ +/)).toEqual(['app=web,tier=front', 'Job']);
  });

  it('keep control characters of names from the terminal', () => {
    const evil = { runtime: { containerName: '\x1b[2Jx' } };
    expect(tableOf({ chosen: ['runtime.containerName'] }).table([evil])).not.toContain('\x1b');
  });

  it('are more rows than one batch holds', () => {
    const rows = Array.from({ length: 5000 }, (_, i) => ({ runtime: { containerName: `c${i}` } }));
    const lines = tableOf({ chosen: ['runtime.containerName'] })
      .table(rows)
      .split('\n');
    expect(lines).toHaveLength(5002);
    expect(lines[5000]).toBe('c4999');
  });

  it('are chosen by full name in any case, or by its last part', () => {
    expect(chooseColumns('MNTNS, k8s.PODname,containerid,containerName', false)).toEqual([
      ...['mntns', 'k8s.podName', 'runtime.containerId', 'runtime.containerName'],
    ]);
  });

  it.each([
    ['mntn', /no column mntn; did you mean mntns\?/],
    ['event', /--watch only/],
    ['', /names no column/],
    [' ,', /names no column/],
    ['xyzzyxyzzy', /no column xyzzyxyzzy; there are k8s.namespace, /],
  ])('refuse %j in a sentence', (list, message) => {
    expect(() => chooseColumns(list, false)).toThrow(UsageError);
    expect(() => chooseColumns(list, false)).toThrow(message);
  });

  it('are all in the help', () => {
    const words = LIST_CONTAINERS_HELP.split(/[\s,;.]+(?=\s|$)|[\s,;]+/);
    for (const name of containerColumnNames()) expect(words).toContain(name);
  });
});
