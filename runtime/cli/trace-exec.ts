// `ig trace exec`: the classic columns, a view of the gadget trace_exec.

import { didYouMean } from '../data/nearest.js';
import type { ViewColumn } from '../pipeline/messages.js';
import { UsageError } from './fail.js';
import { runView } from './run.js';

/** Columns by the names that the classic command gives them, in its order. */
const COLUMNS: Readonly<Record<string, ViewColumn>> = {
  container: { field: 'runtime.containerName', title: 'RUNTIME.CONTAINERNAME', width: 49, alignment: 'left' },
  node: { field: 'k8s.node', title: 'K8S.NODE', width: 19, alignment: 'left' },
  namespace: { field: 'k8s.namespace', title: 'K8S.NAMESPACE', width: 16, alignment: 'left' },
  pod: { field: 'k8s.podName', title: 'K8S.POD', width: 30, alignment: 'left' },
  podcontainer: { field: 'k8s.containerName', title: 'K8S.CONTAINER', width: 15, alignment: 'left' },
  timestamp: { field: 'timestamp', title: 'TIMESTAMP', width: 35, alignment: 'left' },
  pid: { field: 'proc.pid', title: 'PID', width: 10, alignment: 'left' },
  ppid: { field: 'proc.parent.pid', title: 'PPID', width: 10, alignment: 'left' },
  comm: { field: 'proc.comm', title: 'COMM', width: 16, alignment: 'left' },
  pcomm: { field: 'proc.parent.comm', title: 'PCOMM', width: 16, alignment: 'left' },
  ret: { field: 'ret', title: 'RET', width: 3, alignment: 'left' },
  args: { field: 'command', title: 'ARGS', width: 40, alignment: 'left' },
  tid: { field: 'proc.tid', title: 'TID', width: 10, alignment: 'left' },
  mntns: { field: 'proc.mntns_id', title: 'MNTNS', width: 12, alignment: 'left' },
  uid: { field: 'proc.creds.uid', title: 'UID', width: 10, alignment: 'left' },
  gid: { field: 'proc.creds.gid', title: 'GID', width: 10, alignment: 'left' },
  user: { field: 'proc.creds.user', title: 'USER', width: 16, alignment: 'left' },
  loginuid: { field: 'loginuid', title: 'LOGINUID', width: 10, alignment: 'left' },
  sessionid: { field: 'sessionid', title: 'SESSIONID', width: 10, alignment: 'left' },
  upperlayer: { field: 'upper_layer', title: 'UPPERLAYER', width: 10, alignment: 'left' },
  pupperlayer: { field: 'pupper_layer', title: 'PUPPERLAYER', width: 11, alignment: 'left' },
  cwd: { field: 'cwd', title: 'CWD', width: 40, alignment: 'left' },
  hash: { field: 'file_sha256', title: 'HASH', width: 64, alignment: 'left' },
  exe: { field: 'exepath', title: 'EXE', width: 40, alignment: 'left' },
};

const DEFAULT = ['pid', 'ppid', 'comm', 'ret', 'args'];
const WHERE = { host: ['container'], kubernetes: ['node', 'namespace', 'pod', 'podcontainer'] };
const OTHER_NAMES: Readonly<Record<string, string>> = {
  containername: 'container',
  'runtime.containername': 'container',
  'k8s.node': 'node',
  'k8s.namespace': 'namespace',
  'k8s.pod': 'pod',
  'k8s.podname': 'pod',
  podname: 'pod',
  'k8s.container': 'podcontainer',
  'k8s.containername': 'podcontainer',
  exepath: 'exe',
};

export function traceExec(words: readonly string[]): Promise<void> {
  return runView(
    {
      command: 'ig trace exec',
      image: 'trace_exec',
      columns: (values, choice, onKubernetes) => {
        if (choice !== undefined) return columnsOf(choice.split(',').map((name) => name.trim()));
        const paths = values.get('paths') === 'true' ? ['cwd', 'exe'] : [];
        return columnsOf([...WHERE[onKubernetes ? 'kubernetes' : 'host'], ...DEFAULT, ...paths]);
      },
    },
    words,
  );
}

function columnsOf(names: readonly string[]): ViewColumn[] {
  return names.map((name) => {
    const folded = name.toLowerCase();
    const column = COLUMNS[OTHER_NAMES[folded] ?? folded];
    if (column === undefined) {
      throw new UsageError(
        `\`ig trace exec\` has no column ${name}${didYouMean(name, Object.keys(COLUMNS))}; there are ${Object.keys(COLUMNS).join(', ')}`,
      );
    }
    return column;
  });
}
