// Column templates: named bundles of column annotations, and what annotations say about a field's column.

import type { Annotations, Field } from '../data/field.js';

const RIGHT = { 'columns.alignment': 'right' };
const HIDDEN = { 'columns.hidden': 'true' };
const NAMESPACE = { 'columns.width': '12', ...HIDDEN, ...RIGHT };
const PROCESS_ID = { 'columns.minwidth': '7', ...RIGHT };
const OWNER_ID = { 'columns.minwidth': '8', ...RIGHT };
const MOMENT = { 'columns.width': '35', ...HIDDEN };
const IMAGE = { 'columns.width': '30' };

/** The templates that annotation `template` names; the names are the field's standard ones. */
const TEMPLATES: Readonly<Record<string, Annotations>> = {
  timestamp: MOMENT,
  bytes: { 'columns.width': '10', ...RIGHT },
  duration: { 'columns.width': '20', ...RIGHT },
  node: {},
  pod: {},
  container: {},
  namespace: {},
  containerImageName: IMAGE,
  containerImageDigest: IMAGE,
  containerPid: { 'columns.width': '6', ...HIDDEN, ...RIGHT },
  containerStartedAt: MOMENT,
  comm: { 'columns.maxwidth': '16' },
  pcomm: { 'columns.maxwidth': '16', ...HIDDEN },
  pid: PROCESS_ID,
  tid: PROCESS_ID,
  ppid: { ...PROCESS_ID, ...HIDDEN },
  ptid: { ...PROCESS_ID, ...HIDDEN },
  uid: OWNER_ID,
  gid: OWNER_ID,
  ns: NAMESPACE,
  mntns_id: NAMESPACE,
  netns_id: NAMESPACE,
  l4endpoint: { 'columns.minwidth': '22', 'columns.width': '40', 'columns.maxwidth': '52' },
  syscall: { 'columns.width': '18', 'columns.maxwidth': '28' },
  errorString: { 'columns.width': '12' },
  user_stack: HIDDEN,
};

/** The annotations that shape a field's column: its template's, overridden by its own. */
export function columnAnnotations(field: Field): Annotations {
  const template = TEMPLATES[field.annotations['template'] ?? ''];
  return template === undefined ? field.annotations : { ...template, ...field.annotations };
}
